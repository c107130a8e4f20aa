// Whom not to ask for a while, on a clock that the test moves.

#include "mirror/breaker.hpp"

#include "tests/support/catch.hpp"

namespace stele::mirror {
namespace {

using std::chrono::seconds;
const Breaker::Time start{seconds(1000)};
const Error down(Errc::forbidden, "no answer");

TEST_CASE("mirror breaker: a failure closes the way for 5 s, twice as long each time, at most 300 s") {
  Breaker breaker;
  CHECK_FALSE(breaker.open(start));
  Breaker::Time now = start;
  for (const int pause : {5, 10, 20, 40, 80, 160, 300, 300}) {
    breaker.failed(down, now);
    CHECK(breaker.open(now + seconds(pause - 1)));
    now += seconds(pause);
    CHECK_FALSE(breaker.open(now));
  }
  breaker.worked();
  breaker.failed(down, now);
  CHECK_FALSE(breaker.open(now + seconds(5)));
}

TEST_CASE("mirror breaker: the refusal keeps the cause and says when it is asked again") {
  Breaker breaker;
  breaker.failed(down, start);
  const auto error = breaker.open(start + seconds(2));
  REQUIRE(error);
  CHECK(error->code() == Errc::forbidden);
  CHECK(error->message() == "no answer; asked again in 3 s");
  REQUIRE(error->details().size() == 1);
  CHECK(error->details().front().key == "retry_after");
  CHECK(error->details().front().value == "3");
  CHECK(breaker.left(start + seconds(2)) == seconds(3));
  CHECK(breaker.left(start + seconds(5)) == seconds(0));
}

TEST_CASE(
    "mirror breaker: a 429 is obeyed for as long as it says, 1 s to an hour, a minute if it is silent") {
  const auto closed_for = [](std::optional<seconds> said, int expected) {
    Breaker breaker;
    breaker.limited(said, down, start);
    return breaker.open(start + seconds(expected) - std::chrono::milliseconds(1)) &&
           !breaker.open(start + seconds(expected));
  };
  CHECK(closed_for(seconds(7), 7));
  CHECK(closed_for(std::nullopt, 60));
  CHECK(closed_for(seconds(0), 1));
  CHECK(closed_for(seconds(-5), 1));
  CHECK(closed_for(seconds(1'000'000), 3600));
}

}  // namespace
}  // namespace stele::mirror
