// Another registry's document, of the kind that the first byte says. What comes out of it is a policy that
// loads.

#include "base/printable.hpp"
#include "policy/import/import.hpp"
#include "policy/load.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  if (size == 0) return 0;
  const std::string_view text = fuzz::text_of(data + 1, size - 1);
  const auto source = static_cast<policy::ImportSource>(data[0] % policy::import_sources().size());
  const policy::Imported imported = policy::import_policy(source, text, "document", "here");
  FUZZ_CHECK(imported.policy.empty() == !imported.problems.empty());
  for (const ConfigProblem& problem : imported.problems) {
    // A problem of the document, not of the policy that was made of it.
    FUZZ_CHECK(problem.file.starts_with("document"));
    FUZZ_CHECK(find_unprintable(problem.message) == std::string_view::npos);
  }
  if (imported.policy.empty()) return 0;
  FUZZ_CHECK(find_unprintable(imported.policy) == std::string_view::npos);
  FUZZ_CHECK(policy::load_policy(imported.policy, "policy.yaml").policy != nullptr);
  return 0;
}
