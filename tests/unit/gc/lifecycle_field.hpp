#pragma once
// What the cases of the field's rows have in common.

#include <algorithm>
#include <string>

#include "tests/unit/gc/lifecycle_fixture.hpp"

namespace stele::field_test {

using lifecycle_test::day;
using lifecycle_test::LifecycleFixture;
using lifecycle_test::name;
using lifecycle_test::tag;
using policy::Verdict;

inline constexpr std::int64_t hour = 3600;

inline const LifecycleFixture::Item& item(const LifecycleFixture::Plan& plan, const std::string& wanted,
                                          const std::string& digest = "") {
  const auto found = std::find_if(plan.items.begin(), plan.items.end(), [&](const auto& one) {
    return one.tag == wanted && (digest.empty() || one.digest == digest);
  });
  INFO(wanted << " " << digest);
  REQUIRE(found != plan.items.end());
  return *found;
}

inline std::string rules(const std::string& entries,
                         const std::string& settings = "max_fraction: 1.0, keep_last: 0") {
  return "\nlifecycle: {" + settings + "}\nlifecycle_rules:\n  - name: ci\n" + entries;
}

inline void collect_all(LifecycleFixture& fixture) {
  gc::Collector collector(fixture.context());
  for (bool more = true; more;) {
    const auto step = sync_wait(collector.step());
    REQUIRE(step.has_value());
    more = step->reviews > 0;
  }
}

}  // namespace stele::field_test
