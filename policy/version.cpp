#include "policy/version.hpp"

#include <algorithm>
#include <charconv>

namespace stele::policy {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t dot = text.find('.');
    parts.push_back(text.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    text.remove_prefix(dot + 1);
  }
}

int sign(int value) {
  return (value > 0) - (value < 0);
}

// Numbers of any length, without leading zeros in mind.
int compare_numbers(std::string_view a, std::string_view b) {
  const auto strip = [](std::string_view& text) {
    while (text.size() > 1 && text.front() == '0') text.remove_prefix(1);
  };
  strip(a);
  strip(b);
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return sign(a.compare(b));
}

int compare_identifiers(std::string_view a, std::string_view b) {
  const bool a_number = is_number(a), b_number = is_number(b);
  if (a_number && b_number) return compare_numbers(a, b);
  if (a_number != b_number) return a_number ? -1 : 1;
  return sign(a.compare(b));
}

}  // namespace

std::optional<Version> parse_version(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  text = text.substr(0, text.find_first_of("+_"));
  Version version;
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    version.pre_release = split(text.substr(dash + 1));
    for (const std::string_view part : version.pre_release) {
      if (part.empty()) return std::nullopt;
    }
    text = text.substr(0, dash);
  }
  const auto numbers = split(text);
  if (numbers.size() > 4) return std::nullopt;
  version.written = numbers.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (!is_number(numbers[i])) return std::nullopt;
    const auto [end, failed] =
        std::from_chars(numbers[i].data(), numbers[i].data() + numbers[i].size(), version.numbers[i]);
    if (failed != std::errc()) return std::nullopt;
  }
  return version;
}

bool is_full_version(std::string_view tag) {
  const auto version = parse_version(tag);
  return version && version->written >= 3;
}

int compare(const Version& a, const Version& b) {
  for (std::size_t i = 0; i < 4; ++i) {
    if (a.numbers[i] != b.numbers[i]) return a.numbers[i] < b.numbers[i] ? -1 : 1;
  }
  if (a.pre_release.empty() != b.pre_release.empty()) return a.pre_release.empty() ? 1 : -1;
  for (std::size_t i = 0; i < std::min(a.pre_release.size(), b.pre_release.size()); ++i) {
    if (const int order = compare_identifiers(a.pre_release[i], b.pre_release[i])) return order;
  }
  return a.pre_release.size() == b.pre_release.size()  ? 0
         : a.pre_release.size() < b.pre_release.size() ? -1
                                                       : 1;
}

}  // namespace stele::policy
