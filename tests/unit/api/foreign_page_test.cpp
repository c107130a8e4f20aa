#include "api/admin/foreign_page.hpp"

#include "tests/support/catch.hpp"

namespace stele::api {
namespace {

struct Asked {
  http::RequestHead head;
  Identity identity;
  Asked(http::Method method, std::vector<http::Field> fields) {
    head.method = method;
    head.fields = std::move(fields);
    identity.method = Identity::Method::loopback;
  }
  bool refused(std::string_view external = "registry.example.com", bool encrypted = false) const {
    return !refuse_foreign_page(head, identity, external, encrypted).has_value();
  }
};

using http::Method;

TEST_CASE("api: a change needs a content type that no foreign page can send") {
  const http::Field host{"Host", "127.0.0.1:5000"};
  for (const char* type : {"application/json", "Application/JSON", "application/json; charset=utf-8"})
    CHECK_FALSE(Asked(Method::post, {host, {"Content-Type", type}}).refused());
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "",
                           "application/jsonp", "text/plain; application/json"})
    CHECK(Asked(Method::post, {host, {"Content-Type", type}}).refused());
  for (const Method method : {Method::post, Method::put, Method::del, Method::patch, Method::other})
    CHECK(Asked(method, {host}).refused());
  CHECK_FALSE(Asked(Method::get, {host}).refused());
}

TEST_CASE("api: a change does not come from a page of others") {
  const http::Field host{"Host", "127.0.0.1:5000"};
  const http::Field json{"Content-Type", "application/json"};
  for (const char* origin : {"http://127.0.0.1:5000", "https://registry.example.com"})
    CHECK_FALSE(Asked(Method::post, {host, json, {"Origin", origin}}).refused());
  for (const char* origin : {"null", "http://evil.example", "http://127.0.0.1:8080", "http://127.0.0.1",
                             "https://registry.example.com.evil.example", "127.0.0.1:5000"})
    CHECK(Asked(Method::post, {host, json, {"Origin", origin}}).refused());
  for (const char* site : {"same-origin", "none"})
    CHECK_FALSE(Asked(Method::del, {host, json, {"Sec-Fetch-Site", site}}).refused());
  for (const char* site : {"cross-site", "same-site", "anything"})
    CHECK(Asked(Method::del, {host, json, {"Sec-Fetch-Site", site}}).refused());
}

TEST_CASE("api: a page that anybody on the way can have written is not the registry's own (A21)") {
  const http::Field json{"Content-Type", "application/json"};
  for (const char* host : {"registry.example.com", "127.0.0.1:5000"}) {
    const auto asked = [&](const std::string& scheme, std::vector<http::Field> more = {}) {
      const std::string origin = scheme + host;
      std::vector<http::Field> fields{{"Host", host}, json, {"Origin", origin}};
      fields.insert(fields.end(), more.begin(), more.end());
      const bool over_tls = Asked(Method::post, fields).refused("registry.example.com", true);
      const bool plain = Asked(Method::post, fields).refused();
      return std::pair(over_tls, plain);
    };
    CHECK(asked("http://") == std::pair(true, false));
    CHECK(asked("https://") == std::pair(false, false));
    const http::Field forwarded{"X-Forwarded-Proto", "https"};
    CHECK(asked("http://", {forwarded}) == std::pair(true, true));
    CHECK(asked("https://", {forwarded}) == std::pair(false, false));
  }
}

TEST_CASE("api: rights of the place are not for a name that a page may have chosen") {
  for (const char* host : {"127.0.0.1", "127.0.0.1:5000", "[::1]:5000", "[::1]", "localhost",
                           "LocalHost:5000", "registry.example.com"}) {
    INFO(host);
    CHECK_FALSE(Asked(Method::get, {{"Host", host}}).refused());
  }
  for (const char* host : {"evil.example:5000", "127.0.0.1.evil.example", "localhost.evil.example", "",
                           "[::1", "registry.example.com:1", "1.2.3"}) {
    INFO(host);
    Asked asked(Method::get, {{"Host", host}});
    CHECK(asked.refused());
    // Who has no right because of the place loses none by a name.
    asked.identity.method = Identity::Method::none;
    CHECK_FALSE(asked.refused());
  }
  CHECK(Asked(Method::get, {{"Host", "registry.example.com"}}).refused(""));
}

TEST_CASE("api: no browser reaches the local socket") {
  Asked asked(Method::post, {{"Host", "anything"}});
  asked.identity.method = Identity::Method::socket;
  CHECK_FALSE(asked.refused());
}

}  // namespace
}  // namespace stele::api
