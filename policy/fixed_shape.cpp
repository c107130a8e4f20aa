#include "policy/fixed_shape.hpp"

#include <re2/re2.h>

namespace stele::policy {
namespace {

bool is(std::string_view tag, const RE2& shape) {
  return RE2::FullMatch(re2::StringPiece(tag.data(), tag.size()), shape);
}

}  // namespace

std::string_view fixed_shape(std::string_view tag) {
  static const RE2 date(
      R"((?:.*[-_.])?20\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])(?:[-_.T]?\d+Z?)*)");
  static const RE2 version(R"((?:.*[-_])?[vV]?\d+(?:\.\d+){2,}(?:[-_.].*)?)");
  static const RE2 hex(R"((?:.*[-_.])?[0-9a-f]{7,128})");
  static const RE2 letter_and_digit(R"(.*(?:[a-f][0-9a-f]*[0-9]|[0-9][0-9a-f]*[a-f])[0-9a-f]*)");
  if (is(tag, date)) return "date";
  if (is(tag, version)) return "version";
  const std::string_view last = tag.substr(tag.find_last_of("-_.") + 1);  // npos + 1 is 0
  if (is(tag, hex) && is(last, letter_and_digit)) return "commit";
  return {};
}

}  // namespace stele::policy
