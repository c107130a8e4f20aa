#include <utility>

#include "registry/read_on_pool.hpp"
#include "registry/ruled_write.hpp"
#include "registry/tag_moves.hpp"
#include "registry/unknown.hpp"

namespace stele {
namespace {

constexpr std::int64_t recent_entries = 1000;

// Where a rollback leads that names a digest or a time. A tag may have moved a million times.
Result<Digest> named_target(sql::Session& session, catalog::RepositoryId id, const Rollback& asked) {
  if (asked.to) {
    if (catalog::tag_ever_had(session, id, asked.tag, *asked.to)) return *asked.to;
    return Error(Errc::manifest_unknown, "tag " + asked.tag.str() + " in " + asked.repository.str() +
                                             " never pointed to " + asked.to->str() +
                                             "; a rollback goes to a digest of its history");
  }
  const auto entry = catalog::tag_history_at(session, id, asked.tag, *asked.at);
  if (entry && entry->current) return *entry->current;
  return Error(Errc::manifest_unknown, "tag " + asked.tag.str() + " did not exist in " +
                                           asked.repository.str() + " at " + to_string(*asked.at));
}

// Where one leads that names neither.
Result<Digest> earlier_target(sql::Session& session, catalog::RepositoryId id, const Rollback& asked,
                              const std::optional<Digest>& present) {
  for (const auto& entry : catalog::list_tag_history(session, id, asked.tag, INT64_MAX, recent_entries)) {
    if (entry.current && entry.current != present) return *entry.current;
  }
  return Error(Errc::manifest_unknown, "tag " + asked.tag.str() + " in " + asked.repository.str() +
                                           " has no earlier digest to go back to");
}

}  // namespace

Task<Result<RolledBack>> TagMoves::rollback(Rollback asked) const {
  // What was is not changed any more: it is looked for before the writer's turn.
  using Found = std::optional<std::pair<catalog::RepositoryId, Result<Digest>>>;
  const auto look = [&](sql::Session& session) -> Result<Found> {
    const auto id = catalog::find_repository(session, asked.repository);
    if (!id) return Found();
    return Found(std::in_place, *id, named_target(session, *id, asked));
  };
  Found named;
  if (asked.to || asked.at) {
    auto looking = read_on_pool<Found>(context_, look);
    auto found = co_await std::move(looking);
    if (!found) co_return found.error();
    named = std::move(*found);
  }
  std::optional<RolledBack> done;
  const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
    done.reset();
    const auto id = catalog::find_repository(tx, asked.repository);
    if (!id) return unknown_repository(asked.repository);
    const auto bound = catalog::find_tag(tx, *id, asked.repository, asked.tag);
    if (!bound) return bound.error();
    std::optional<Digest> present;
    if (*bound) present = (*bound)->digest;
    if (auto unmet = asked.conditions.unmet(present)) return *unmet;
    if ((asked.to || asked.at) && (!named || named->first != *id)) {
      return Error(Errc::unavailable,
                   asked.repository.str() + " was removed and made again meanwhile; try again");
    }
    const auto target = named ? named->second : earlier_target(tx, *id, asked, present);
    if (!target) return target.error();
    const auto manifest = catalog::find_manifest(tx, *id, *target);
    if (!manifest) {
      return Error(Errc::manifest_unknown, "tag " + asked.tag.str() + " once pointed to " + target->str() +
                                               ", but that manifest is no longer in " +
                                               asked.repository.str() + "; push it again by digest first");
    }
    TagRules rules(tx, context_, *id, asked.repository, asked.actor, orderings);
    auto moved = rules.bind(asked.tag, manifest->id, *target, Cause{"tag.rollback", asked.reason, true});
    if (!moved) return moved;
    done.emplace(RolledBack{present, *target});
    return {};
  };
  sql::Keys keys{"tag:" + asked.repository.str() + ":" + asked.tag.str()};
  const Result<void> written =
      co_await write_under_rules(context_, std::move(keys), asked.repository, std::nullopt, body);
  if (!written) co_return written.error();
  co_return std::move(*done);
}

}  // namespace stele
