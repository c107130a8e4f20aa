#include "policy/limits.hpp"

#include "base/printable.hpp"
#include "config/config_problem.hpp"
#include "policy/pattern.hpp"

namespace stele::policy {
namespace {

Error invalid(const std::string& why) {
  return Error(Errc::parameter_invalid, why);
}

Rights every_right() {
  Rights rights;
  for (int i = 0; i < right_count; ++i) {
    if (const auto right = static_cast<Right>(i); right != Right::upkeep) rights.add(right);
  }
  return rights;
}

Result<Rights> read_rights(std::string_view text, const std::string& limit) {
  if (text == "*") return every_right();
  Rights rights;
  for (bool more = true; more;) {
    const std::size_t comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    const auto right = parse_right(name);
    if (!right || *right == Right::upkeep) {
      return invalid(in_quotes(name) + " in the scope " + in_quotes(limit) +
                     " is no right; rights are * or some of " + to_string(every_right()));
    }
    rights.add(*right);
    more = comma != std::string_view::npos;
    if (more) text = text.substr(comma + 1);
  }
  return rights;
}

}  // namespace

Result<std::shared_ptr<const AccessRules>> read_limits(const std::vector<std::string>& limits) {
  if (limits.empty() || limits.size() > most_limits)
    return invalid("1 to " + std::to_string(most_limits) + " scopes are needed, as in \"team/**:pull,push\"");
  std::vector<AccessRule> rules;
  for (const std::string& limit : limits) {
    const std::size_t colon = limit.rfind(':');
    if (colon == std::string::npos || colon == 0 || limit.size() > longest_limit ||
        !is_printable_line(limit)) {
      return invalid("a scope is a pattern for repositories and rights, as in \"team/**:pull,push\", not " +
                     in_quotes(limit));
    }
    const std::string pattern = limit.substr(0, colon);
    if (pattern.starts_with('!'))
      return invalid("the scope " + in_quotes(limit) + " begins with !; a scope says what is left alone");
    if (const auto compiled = PatternList::compile({pattern}); !compiled)
      return invalid("the scope " + in_quotes(limit) + ": " + compiled.error().message());
    const auto rights = read_rights(std::string_view(limit).substr(colon + 1), limit);
    if (!rights) return rights.error();
    AccessRule rule;
    rule.who.push_back(Who::parse("authenticated").value());
    rule.repositories.push_back(pattern);
    rule.allow = *rights;
    rules.push_back(std::move(rule));
  }
  return std::make_shared<const AccessRules>(std::move(rules));
}

}  // namespace stele::policy
