#include "api/hold_details.hpp"

#include "tests/support/catch.hpp"

namespace stele::api {
namespace {

TEST_CASE("api: what a hold is about is told to who may see holds, and to nobody else") {
  const Error held = Error(Errc::refused_by_policy, "x is under the legal hold merger (case 42), set by bob")
                         .with("reason", "HELD")
                         .with("hold", "merger")
                         .with("case", "42");
  const auth::Access access;
  Identity somebody;
  const Error told = for_the_eyes_of(somebody, access, held, "prod/app");
  CHECK(told.code() == held.code());
  REQUIRE(told.details().size() == 1);
  CHECK(told.details()[0].value == "HELD");
  for (const char* secret : {"merger", "42", "bob"}) CHECK(told.message().find(secret) == std::string::npos);

  somebody.method = Identity::Method::loopback;
  CHECK(for_the_eyes_of(somebody, access, held, "prod/app").message() == held.message());
  CHECK(for_the_eyes_of(somebody, access, held, "prod/app").details().size() == 3);

  const Error locked = Error(Errc::refused_by_policy, "x is locked").with("reason", "LOCKED");
  CHECK(for_the_eyes_of({}, access, locked, "prod/app").message() == locked.message());
}

}  // namespace
}  // namespace stele::api
