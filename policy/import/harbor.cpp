// Harbor: a project's immutability rules (GET /api/v2.0/projects/{project}/immutabletagrules) and its
// retention policy. A tag that any rule matches is immutable.

#include <algorithm>

#include "base/printable.hpp"
#include "base/reference.hpp"
#include "policy/import/importer.hpp"
#include "policy/pattern.hpp"

namespace stele::policy {
namespace {

// Harbor has doublestar 1.3.4, where `**` crosses '/' as a whole segment alone and is `*` elsewhere; here it
// crosses wherever it stands. Empty where that version does something of its own: braces in braces, `**` in
// braces, and '/' in braces that do not begin a segment.
std::string without_other_stars(std::string_view doublestar) {
  std::string text;
  bool in_braces = false, begins_segment = false;
  for (std::size_t i = 0; i < doublestar.size(); ++i) {
    const char c = doublestar[i];
    const bool first = i == 0 || doublestar[i - 1] == '/';
    if (c == '{') {
      if (in_braces) return {};
      in_braces = true;
      begins_segment = first;
    }
    if (c == '}') in_braces = false;
    if (c == '/' && in_braces && !begins_segment) return {};
    text += c;
    if (c != '*') continue;
    const std::size_t end = std::min(doublestar.find_first_not_of('*', i), doublestar.size());
    if (in_braces && end - i > 1) return {};
    const bool last = end == doublestar.size() || doublestar[end] == '/';
    if (first && last && end - i == 2) text += c;
    i = end - 1;
  }
  return text;
}

}  // namespace

// Ours, and classes of characters.
std::string Importer::doublestar_pattern(std::string_view prefix, std::string_view written) {
  const std::string text = without_other_stars(written);
  std::string_view doublestar = text;
  if (doublestar.empty()) return {};
  // What would mean something else here; no tag begins with it.
  if (prefix.empty() && doublestar.find_first_of("!@/") == 0) return {};
  if (doublestar.find_first_of("[\\") == std::string_view::npos)
    return std::string(prefix) + std::string(doublestar);
  std::string regex;
  const auto add_glob = [&](std::string_view glob) {
    const auto part = glob_to_regex(glob, regex.empty() || regex.ends_with('/'));
    if (part) regex += *part;
    return part.has_value();
  };
  if (!add_glob(prefix)) return {};
  while (!doublestar.empty()) {
    const std::size_t open = doublestar.find_first_of("[\\");
    if (!add_glob(doublestar.substr(0, open))) return {};
    if (open == std::string_view::npos) break;
    const std::size_t close = doublestar.find(']', open);
    if (doublestar[open] == '\\' || close == std::string_view::npos || close == open + 1) return {};
    std::string inside(doublestar.substr(open + 1, close - open - 1));
    const bool negated = inside[0] == '^';  // and not '!'
    if (inside.find_first_of("[\\") != std::string::npos || inside == "^") return {};
    regex += negated ? "[^/" + inside.substr(1) + "]" : "[" + inside + "]";
    doublestar.remove_prefix(close + 1);
  }
  return "/" + regex + "/";
}

void Importer::read_harbor(const YamlNode& root) {
  if (member(root, "algorithm") != nullptr) return read_harbor_retention(root);
  const std::vector<const YamlNode*> list = items(root);
  if (list.empty()) return fail(root.at, "the document holds no immutability rule");
  if (!under_.empty() && !RepositoryName::parse(under_))
    return fail(root.at, "--under " + in_quotes(under_) + " cannot be the name of a project");
  if (under_.empty()) {
    differs("project",
            "Harbor's documents do not name it, so the rules are for every first path component; give "
            "--under PROJECT for one");
  }
  for (std::size_t i = 0; i < list.size(); ++i) read_harbor_rule(*list[i], i + 1);
}

void Importer::read_harbor_rule(const YamlNode& rule, std::size_t number) {
  const std::string subject = "rule " + std::to_string(number);
  if (is_true(rule, "disabled")) return differs(subject, "is disabled: left out");
  if (const std::string_view action = text_member(rule, "action"); !action.empty() && action != "immutable")
    return fail(rule.at, subject + ": the action " + in_quotes(action) + " is not known; known is immutable");
  list_unread(subject, rule, {"tag_selectors", "scope_selectors", "action", "disabled"},
              {"id", "project_id", "priority", "template", "params"});
  std::vector<std::string> repositories, tags;
  if (!read_harbor_patterns(rule, subject, repositories, tags)) return;
  add_rule("harbor-" + std::to_string(number), std::move(repositories), std::move(tags),
           Mutability::immutable, false);
  say_what_immutable_tags_do_otherwise(false);
}

// Which repositories and tags a rule speaks of.
bool Importer::read_harbor_patterns(const YamlNode& rule, const std::string& subject,
                                    std::vector<std::string>& repositories, std::vector<std::string>& tags) {
  const YamlNode* const tag_selectors = member(rule, "tag_selectors");
  const YamlNode* const scopes = member(rule, "scope_selectors");
  const YamlNode* const repository_selectors = scopes == nullptr ? nullptr : member(*scopes, "repository");
  if (tag_selectors == nullptr || repository_selectors == nullptr) {
    fail(rule.at, subject +
                      " lacks tag_selectors or scope_selectors.repository; it is to be as "
                      "Harbor's API gives it");
    return false;
  }
  list_unread(subject + ", scope_selectors", *scopes, {"repository"}, {});
  const std::string project = under_.empty() ? "*/" : std::string(under_) + "/";
  return read_harbor_selectors(repository_selectors, "repoExcludes", project, project + "**", subject,
                               repositories) &&
         read_harbor_selectors(tag_selectors, "excludes", "", "**", subject, tags);
}

// All of the selectors have to match there; here one of the positive patterns is enough, so one of them at
// most.
bool Importer::read_harbor_selectors(const YamlNode* selectors, std::string_view excludes,
                                     const std::string& prefix, const std::string& everything,
                                     const std::string& subject, std::vector<std::string>& patterns) {
  std::vector<std::string> negative;
  for (const YamlNode* selector : items(*selectors)) {
    const std::string_view kind = text_member(*selector, "kind");
    const std::string_view text = text_member(*selector, "pattern");
    const std::string_view decoration = text_member(*selector, "decoration");
    if ((!kind.empty() && kind != "doublestar") || text.empty()) {
      fail(selector->at, subject + ": a selector must be of the kind doublestar and have a pattern");
      return false;
    }
    const bool excluding = decoration == excludes;
    if (!excluding && decoration != (excludes == "excludes" ? "matches" : "repoMatches")) {
      fail(selector->at, subject + ": the decoration " + in_quotes(decoration) + " is not known here");
      return false;
    }
    std::string pattern =
        !text.empty() && is_printable_line(text) ? doublestar_pattern(prefix, text) : std::string();
    if (pattern.empty() || !PatternList::compile({pattern})) {
      fail(selector->at,
           subject + ": the pattern " + in_quotes(text) + " has no equivalent; write the rule by hand");
      return false;
    }
    if (excluding) {
      negative.push_back("!" + pattern);
    } else if (patterns.empty()) {
      patterns.push_back(std::move(pattern));
    } else {
      fail(selector->at,
           subject + ": two patterns that must both match have no equivalent; write the rule by hand");
      return false;
    }
  }
  if (patterns.empty()) patterns.push_back(everything);
  patterns.insert(patterns.end(), negative.begin(), negative.end());
  return true;
}

}  // namespace stele::policy
