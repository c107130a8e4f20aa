#include "server/external_url.hpp"

#include "tests/support/catch.hpp"

namespace stele {
namespace {

TEST_CASE("external_url: its host is written as in an image's name, its path is the proxy's") {
  struct Case {
    const char* configured;
    const char* host;
    const char* path;
  };
  for (const Case& one : {Case{"", "", ""},
                          {"https://registry.example", "registry.example", ""},
                          {"https://Registry.Example:5000", "registry.example:5000", ""},
                          {"https://registry.example:443", "registry.example", ""},
                          {"http://registry.example:80/images", "registry.example", "/images"},
                          {"http://registry.example:443", "registry.example:443", ""},
                          {"https://registry.example:80", "registry.example:80", ""},
                          {"https://registry.example:5000/a/B.c", "registry.example:5000", "/a/B.c"},
                          {"https://[fd00::1]", "[fd00::1]", ""},
                          {"https://[::1]:8443/images", "[::1]:8443", "/images"}}) {
    CAPTURE(one.configured);
    const ExternalUrl read = ExternalUrl::of(one.configured);
    CHECK(read.host == one.host);
    CHECK(read.path == one.path);
  }
}

}  // namespace
}  // namespace stele
