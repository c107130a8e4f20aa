#include "policy/pattern_reach.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/printable.hpp"
#include "base/reference.hpp"

namespace stele::policy {
namespace {

constexpr std::size_t most_alternatives = 64;

// The texts that the braces stand for, innermost last; cut off past most_alternatives.
void expand(const std::string& glob, std::vector<std::string>& expanded) {
  const std::size_t close = glob.find('}');
  const std::size_t open = close == std::string::npos ? close : glob.rfind('{', close);
  if (open == std::string::npos) {
    if (expanded.size() < most_alternatives) expanded.push_back(glob);
    return;
  }
  for (std::size_t from = open + 1; from <= close && expanded.size() < most_alternatives;) {
    const std::size_t to = std::min(glob.find(',', from), close);
    expand(glob.substr(0, open) + glob.substr(from, to - from) + glob.substr(close + 1), expanded);
    from = to + 1;
  }
}

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_alphanumeric(char c) {
  return is_lower(c) || is_upper(c) || (c >= '0' && c <= '9');
}
bool is_separator(char c) {
  return c == '.' || c == '_' || c == '-';
}
bool is_wild(char c) {
  return c == '*' || c == '?';
}

std::string replaced(std::string text, char from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, 1, to);
  return text;
}

bool has_any(std::string_view text, std::string_view characters) {
  return text.find_first_of(characters) != std::string_view::npos;
}

// Spellings of other pattern languages; empty when it is none.
std::string of_another_language(const std::string& glob) {
  if (!has_any(glob, "[]\\^$()|")) return {};
  return "no name has " + in_quotes(std::string(1, glob[glob.find_first_of("[]\\^$()|")])) +
         "; a regular expression stands between slashes, as in /v[0-9]+/";
}

std::string in_list(const std::string& glob) {
  return "no name has a comma; write each as a pattern of its own (" + replaced(glob, ',', ", ") +
         "), or as alternatives in braces, {a,b}";
}

std::string too_long(std::string_view glob, std::size_t most) {
  const auto fixed = glob.size() - static_cast<std::size_t>(std::count(glob.begin(), glob.end(), '*'));
  return fixed > most ? "no name is longer than " + std::to_string(most) + " characters" : std::string();
}

std::string no_repository(const std::string& glob) {
  if (has_any(glob, ",")) return in_list(glob);
  if (has_any(glob, ":@"))
    return "a repository's name has no host and no tag: prod/app of registry.example.com:5000/prod/app:1.4";
  if (std::any_of(glob.begin(), glob.end(), is_upper)) {
    std::string lower = glob;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; });
    return "repository names are in lower case; did you mean " + in_quotes(lower) + "?";
  }
  if (std::string other = of_another_language(glob); !other.empty()) return other;
  if (glob.starts_with('/')) return "no name begins with /; did you mean " + in_quotes(glob.substr(1)) + "?";
  if (glob.ends_with('/')) return "no name ends with /; did you mean " + in_quotes(glob + "**") + "?";
  if (glob.find("//") != std::string::npos) return "no name has // in it";
  for (std::size_t i = 0; i < glob.size(); ++i) {
    const char c = glob[i];
    if (!is_alphanumeric(c) && !is_separator(c) && !is_wild(c) && c != '/')
      return "no repository's name has " + in_quotes(std::string(1, c)) + "; names are of a-z, 0-9 and ._-/";
    const bool first = i == 0 || glob[i - 1] == '/', last = i + 1 == glob.size() || glob[i + 1] == '/';
    if (is_separator(c) && (first || last))
      return "no part of a name begins or ends with " + in_quotes(std::string(1, c));
  }
  if (std::none_of(glob.begin(), glob.end(), is_wild)) {
    const auto name = RepositoryName::parse(glob);
    return name ? std::string() : name.error().message();
  }
  return too_long(glob, RepositoryName::max_bytes);
}

std::string no_tag(const std::string& glob) {
  if (has_any(glob, ",")) return in_list(glob);
  if (has_any(glob, ":"))
    return "a tag has no colon; repositories and tags stand in lists of their own, and digests are no tags";
  if (has_any(glob, "+") && !has_any(glob, "/[]\\^$()|")) {
    return "no tag has +, which tools write as _; did you mean " + in_quotes(replaced(glob, '+', "_")) + "?";
  }
  if (std::string other = of_another_language(glob); !other.empty()) return other;
  if (glob.starts_with('/')) return "a regular expression ends with / too, as in /v[0-9]+/";
  // `**/` also stands for nothing: without it the rest may match.
  std::string flat = glob;
  while (flat.starts_with("**/")) flat.erase(0, 3);
  if (has_any(flat, "/"))
    return "no tag has /, which build tools write as -; did you mean " + in_quotes(replaced(flat, '/', "-")) +
           "?";
  for (const char c : flat) {
    if (!is_alphanumeric(c) && !is_separator(c) && !is_wild(c))
      return "no tag has " + in_quotes(std::string(1, c)) + "; tags are of letters, digits and ._-";
  }
  if (flat.starts_with('.') || flat.starts_with('-')) return "no tag begins with . or -";
  return too_long(flat, Tag::max_bytes);
}

}  // namespace

std::string why_it_never_matches(std::string_view pattern, PatternsOf what) {
  if (pattern.starts_with('!')) pattern.remove_prefix(1);
  const bool is_regex = pattern.size() >= 2 && pattern.front() == '/' && pattern.back() == '/';
  if (pattern.starts_with('@') || is_regex) return {};
  std::vector<std::string> alternatives;
  expand(std::string(pattern), alternatives);
  for (const std::string& glob : alternatives) {
    const std::string why = what == PatternsOf::tags ? no_tag(glob) : no_repository(glob);
    if (why.empty()) continue;
    return (alternatives.size() == 1 ? std::string() : "as " + in_quotes(glob) + ": ") + why;
  }
  return {};
}

}  // namespace stele::policy
