#pragma once
// Certificates, re-read while the server runs. TLS 1.2 and 1.3, ALPN http/1.1 only.

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/watched_file.hpp"

struct ssl_ctx_st;

namespace stele::http {

// Which of a client certificate's names is its owner's: the common name of the subject, or the only DNS name
// or URI among the alternative names.
enum class CertificateName { common_name, dns, uri };

struct TlsFiles {
  std::string cert;  // PEM, the chain after the certificate
  std::string key;   // PEM
  // PEM; empty: no client certificates. Where revocation lists stand in it too, a certificate must be on
  // none, and each authority must have one that holds at present; once there were some, a file without any is
  // an error.
  std::string client_ca;
  bool certificate_required = true;  // by every client, where there is client_ca
  CertificateName name = CertificateName::common_name;
};

// Thread-safe. Connections keep the context with which they began.
class TlsContext {
 public:
  // parameter_invalid with the file and OpenSSL's reason.
  static Result<std::unique_ptr<TlsContext>> load(TlsFiles files);

  // Reads the files again; on an error the old certificates stay in force.
  Result<void> reload();
  // Reloads when a file has changed since the last look; true when it did.
  Result<bool> reload_if_changed();

  std::shared_ptr<ssl_ctx_st> current() const;
  // As it was asked for when this context was made.
  static CertificateName name_of(const ssl_ctx_st* context);

 private:
  explicit TlsContext(TlsFiles files) : files_(std::move(files)) {}
  std::vector<FileSignature> look() const;
  const TlsFiles files_;
  mutable std::mutex mutex_;
  std::shared_ptr<ssl_ctx_st> context_;
  std::vector<FileSignature> seen_;  // of the files when they were last read
};

}  // namespace stele::http
