// What the readers of other registries' clean-up rules share.

#include <algorithm>
#include <charconv>

#include "base/printable.hpp"
#include "base/reference.hpp"
#include "policy/import/importer.hpp"
#include "policy/pattern.hpp"

namespace stele::policy {
namespace {

constexpr std::size_t longest_name = 48;  // of a rule, before its number
constexpr std::int64_t longest_time = 100LL * 365 * 24 * 3600;
constexpr std::uint32_t largest_number = 1'000'000;
constexpr std::size_t most_patterns = 10'000;

std::size_t count_patterns(const LifecycleRule& rule) {
  std::size_t count = rule.repositories.size();
  for (const auto* entries : {&rule.keep, &rule.expire}) {
    for (const LifecycleEntry& entry : *entries) count += entry.tags.size();
  }
  return count;
}

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

std::int64_t seconds_of(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3600;
    case 'd':
      return 24LL * 3600;
    default:
      return 0;
  }
}

// Numbers, each with its unit; nothing for anything else, and for what is no time at all.
std::optional<std::int64_t> parse_seconds(std::string_view text) {
  std::int64_t sum = 0;
  while (!text.empty()) {
    std::int64_t count = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const std::int64_t unit = text.empty() ? 0 : seconds_of(text.front());
    if (failed != std::errc() || unit == 0 || count < 0 || count > longest_time / unit) return std::nullopt;
    sum += count * unit;
    if (sum > longest_time) return std::nullopt;
    text.remove_prefix(1);
  }
  if (sum < 1) return std::nullopt;
  return sum;
}

void move_to(TextPosition at, config::YamlNode& node) {
  node.at = at;
  node.key_at = at;
  for (config::YamlNode& child : node.children) move_to(at, child);
}

}  // namespace

void Importer::add_lifecycle(std::string_view name, std::vector<std::string> repositories,
                             std::vector<LifecycleEntry> keep, std::vector<LifecycleEntry> expire) {
  if (keep.empty() && expire.empty()) return;
  std::string plain(name.substr(0, longest_name));
  std::replace_if(plain.begin(), plain.end(), [](char c) { return !is_plain(c); }, '-');
  LifecycleRule rule{plain, std::move(repositories), std::move(keep), std::move(expire)};
  int& number = lifecycle_names_[plain];
  while (++number > 1) {
    rule.name = plain + "-" + std::to_string(number);
    if (lifecycle_names_.emplace(rule.name, 1).second) break;
  }
  lifecycle_patterns_ += count_patterns(rule);
  if (lifecycle_patterns_ > most_patterns) {
    return fail({1, 1}, "the lifecycle rules would hold more than " + std::to_string(most_patterns) +
                            " patterns; import the document in parts");
  }
  lifecycle_.push_back(std::move(rule));
  differs("lifecycle rules",
          "no run starts by itself until the section lifecycle has a schedule. See what they would remove "
          "first (stele lifecycle plan)");
  differs(
      "lifecycle rules",
      "an image that has several tags goes there with all of them; here each tag is judged by itself, and "
      "the image stays until its last tag goes");
  differs("lifecycle rules",
          "ages count from when the tag was bound to the image, there from when the image was pushed");
  differs("lifecycle rules",
          "what belongs to an image that stays (platforms of an index, signatures, attestations) stays with "
          "it, is not counted, and goes with it; the last image of a repository stays (lifecycle.keep_last)");
}

void Importer::say_nothing_is_protected() {
  differs("tag rules",
          "the document has none, so all tags are mutable here and none is protected. To keep your own, take "
          "only lifecycle_rules over into your policy; an immutable tag is never expired then");
}

void Importer::left_out(const std::string& subject, const std::string& why) {
  differs(subject, "left out, so that what it removes stays: " + why);
}

std::optional<std::uint32_t> Importer::number_member(const YamlNode& node, std::string_view key,
                                                     const std::string& subject, std::uint32_t lowest) {
  const std::string_view text = text_member(node, key);
  std::uint32_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (!text.empty() && failed == std::errc() && end == text.data() + text.size() && number >= lowest &&
      number <= largest_number)
    return number;
  fail(node.at, subject + ": " + std::string(key) + " must be a whole number from " + std::to_string(lowest) +
                    " to " + std::to_string(largest_number) + ", not " + in_quotes(text));
  return std::nullopt;
}

std::optional<std::int64_t> Importer::seconds_member(const YamlNode& node, std::string_view key,
                                                     const std::string& subject) {
  const std::string_view text = text_member(node, key);
  const auto seconds = parse_seconds(text);
  if (!seconds)
    fail(node.at, subject + ": " + std::string(key) + " must be a time such as 30d, 720h or 2592000s, not " +
                      in_quotes(text));
  return seconds;
}

std::string Importer::path_under(TextPosition at, const std::string& what) {
  if (under_.empty()) {
    fail(at, what + ", and a rule that removes must not be guessed at; name it with --under PATH");
    return {};
  }
  if (RepositoryName::parse(under_)) return std::string(under_);
  fail(at, "--under " + in_quotes(under_) + " cannot be the name of a repository here");
  return {};
}

bool Importer::parse_inside(const YamlNode& node, YamlNode& parsed) {
  ConfigProblems problems;
  if (!config::parse_yaml(node.text, file_, parsed, problems) || !problems.empty()) {
    fail(node.at, node.key + " is not a document itself: " +
                      (problems.empty() ? std::string("it is empty") : problems.begin()->message));
    return false;
  }
  move_to(node.at, parsed);
  return true;
}

std::string Importer::anywhere(const YamlNode& regex, const std::string& subject) {
  // By itself first: "a)(b" becomes an expression only between our brackets.
  if (regex.kind != YamlNode::Kind::scalar || regex.text.empty() || !is_printable_line(regex.text)) {
    fail(regex.at, subject + ": a pattern must be a regular expression in one line");
    return {};
  }
  if (regex.text == ".*" || regex.text == "^.*$") return "**";
  std::string pattern = "/.*(?:" + regex.text + ").*/";
  for (const std::string& text : {"/" + regex.text + "/", pattern}) {
    if (const auto compiled = PatternList::compile({text}); !compiled) {
      fail(regex.at, subject + ": " + compiled.error().message());
      return {};
    }
  }
  return pattern;
}

}  // namespace stele::policy
