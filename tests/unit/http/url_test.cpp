// URLs and addresses of the outbound client.

#include "http/url.hpp"

#include "http/address_kind.hpp"
#include "tests/support/catch.hpp"

namespace stele::http {
namespace {

TEST_CASE("kinds of addresses, in every form") {
  using enum AddressKind;
  const std::pair<const char*, AddressKind> table[] = {{"127.0.0.1", loopback},
                                                       {"127.255.255.255", loopback},
                                                       {"::1", loopback},
                                                       {"::ffff:127.0.0.1", loopback},
                                                       {"::127.0.0.1", loopback},
                                                       {"64:ff9b::7f00:1", loopback},
                                                       {"2002:7f00:1::", loopback},
                                                       {"10.1.2.3", private_use},
                                                       {"172.16.0.1", private_use},
                                                       {"172.32.0.1", global},
                                                       {"192.168.1.1", private_use},
                                                       {"100.64.0.1", private_use},
                                                       {"fd12::1", private_use},
                                                       {"fec0::1", private_use},
                                                       {"fe80::1", link_local},
                                                       {"fe80::1%eth0", link_local},
                                                       {"169.254.1.1", link_local},
                                                       {"169.254.169.254", cloud_metadata},
                                                       {"::ffff:a9fe:a9fe", cloud_metadata},
                                                       {"64:ff9b::a9fe:a9fe", cloud_metadata},
                                                       {"fd00:ec2::254", cloud_metadata},
                                                       {"100.100.100.200", cloud_metadata},
                                                       {"168.63.129.16", cloud_metadata},
                                                       {"0.0.0.0", other},
                                                       {"::", other},
                                                       {"224.0.0.1", other},
                                                       {"ff02::1", other},
                                                       {"240.0.0.1", other},
                                                       {"8.8.8.8", global},
                                                       {"2606:4700::1111", global},
                                                       {"2001::1", other},
                                                       {"no address", other}};
  for (const auto& [address, kind] : table) {
    INFO(address);
    CHECK(kind_of_address(address) == kind);
  }
}

TEST_CASE("URLs are read once and strictly") {
  CHECK(Url::parse("HTTPS://Registry.Example:443/v2/?a=b").value().str() ==
        "https://registry.example/v2/?a=b");
  CHECK(Url::parse("http://[::1]:5000").value().str() == "http://[::1]:5000/");
  CHECK(Url::parse("http://0x7f.1/").value().host() == "127.0.0.1");
  for (const char* bad : {"", "registry.example", "ftp://a/", "http://", "http://u:p@a/", "http://u@a/",
                          "http://a:0/", "http://a:99999/", "http://a/#f", "http://a/ b", "http://a/\x01"}) {
    INFO(bad);
    CHECK(!Url::parse(bad));
  }
  const Url base = Url::parse("https://a.example:5000/v2/x/blobs/y?z").value();
  CHECK(base.resolve("/other?q").value().str() == "https://a.example:5000/other?q");
  CHECK(base.resolve("next").value().str() == "https://a.example:5000/v2/x/blobs/next");
  CHECK(base.resolve("//b.example/p").value().str() == "https://b.example/p");
  CHECK(base.resolve("http://b.example/p#f").value().str() == "http://b.example/p");
  CHECK(!base.resolve("javascript:alert(1)"));
  CHECK(base.same_origin(base.resolve("/x").value()));
  CHECK(!base.same_origin(Url::parse("http://a.example:5000/").value()));
}

}  // namespace
}  // namespace stele::http
