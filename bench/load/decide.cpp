#include "bench/load/decide.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "policy/load.hpp"

namespace stele::load {
std::string policy_text(unsigned rules) {
  std::string text = "version: 1\ntag_rules:\n";
  for (unsigned i = 0; i < rules; ++i) {
    const std::string number = std::to_string(i);
    text += "  - {name: rule-" + number + ", repositories: [\"team-" + number + "/**\", \"!team-" + number +
            "/play-*\"], tags: [\"@semver\", \"stable-" + number + "-*\"], mutability: immutable}\n";
  }
  return text;
}

namespace {

double nanoseconds(const policy::Policy& policy, const std::string& repository, const std::string& tag,
                   const std::string& expected, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto started = Clock::now();
  const auto until =
      started + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::uint64_t decisions = 0;
  while (Clock::now() < until) {
    for (int i = 0; i < 100; ++i, ++decisions) {
      if (policy.tag_rule(repository, tag).rule->name != expected)
        throw std::runtime_error(repository + ":" + tag + " is not decided by " + expected);
    }
  }
  return std::chrono::duration<double, std::nano>(Clock::now() - started).count() /
         static_cast<double>(decisions);
}

}  // namespace

std::string decide(unsigned rules, double seconds) {
  const auto loaded = policy::load_policy(policy_text(rules), "policy.yaml");
  if (!loaded.policy) throw std::runtime_error(loaded.problems.to_string());
  const auto measure = [&](unsigned number) {
    const std::string text = std::to_string(number);
    return nanoseconds(*loaded.policy, "team-" + text + "/some/app", "v1.42.7-rc.1", "rule-" + text,
                       seconds / 4);
  };
  const nlohmann::ordered_json report{
      {"rules", rules},
      {"first", measure(0)},
      {"middle", measure(rules / 2)},
      {"last", measure(rules - 1)},
      {"none", nanoseconds(*loaded.policy, "elsewhere/app", "v1.42.7-rc.1", "default", seconds / 4)}};
  return report.dump();
}

}  // namespace stele::load
