#include "api/oci/route.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "api/error_response.hpp"
#include "tests/support/catch.hpp"

namespace stele::api {
namespace {

using oci::Endpoint;

TEST_CASE("api: paths are read from the right") {
  struct Case {
    const char* path;
    Endpoint endpoint;
    const char* name;
    const char* tail;
  };
  const std::string digest = "sha256:" + std::string(64, 'a');
  for (const Case& entry :
       {Case{"/v2/", Endpoint::version, "", ""}, Case{"/v2", Endpoint::version, "", ""},
        Case{"/v2/_catalog", Endpoint::catalog, "", ""}, Case{"/v2/a/tags/list", Endpoint::tags, "a", ""},
        Case{"/v2/a/b/manifests/v1", Endpoint::manifest, "a/b", "v1"},
        Case{"/v2/a/blobs/b/manifests/v1", Endpoint::manifest, "a/blobs/b", "v1"},
        Case{"/v2/a/manifests/tags/list", Endpoint::tags, "a/manifests", ""},
        Case{"/v2/manifests/manifests/manifests", Endpoint::manifest, "manifests", "manifests"},
        Case{"/v2/a/blobs/uploads/", Endpoint::uploads, "a", ""},
        Case{"/v2/a/blobs/uploads", Endpoint::uploads, "a", ""},
        Case{"/v2/a/blobs/uploads/0123", Endpoint::upload, "a", "0123"},
        Case{"/v2/a/manifests/sha256%3Aaa", Endpoint::manifest, "a", "sha256:aa"},
        Case{"/v2/a%2Fb/manifests/x", Endpoint::manifest, "a/b", "x"},
        Case{"/v2/a/_oci/ext/discover", Endpoint::discover, "a", ""},
        Case{"/v2/a/referrers/sha256:aa", Endpoint::referrers, "a", "sha256:aa"}}) {
    INFO(entry.path);
    const auto route = oci::parse_route(entry.path);
    REQUIRE(route.has_value());
    CHECK(route->endpoint == entry.endpoint);
    CHECK((route->name ? route->name->str() : "") == entry.name);
    CHECK(route->tail == entry.tail);
  }
  for (const char* path : {"/", "/v1/", "/v2x", "/v2//manifests/x", "/v2/manifests/x", "/v2/a/manifests/",
                           "/v2/a/other/x", "/v2/../manifests/x", "/v2/A/manifests/x", "/v2/a%00/manifests/x",
                           "/v2/%zz", "/v2/%c0%ae/manifests/x"}) {
    INFO(path);
    CHECK_FALSE(oci::parse_route(path).has_value());
  }
}

TEST_CASE("api: every condition has a status and a code of the specification") {
  const std::set<std::string_view> codes{"BLOB_UNKNOWN",     "BLOB_UPLOAD_INVALID",   "BLOB_UPLOAD_UNKNOWN",
                                         "DIGEST_INVALID",   "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID",
                                         "MANIFEST_UNKNOWN", "NAME_INVALID",          "NAME_UNKNOWN",
                                         "SIZE_INVALID",     "UNAUTHORIZED",          "DENIED",
                                         "UNSUPPORTED",      "TOOMANYREQUESTS",       "UNKNOWN",
                                         "UNAVAILABLE"};
  for (int i = 0; i <= static_cast<int>(Errc::internal); ++i) {
    const auto code = static_cast<Errc>(i);
    INFO(to_string(code));
    const ErrorForm form = form_of(code);
    CHECK(form.status >= 400);
    CHECK(codes.contains(form.code));
    if (form.status >= 500) CHECK((form.code == "UNKNOWN" || form.code == "UNAVAILABLE"));
  }
}

TEST_CASE("api: an error's answer is JSON, whatever the message quotes") {
  const auto response = error_response(Error(Errc::name_invalid, "bad \"\x01\xff").with("key", "\xfe"));
  const auto body = nlohmann::json::parse(response.text());
  CHECK(response.status() == 400);
  CHECK(body["errors"].size() == 1);
  CHECK(body["errors"][0]["code"] == "NAME_INVALID");
  CHECK(body["errors"][0]["detail"].contains("key"));
  CHECK(response.header_value("Content-Type") == "application/json");
  CHECK(error_response(503, "later").header_value("Retry-After") == "5");
}

}  // namespace
}  // namespace stele::api
