// A policy file. What is accepted decides every name; what is refused says where and why, in bounded text.

#include "base/printable.hpp"
#include "policy/lifecycle_rules.hpp"
#include "policy/load.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  const std::string_view text = fuzz::text_of(data, size);
  const auto loaded = policy::load_policy(text, "policy.yaml");
  FUZZ_CHECK((loaded.policy == nullptr) == !loaded.problems.empty());
  for (const ConfigProblems& problems : {loaded.problems, loaded.warnings}) {
    FUZZ_CHECK(problems.size() <= ConfigProblems::limit + 1);
    for (const ConfigProblem& problem : problems) {
      FUZZ_CHECK(!problem.message.empty() && problem.message.size() < 2000);
      FUZZ_CHECK(find_unprintable(problem.message) == std::string_view::npos);
    }
  }
  if (!loaded.policy) return 0;
  FUZZ_CHECK(loaded.policy->source() == text);
  for (const char* tag : {"1.4.2", "latest", "sha-a1b2c3d", "x"}) {
    const policy::Match match = loaded.policy->tag_rule("prod/app", tag);
    FUZZ_CHECK(match.rule != nullptr && !match.rule->name.empty());
    FUZZ_CHECK(match.rule == &loaded.policy->otherwise() || !match.tag_pattern.empty());
  }
  for (const policy::Lifecycle::Rule* rule : loaded.policy->lifecycle()->rules_for("prod/app")) {
    FUZZ_CHECK(!rule->name.empty() && rule->keep.size() + rule->expire.size() > 0);
    for (const auto* entries : {&rule->keep, &rule->expire}) {
      for (const policy::Lifecycle::Entry& entry : *entries)
        FUZZ_CHECK(find_unprintable(entry.place) == std::string_view::npos);
    }
  }
  return 0;
}
