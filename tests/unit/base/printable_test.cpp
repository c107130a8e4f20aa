#include "base/printable.hpp"

#include "tests/support/catch.hpp"

using namespace stele;

TEST_CASE("what a stranger sent stays on its line, in UTF-8 and short") {
  CHECK(in_quotes("a\nb\"c\x1b[1m") == "\"a?b?c?[1m\"");
  CHECK(in_quotes("gr\xc3\xbc\xc3\x9f"
                  "e") ==
        "\"gr\xc3\xbc\xc3\x9f"
        "e\"");
  CHECK(printable("\xff\xc3") == "??");
  CHECK(printable("\xc2\x9b") == "?");        // C1: a terminal's CSI
  CHECK(printable("\xed\xa0\x80") == "???");  // a surrogate
  CHECK(printable("\xc0\xaf") == "??");       // overlong
  CHECK(printable("\xe0\x80\xaf") == "???");
  CHECK(printable("\xf4\x90\x80\x80") == "????");  // beyond the last code point
  CHECK(printable("\xe2\x82") == "??");            // cut short
  CHECK(printable("").empty());
}

TEST_CASE("a message does not grow with what was sent") {
  CHECK(printable("12345", 5) == "12345");
  CHECK(printable("123456", 5) == "12345…");
  CHECK(printable("1234\xc3\xbc\xc3\xbc", 5) == "1234\xc3\xbc…");  // never half a character
  CHECK(in_quotes(std::string(100'000, 'x')).size() < 200);
}
