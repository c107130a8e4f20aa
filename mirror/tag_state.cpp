#include "mirror/tag_state.hpp"

#include "mirror/mirrors_impl.hpp"
#include "storage/catalog/departures.hpp"

namespace stele::mirror {

std::optional<Timestamp> end_of_quarantine(const catalog::MirroredTag& said, const Digest& held,
                                           std::chrono::seconds quarantine) {
  if (quarantine.count() == 0 || said.digest == held) return std::nullopt;
  return said.learned_at + std::chrono::microseconds(quarantine).count();
}

Result<TagState> Mirrors::Impl::tag_state(const Place& place, const Tag& tag) const {
  return context.database.read([&](sql::Session& session) -> Result<TagState> {
    TagState state;
    auto said = catalog::find_mirrored_tag(session, place.stored, tag);
    if (!said) return said.error();
    state.said = std::move(*said);
    const auto id = catalog::find_repository(session, place.stored);
    if (id) {
      const auto bound = catalog::find_tag(session, *id, place.stored, tag);
      if (!bound) return bound.error();
      if (*bound) state.bound = (*bound)->digest;
    }
    std::optional<Digest> held = state.bound;
    if (!held && may_keep(place)) {
      const auto removed = catalog::list_tag_removals(session, place.stored, tag, 1);
      if (!removed.empty()) held = removed.front().digest;
    }
    if (held && pins(place)) {
      state.kept = true;
    } else if (held && state.said) {
      state.admitted_at = end_of_quarantine(*state.said, *held, upstream(place).settings().quarantine);
      // Not the machine's clock alone: setting it forward lets nothing in.
      state.kept = state.admitted_at && context.release_clock.now() < *state.admitted_at;
    }
    if (!state.bound && state.kept) state.pin = held;
    const auto meant = state.meant();
    state.stored = state.bound || (id && meant && catalog::find_manifest(session, *id, *meant));
    return state;
  });
}

bool Mirrors::Impl::compared_lately(const Place& place, const Tag& tag, const TagState& state) const {
  if (!state.said) return false;
  const std::int64_t age = context.clock.now().microseconds - state.said->compared_at.microseconds;
  return age >= 0 && age < std::chrono::microseconds(upstream(place).tag_ttl(tag)).count();
}

bool Mirrors::Impl::is_fresh(const Place& place, const Tag& tag, const TagState& state) const {
  if (pins(place) && state.meant()) return true;
  // What upstream said while its digest was in quarantine says nothing of the time after.
  const bool ended = state.said && state.admitted_at && !state.kept;
  if (ended && state.said->compared_at < *state.admitted_at) return false;
  return compared_lately(place, tag, state);
}

// Whether even HEAD must not name a digest before the tag is bound to it here: a rule may refuse to.
bool Mirrors::Impl::must_bind(const Place& place, const Tag& tag, const TagState& state) const {
  if (state.bound || state.pin) return true;
  const auto policy = context.policy.current();
  return policy->tag_rule(place.stored.str(), tag.str()).rule->mutability != policy::Mutability::free;
}

std::optional<KnownManifest> Mirrors::Impl::answer(const TagState& state, bool description,
                                                   std::string warning) const {
  const auto meant = state.meant();
  if (!meant) return std::nullopt;
  const bool stale = !warning.empty();
  KnownManifest known{*meant, true, state.bound.has_value(), {}, 0, std::move(warning), false, stale};
  if (state.bound) {
    // Where the mirror is told to keep its tags that is no news.
    if (!state.kept && state.said && state.said->digest != *state.bound && known.warning.empty()) {
      known.warning = "299 stele \"upstream has moved this tag to " + state.said->digest.str() +
                      "; a rule here keeps it\"";
    }
    return known;
  }
  if (!description || !state.said || state.said->digest != *meant) return std::nullopt;
  known.stored = state.stored;
  known.media_type = state.said->media_type;
  known.size = state.said->size;
  return known;
}

}  // namespace stele::mirror
