// A configuration file. What is accepted must survive being printed; what is refused must say where and why,
// in bounded text.

#include "base/printable.hpp"
#include "server/config/load.hpp"
#include "server/config/render.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace stele;
using namespace stele::fuzz;

void check_problems(const ConfigProblems& problems) {
  FUZZ_CHECK(!problems.empty());
  FUZZ_CHECK(problems.size() <= ConfigProblems::limit + 1);
  for (const auto& problem : problems) {
    FUZZ_CHECK(!problem.message.empty());
    FUZZ_CHECK(problem.message.size() < 2000);
    FUZZ_CHECK(problem.line >= 0 && problem.column >= 0);
    FUZZ_CHECK(find_unprintable(problem.message) == std::string_view::npos);
    FUZZ_CHECK(problem.message.find_first_of("\r\n") == std::string::npos);  // one line each
  }
}

// The printed configuration without its comments, which name origins.
std::string values_of(const LoadedConfig& loaded) {
  std::string printed = print_config(loaded);
  std::string values;
  for (std::size_t at = 0; at < printed.size();) {
    const std::size_t end = printed.find('\n', at);
    const std::string line = printed.substr(at, end - at);
    values += line.substr(0, line.rfind(" #")) + "\n";
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return values;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of(data, size);
  const auto loaded = parse_config_text(text, "fuzz.yaml");
  if (!loaded) {
    check_problems(loaded.error());
    return 0;
  }
  const auto again = parse_config_text(print_config(*loaded), "printed.yaml");
  FUZZ_CHECK(again.has_value());
  FUZZ_CHECK(values_of(*again) == values_of(*loaded));
  return 0;
}
