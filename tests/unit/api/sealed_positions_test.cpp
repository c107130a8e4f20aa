#include "api/sealed_positions.hpp"

#include <set>

#include "tests/support/catch.hpp"

namespace stele::api {
namespace {

TEST_CASE("api: a sealed position tells nothing, not even a length, and opens only where it was made (I9)") {
  const SealedPositions positions, others;
  std::set<std::string> sealed;
  for (const std::string& name :
       {std::string("a"), std::string("secret/app"), std::string(255, 'x'), std::string()}) {
    for (int i = 0; i < 3; ++i) {
      const std::string position = positions.seal(name);
      CHECK(position.starts_with('~'));
      CHECK(position.size() == positions.seal("b").size());
      CHECK(sealed.insert(position).second);
      CHECK(positions.open(position).value() == name);
      CHECK_FALSE(others.open(position).has_value());
    }
  }
  const std::string good = positions.seal("secret/app");
  for (std::size_t at = 1; at < good.size(); at += 7) {
    std::string changed = good;
    changed[at] = changed[at] == '0' ? '1' : '0';
    CHECK_FALSE(positions.open(changed).has_value());
  }
  for (const std::string& bad : {std::string("~"), good.substr(0, good.size() - 2), good + "00",
                                 "~" + std::string(good.size() - 1, 'g')})
    CHECK_FALSE(positions.open(bad).has_value());
  CHECK(positions.open("team/a").value() == "team/a");
  CHECK(positions.open("").value().empty());
}

}  // namespace
}  // namespace stele::api
