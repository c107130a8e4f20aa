#include "policy/pattern.hpp"

#include <re2/re2.h>

#include <stdexcept>

#include "base/printable.hpp"
#include "policy/presets.hpp"

namespace stele::policy {
namespace {

Error invalid(std::string_view pattern, const std::string& why) {
  return Error(Errc::parameter_invalid, "pattern " + in_quotes(pattern) + ": " + why);
}

}  // namespace

PatternList::PatternList() = default;
PatternList PatternList::of_checked(const std::vector<std::string>& patterns) {
  auto list = compile(patterns);
  if (!list) throw std::invalid_argument(list.error().message());
  return std::move(*list);
}

PatternList::PatternList(PatternList&&) noexcept = default;
PatternList& PatternList::operator=(PatternList&&) noexcept = default;
PatternList::~PatternList() = default;

Result<std::string> glob_to_regex(std::string_view glob, bool begins_segment) {
  std::string regex;
  // For each open brace, whether it began a path segment: then each of its alternatives does.
  std::vector<bool> braces;
  for (std::size_t i = 0; i < glob.size(); ++i) {
    const char c = glob[i];
    const bool first_of_segment = begins_segment;
    begins_segment = c == '/';
    if (c == '*' && first_of_segment && glob.substr(i).starts_with("**/")) {
      regex += "(?:.*/)?";  // folders, and also none
      begins_segment = true;
      i += 2;
    } else if (c == '*') {
      const bool across = i + 1 < glob.size() && glob[i + 1] == '*';
      regex += across ? ".*" : "[^/]*";
      if (across) ++i;
    } else if (c == '?') {
      regex += "[^/]";
    } else if (c == '{') {
      regex += "(?:";
      braces.push_back(first_of_segment);
      begins_segment = first_of_segment;
    } else if (c == '}') {
      if (braces.empty()) return invalid(glob, "'}' without '{'");
      braces.pop_back();
      regex += ')';
    } else if (c == ',' && !braces.empty()) {
      regex += '|';
      begins_segment = braces.back();
    } else {
      regex += RE2::QuoteMeta(re2::StringPiece(&glob[i], 1));
    }
  }
  if (!braces.empty()) return invalid(glob, "'{' without '}'");
  return regex;
}

Result<std::string> pattern_to_regex(std::string_view pattern) {
  if (pattern.size() >= 2 && pattern.front() == '/' && pattern.back() == '/')
    return std::string(pattern.substr(1, pattern.size() - 2));
  if (!pattern.starts_with('@')) return glob_to_regex(pattern);
  if (const Preset* preset = find_preset(pattern)) return std::string(preset->regex);
  std::string known;
  for (const Preset& preset : presets()) known += (known.empty() ? "" : ", ") + std::string(preset.name);
  return invalid(pattern, "there is no such preset; known are " + known);
}

Result<PatternList> PatternList::compile(const std::vector<std::string>& patterns) {
  PatternList list;
  for (const std::string& text : patterns) {
    std::string_view pattern = text;
    const bool negative = pattern.starts_with('!');
    if (negative) pattern.remove_prefix(1);
    if (pattern.empty()) return invalid(text, "is empty");
    const auto regex = pattern_to_regex(pattern);
    if (!regex) return regex.error();
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    auto compiled = std::make_unique<RE2>(*regex, options);
    if (!compiled->ok()) return invalid(text, compiled->error());
    (negative ? list.negatives_ : list.positives_).push_back(std::move(compiled));
  }
  return list;
}

bool PatternList::matches(std::string_view text) const {
  const auto any = [&](const auto& patterns) {
    for (const auto& pattern : patterns) {
      if (RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *pattern)) return true;
    }
    return false;
  };
  return any(positives_) && !any(negatives_);
}

}  // namespace stele::policy
