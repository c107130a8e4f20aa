#include "registry/protection.hpp"
#include "registry/ruled_write.hpp"
#include "registry/tag_moves.hpp"
#include "registry/unknown.hpp"

namespace stele {

Task<Result<Released>> TagMoves::release(Release asked) const {
  std::optional<Released> done;
  const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
    done.reset();
    const Timestamp now = context_.clock.now();
    const auto id = catalog::find_repository(tx, asked.repository);
    std::optional<catalog::TagBinding> bound;
    if (id) {
      auto found = catalog::find_tag(tx, *id, asked.repository, asked.tag);
      if (!found) return found.error();
      bound = std::move(*found);
    }
    std::optional<Digest> present;
    if (bound) present = bound->digest;
    if (auto unmet = asked.conditions.unmet(present)) return *unmet;
    std::string rule;
    if (bound) {
      TagRules rules(tx, context_, *id, asked.repository, asked.actor, orderings);
      auto freed = rules.release(asked.tag, *bound, asked.reason);
      if (!freed) return freed.error();
      rule = std::move(*freed);
    } else {
      const auto kept = catalog::find_removed_name(tx, asked.repository, asked.tag);
      if (!kept) return kept.error();
      if (!*kept) {
        return Error(Errc::manifest_unknown, "nothing is bound to the name " + asked.tag.str() + " in " +
                                                 asked.repository.str() + ": it is free already");
      }
      present = (*kept)->digest;
      if (id) {
        const Protection protection(tx, *id, asked.repository, context_.release_clock.now());
        if (auto refusal = protection.of_tag(asked.tag, *present)) {
          record_refusal(tx, "tag.refused", asked.repository, asked.tag.str(), present, std::nullopt,
                         *refusal, asked.actor, now);
          return *refusal;
        }
      }
      catalog::delete_removed_name(tx, asked.repository, asked.tag);
      rule = context_.policy.deciding()->tag_rule(asked.repository.str(), asked.tag.str()).rule->name;
    }
    audit::append(tx,
                  audit::Event{"name.released", asked.repository.str(), asked.tag.str(), present,
                               std::nullopt, rule, asked.reason},
                  asked.actor, now);
    done.emplace(Released{*present, bound.has_value()});
    return {};
  };
  sql::Keys keys{"tag:" + asked.repository.str() + ":" + asked.tag.str()};
  const Result<void> written =
      co_await write_under_rules(context_, std::move(keys), asked.repository, std::nullopt, body);
  if (!written) co_return written.error();
  co_return std::move(*done);
}

}  // namespace stele
