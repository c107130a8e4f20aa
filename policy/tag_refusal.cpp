#include "policy/tag_refusal.hpp"

#include "base/printable.hpp"

namespace stele::policy {

std::string place(const TagName& name) {
  return "tag " + in_quotes(name.tag) + " in " + std::string(name.repository);
}

Error refuse_tag(const TagName& name, const Match& match, const Binding& present, const Digest* offered,
                 std::string_view reason, std::string_view brief, std::string message) {
  Error refusal = Error(Errc::refused_by_policy, std::move(message))
                      .in_brief("tag " + printable(name.tag) + " " + std::string(brief))
                      .with("reason", std::string(reason))
                      .with("rule", match.rule->name)
                      .with("tag", std::string(name.tag))
                      .with("existing", present.digest.str());
  const std::string pushed_at = to_string(present.pushed_at);
  if (!offered) return std::move(refusal).with("pushed_by", present.pushed_by).with("pushed_at", pushed_at);
  return std::move(refusal)
      .with("offered", offered->str())
      .with("pushed_by", present.pushed_by)
      .with("pushed_at", pushed_at);
}

}  // namespace stele::policy
