#include "auth/credentials.hpp"

#include "tests/support/catch.hpp"

namespace stele::auth {
namespace {

TEST_CASE("auth: Basic is a name, a colon and all the rest") {
  // "alice:p", "Ü:pä:ss", "alice:", ":x"
  for (const char* text : {"Basic YWxpY2U6cA==", "basic YWxpY2U6cA==", "BASIC   YWxpY2U6cA=="}) {
    const auto parsed = parse_authorization(text);
    REQUIRE(parsed.has_value());
    CHECK(parsed->user == "alice");
    CHECK(parsed->secret == "p");
  }
  const auto colons = parse_authorization("Basic w5w6cMOkOnNz");
  REQUIRE(colons.has_value());
  CHECK(colons->user == "Ü");
  CHECK(colons->secret == "pä:ss");
  CHECK(parse_authorization("Basic YWxpY2U6")->secret.empty());
  CHECK(parse_authorization("Basic Ong=")->user.empty());
}

TEST_CASE("auth: what cannot be read is refused, and nothing of it is quoted") {
  // No colon; NUL, LF in the password; not base 64; no scheme that is known.
  for (const char* text :
       {"Basic YWxpY2U=", "Basic YWxpY2U6AA==", "Basic YWxpY2U6cAo=", "Basic YWxpY2U6cA", "Basic !!!!",
        "Basic", "Basic ", "Digest YWxpY2U6cA==", "", "YWxpY2U6cA==", "Bearer", "Bearer ", "Bearer a b"}) {
    INFO(text);
    const auto parsed = parse_authorization(text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().code() == Errc::unauthorized);
    CHECK(parsed.error().message().find("YWx") == std::string::npos);
  }
  http::RequestHead request;
  CHECK(presented_credentials(request)->scheme == Credentials::Scheme::none);
  request.fields.push_back({"authorization", "Bearer abc"});
  CHECK(presented_credentials(request)->secret == "abc");
  request.fields.push_back({"Authorization", "Basic YWxpY2U6cA=="});
  CHECK_FALSE(presented_credentials(request).has_value());
}

}  // namespace
}  // namespace stele::auth
