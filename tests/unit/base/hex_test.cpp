#include "base/hex.hpp"

#include "tests/support/catch.hpp"

using namespace stele;

TEST_CASE("bytes as hexadecimal digits, and back") {
  const std::vector<unsigned char> bytes{0x00, 0x0f, 0xa0, 0xff};
  CHECK(to_hex(bytes) == "000fa0ff");
  CHECK(from_hex("000fa0ff") == bytes);
  CHECK(from_hex("") == std::vector<unsigned char>());
  std::string text = "\\x";
  append_hex(text, 0x1b);
  CHECK(text == "\\x1b");
}

TEST_CASE("one value has one spelling in hexadecimal digits") {
  for (const char* text : {"0", "000", "0g", "0F", "A0", " 0", "0x", "-1", "\xc3\xbc"}) {
    CAPTURE(text);
    CHECK_FALSE(from_hex(text).has_value());
  }
}
