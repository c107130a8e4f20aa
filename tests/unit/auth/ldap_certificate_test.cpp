// Why a directory's certificate is refused; that it is: tests/ldap/.
#include "auth/ldap_certificate.hpp"

#include <filesystem>
#include <fstream>

#include "auth/base64.hpp"
#include "base/random.hpp"
#include "tests/support/catch.hpp"

namespace stele::auth::ldap_certificate_test {
namespace {

constexpr const char* authority =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBeTCCAR+gAwIBAgIUeZnRe/0qM1DGkHKiaFxncqNeEq0wCgYIKoZIzj0EAwIw\n"
    "EjEQMA4GA1UEAwwHdGVzdCBDQTAeFw0yNjExMjkxNDQzNTJaFw0zNjExMjYxNDQz\n"
    "NTJaMBIxEDAOBgNVBAMMB3Rlc3QgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
    "AARY0F4Vr/7K8qPfuTbpz0HG5azeBbjc1p3Ak42zCFh7VinXT7xaWGBb05skU4b8\n"
    "SkrQ5p+FNcCKOZTJTwwU1dJIo1MwUTAdBgNVHQ4EFgQUe5GzHiM7NleKInL9UrID\n"
    "89tjU2gwHwYDVR0jBBgwFoAUe5GzHiM7NleKInL9UrID89tjU2gwDwYDVR0TAQH/\n"
    "BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAnyuDJIhIq1ekVZfcbMmaEFj2hAzV\n"
    "lreYjUDYlnxVcMACIEYol1kWhaxyFHWfQiOfk+89l1zQfkt1HLPc+6paAoF4\n"
    "-----END CERTIFICATE-----\n";
constexpr const char* other_authority =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBezCCASGgAwIBAgIUTCv4aHwVXH5VZ+Qp99rY5eTfFsAwCgYIKoZIzj0EAwIw\n"
    "EzERMA8GA1UEAwwIb3RoZXIgQ0EwHhcNMjYxMTI5MTQ0MzUyWhcNMzYxMTI2MTQ0\n"
    "MzUyWjATMREwDwYDVQQDDAhvdGhlciBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
    "A0IABLzLS65F3ZYEnjFItQ4j42fjavfkvZ6ApTZvf4wieDmuCHYDqGTwQkhgdSj7\n"
    "Z9eXTChpYg0zR8Rn77MRjd6MZNSjUzBRMB0GA1UdDgQWBBTlzpi/NwBt/FkxdLZd\n"
    "Cl/lMWGITTAfBgNVHSMEGDAWgBTlzpi/NwBt/FkxdLZdCl/lMWGITTAPBgNVHRMB\n"
    "Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDen/eUWPrc6qy0SM4rzXAio8Fh\n"
    "qbnpff92/ON9WHZhogIgbBSQmf9iLoAt2VbH4eET6X5E472C/ByV+SL8q2h8E68=\n"
    "-----END CERTIFICATE-----\n";
// Signed by the first, for 127.0.0.1 and directory.example.
constexpr const char* directory =
    "MIIBjjCCATSgAwIBAgIUbCvqlPu7Jtr3enoxRiZfX/a9dKAwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHdGVzdCBDQTAeFw0yNjEx"
    "MjkxNDQzNTJaFw0zNjExMjYxNDQzNTJaMBQxEjAQBgNVBAMMCWRpcmVjdG9yeTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIdj"
    "oiSYJnsK4tXAvEAaTOvN/79WUatOigqOkFzNsUgpGE2yob86iR3zCFV4nAuYSHxapiDAEVDuyu7OzeYEeV6jZjBkMCIGA1UdEQQb"
    "MBmHBH8AAAGCEWRpcmVjdG9yeS5leGFtcGxlMB0GA1UdDgQWBBSpJzRmPFym80dFcNSVT/XK9aBGsTAfBgNVHSMEGDAWgBR7kbMe"
    "Izs2V4oicv1SsgPz22NTaDAKBggqhkjOPQQDAgNIADBFAiEA8ofcElZvxnZqx/fnwxPsEMFSzIfvaNS+IjoRofRlAVUCIDIaj4JJ"
    "hHCzV2pN+28Sws+FmPIuFPQREu99ArGvlx1k";

struct File {
  explicit File(const char* text) { std::ofstream(path) << text; }
  ~File() { std::filesystem::remove(path); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const std::string path = (std::filesystem::temp_directory_path() / ("stele-ca-" + random_hex(8))).string();
};

TEST_CASE("auth: what is wrong with a directory's certificate is said") {
  const File ca(authority), other(other_authority);
  const std::string der = base64_decode(directory).value();
  const Timestamp now = parse_timestamp("2027-06-01T00:00:00Z").value();
  const auto fault = [&](const char* host, const std::string& file, Timestamp at) {
    return fault_of_certificate(der, host, file, at);
  };
  CHECK(fault("127.0.0.1", ca.path, now).empty());
  CHECK(fault("directory.example", ca.path, now).empty());
  CHECK(fault("127.0.0.2", ca.path, now).find("for another name") != std::string::npos);
  CHECK(fault("other.example", ca.path, now).find("for another name") != std::string::npos);
  CHECK(fault("127.0.0.1", other.path, now).find("by no authority of the file in auth.ldap.ca") !=
        std::string::npos);
  CHECK(fault("127.0.0.1", "", now).find("by no authority of the system's") != std::string::npos);
  CHECK(fault("127.0.0.1", ca.path, parse_timestamp("2046-01-01T00:00:00Z").value()).find("has expired") !=
        std::string::npos);
  CHECK(fault("127.0.0.1", ca.path, parse_timestamp("2020-01-01T00:00:00Z").value())
            .find("does not hold yet") != std::string::npos);
  CHECK(fault_of_certificate("no certificate", "127.0.0.1", ca.path, now).empty());
}

}  // namespace
}  // namespace stele::auth::ldap_certificate_test
