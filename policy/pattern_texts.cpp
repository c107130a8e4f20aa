#include "policy/pattern_texts.hpp"

#include <algorithm>
#include <string_view>

#include "policy/pattern.hpp"

namespace stele::policy {
namespace {

constexpr std::string_view signatures = "@signature";

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool is_glob(std::string_view pattern) {
  return !pattern.starts_with('@') && !pattern.starts_with('/');
}

// What every text that the glob matches begins with.
std::string_view fixed_beginning(std::string_view glob) {
  return glob.substr(0, glob.find_first_of("*?{"));
}

bool is_literal(std::string_view pattern) {
  return is_glob(pattern) && pattern.find_first_of("*?{}") == std::string_view::npos;
}

bool literal_misses(const std::string& literal, const std::string& pattern) {
  const auto list = PatternList::compile({pattern});
  return list && !list->matches(literal);
}

bool begin_apart(std::string_view a, std::string_view b) {
  return !a.starts_with(b) && !b.starts_with(a);
}

bool patterns_apart(const std::string& a, const std::string& b) {
  if (is_literal(a)) return literal_misses(a, b);
  if (is_literal(b)) return literal_misses(b, a);
  if (is_glob(a) && is_glob(b)) return begin_apart(fixed_beginning(a), fixed_beginning(b));
  // A commit ends in hex digits; of snapshots only those with one short part behind the word, and then no
  // "sha" stands before it.
  if ((a == "@sha" && b == "@snapshot") || (a == "@snapshot" && b == "@sha")) return true;
  if (a != signatures && b != signatures) return false;
  // A digest as a tag, sha256-<hex>: no other preset matches one.
  const std::string& other = a == signatures ? b : a;
  if (other.starts_with('@')) return other != signatures;
  return is_glob(other) && begin_apart(fixed_beginning(other), "sha256-") &&
         begin_apart(fixed_beginning(other), "sha512-");
}

}  // namespace

bool surely_covers(const std::vector<std::string>& wide, const std::vector<std::string>& narrow,
                   PatternsOf what) {
  for (const std::string& pattern : wide) {
    if (pattern.starts_with('!') && !contains(narrow, pattern)) return false;
  }
  if (contains(wide, "**") || (what == PatternsOf::tags && contains(wide, "*"))) return true;
  return std::all_of(narrow.begin(), narrow.end(), [&](const std::string& pattern) {
    return pattern.starts_with('!') || contains(wide, pattern);
  });
}

bool surely_apart(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::all_of(a.begin(), a.end(), [&](const std::string& first) {
    return first.starts_with('!') || std::all_of(b.begin(), b.end(), [&](const std::string& second) {
             return second.starts_with('!') || patterns_apart(first, second);
           });
  });
}

}  // namespace stele::policy
