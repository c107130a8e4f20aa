#include "policy/section_reader.hpp"

#include <algorithm>
#include <charconv>

#include "base/printable.hpp"
#include "config/quantity.hpp"
#include "policy/pattern.hpp"
#include "policy/pattern_reach.hpp"

namespace stele::policy {
namespace {

constexpr std::size_t longest_name = 64;
constexpr std::int64_t longest_time = 100LL * 365 * 24 * 60 * 60;

}  // namespace

void SectionReader::fail(TextPosition at, std::string message) {
  loaded_.problems.add(file_, at, std::move(message));
}

void SectionReader::warn(TextPosition at, std::string message) {
  loaded_.warnings.add(file_, at, std::move(message));
}

void SectionReader::unknown_key(const YamlNode& child, std::span<const std::string_view> known,
                                const std::string& where) {
  std::string message = "unknown key " + in_quotes(child.key) + " " + where;
  const std::string_view meant = config::nearest(child.key, known);
  if (!meant.empty()) message += "; did you mean " + in_quotes(meant) + "?";
  fail(child.key_at, std::move(message));
}

bool SectionReader::read_text(const YamlNode& node, const std::string& what) {
  if (node.kind == YamlNode::Kind::scalar && !node.text.empty() && is_printable_line(node.text)) return true;
  if (node.kind == YamlNode::Kind::scalar && !node.text.empty()) {
    fail(node.at, what + " contains a control character or bytes that are not UTF-8");
  } else {
    fail(node.at, what + " must be a single value, not " +
                      (node.kind == YamlNode::Kind::scalar ? std::string("an empty one")
                                                           : std::string(config::kind_name(node.kind))));
  }
  return false;
}

bool SectionReader::read_name(const YamlNode& node, std::string& name) {
  if (!read_text(node, "name")) return false;
  if (node.text.size() > longest_name) {
    fail(node.at, "name is longer than " + std::to_string(longest_name) + " bytes");
    return false;
  }
  if (node.text == "default") {
    fail(node.at, "the name default is that of the rule for everything else; choose another");
    return false;
  }
  const auto [known, fresh] = names_.emplace(node.text, node.at.line);
  if (!fresh) {
    fail(node.at, "rule " + printable(node.text) + " already stands in line " +
                      std::to_string(known->second) +
                      "; refusals name the rule, so each needs a name of its own");
    return false;
  }
  name = node.text;
  return true;
}

void SectionReader::complain_of_missing_name(const YamlNode& rule) {
  if (std::any_of(rule.children.begin(), rule.children.end(),
                  [](const YamlNode& child) { return child.key == "name"; }))
    return;
  fail(rule.at, "a rule lacks its name, which stands in every refusal; write name: releases, for example");
}

void SectionReader::read_patterns(const YamlNode& node, const std::string& what,
                                  std::vector<std::string>& patterns) {
  patterns.clear();
  if (node.kind != YamlNode::Kind::sequence)
    return fail(node.at,
                what + " must be a list of patterns, not " + std::string(config::kind_name(node.kind)));
  bool positive = false, good = true;
  for (const YamlNode& item : node.children) {
    if (!read_text(item, "a pattern in " + what)) {
      good = false;
      continue;
    }
    if (const auto compiled = PatternList::compile({item.text}); !compiled) {
      fail(item.at, compiled.error().message());
      good = false;
      continue;
    }
    positive = positive || !item.text.starts_with('!');
    if (std::find(patterns.begin(), patterns.end(), item.text) != patterns.end())
      warn(item.at, "pattern " + in_quotes(item.text) + " stands in the list twice");
    if (what == "repositories" || what == "tags") {
      const std::string why =
          why_it_never_matches(item.text, what == "tags" ? PatternsOf::tags : PatternsOf::repositories);
      if (!why.empty()) warn(item.at, "pattern " + in_quotes(item.text) + " never matches: " + why);
    }
    patterns.push_back(item.text);
  }
  if (good && !positive)
    fail(node.at, what + " names nothing that it matches; to match all, write " + what +
                      ": [\"**\"], with exclusions behind it");
}

std::string SectionReader::read_word(const YamlNode& node, std::span<const std::string_view> words) {
  if (std::find(words.begin(), words.end(), node.text) != words.end()) return node.text;
  std::string listed;
  for (std::size_t i = 0; i < words.size(); ++i)
    listed += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + std::string(words[i]);
  const std::string_view meant = config::nearest(node.text, words);
  fail(node.at, node.key + " must be " + listed + ", not " + in_quotes(node.text) +
                    (meant.empty() ? "" : "; did you mean " + in_quotes(meant) + "?"));
  return {};
}

void SectionReader::read_duration(const YamlNode& node, std::int64_t& seconds) {
  struct Unit {
    std::string_view name;
    std::int64_t seconds;
  };
  constexpr Unit units[] = {
      {"s", 1}, {"m", 60}, {"h", 60 * 60}, {"d", 24 * 3600}, {"w", 7 * 24 * 3600}, {"y", 365LL * 24 * 3600}};
  const std::string& text = node.text;
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& unit : units) {
    if (error != std::errc() || rest != unit.name || count < 1 || count > longest_time / unit.seconds)
      continue;
    seconds = count * unit.seconds;
    return;
  }
  fail(node.at,
       node.key +
           " must be a time such as 90d or 7y (units s, m, h, d, w, y; y is 365 days; at most 100y), not " +
           in_quotes(text));
}

void SectionReader::read_size(const YamlNode& node, std::optional<std::uint64_t>& bytes) {
  const auto size = config::parse_size(node.text);
  if (size && *size > 0 && *size <= INT64_MAX) {
    bytes = *size;
    return;
  }
  fail(node.at, node.key +
                    " must be a number of bytes above 0, or one with KiB, MiB or GiB, such as 50GiB, not " +
                    in_quotes(node.text));
}

}  // namespace stele::policy
