#include "gc/lifecycle/pace.hpp"

#include <thread>

#include "gc/write_now.hpp"
#include "tests/support/registry_fixture.hpp"

namespace stele::pace_test {
namespace {

void write(sql::Writer& writer, int times) {
  for (int i = 0; i < times; ++i) {
    const Result<void> written = gc::write_now(writer, {}, [](sql::Tx&) -> Result<void> { return {}; });
    REQUIRE(written.has_value());
  }
}

TEST_CASE("lifecycle: a clean-up does less at a time and rests longer while others write (I10)") {
  using std::chrono::milliseconds;
  RegistryFixture fixture;
  gc::Pace pace(*fixture.writer, 8, 3);
  CHECK(pace.longest() == 80);
  CHECK(pace.size() == 8);
  write(*fixture.writer, 2);  // a step of its own
  CHECK(pace.size() == 8);
  CHECK(pace.rest(milliseconds(5)) == milliseconds(5));
  write(*fixture.writer, 3);
  CHECK(pace.size() == 3);
  CHECK(pace.rest(milliseconds(5)) == milliseconds(10));
  CHECK(pace.rest(std::chrono::hours(1)) == std::chrono::seconds(1));
  while (pace.size() != 8) std::this_thread::sleep_for(milliseconds(10));  // they have gone
  gc::Pace small(*fixture.writer, 2, 50);
  write(*fixture.writer, 3);
  CHECK(small.size() == 2);
}

}  // namespace
}  // namespace stele::pace_test
