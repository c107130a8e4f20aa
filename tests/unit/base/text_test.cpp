#include "base/text.hpp"

#include "tests/support/catch.hpp"

using namespace stele;

TEST_CASE("text: blanks around it, capital letters, the last segment of a path") {
  CHECK(trimmed(" \t a b\t ") == "a b");
  CHECK(trimmed(" \t ").empty());
  CHECK(trimmed("\na\n") == "\na\n");
  CHECK(trimmed("\na\n", "\n") == "a");
  CHECK(lower_case("Registry.EXAMPLE:5000/[Z]@`") == "registry.example:5000/[z]@`");
  CHECK(lower_case("\xc3\x84") == "\xc3\x84");  // of ASCII alone
  std::string_view path = "a/b/c";
  CHECK(take_last_segment(path) == "c");
  CHECK(take_last_segment(path) == "b");
  CHECK(take_last_segment(path) == "a");
  CHECK(path.empty());
}
