#include "policy/judge/reasons.hpp"

#include "base/printable.hpp"

namespace stele::policy {

std::uint32_t Sentences::add(std::string sentence) {
  const auto [place, fresh] =
      known_.try_emplace(std::move(sentence), static_cast<std::uint32_t>(all_.size()));
  if (fresh) all_.push_back(place->first);
  return place->second;
}

// "index latest": by the first tag that stays on it.
std::string Reasons::name_of(RowIndex manifest, const char* kind) const {
  for (const RowIndex tag : graph_.tags(manifest)) {
    if (tag_stays_[at(tag)]) return std::string(kind) + " " + printable(snapshot_.tags[at(tag)].name);
  }
  return std::string("an untagged ") + kind;
}

std::string Reasons::forbidden(RowIndex row) const {
  const Blocker& blocker = snapshot_.blockers[at(row)];
  const std::string text = printable(blocker.text);
  switch (blocker.kind) {
    case Blocker::Kind::tag_rule:
      return "tag rule " + text + " protects it; lifecycle: allow in that rule lets it go";
    case Blocker::Kind::lock:
      return "it is locked " + text + "; it can go once the lock has ended";
    case Blocker::Kind::hold:
      return "hold " + text + " is on it; it can go once the hold is released";
    case Blocker::Kind::in_use:
      return "it is in use by " + text + "; it can go once nothing there runs it";
  }
  return "something unknown forbids it";
}

std::string Reasons::kept(const Lifecycle::Entry& by) const {
  return by.place + " keeps it";
}

std::string Reasons::blocked(const Lifecycle::Entry& by, RowIndex tag, RowIndex manifest) const {
  std::string text = by.place + " would remove it, but ";
  if (tag != no_row && snapshot_.tags[at(tag)].blocker != no_row)
    return text + forbidden(snapshot_.tags[at(tag)].blocker);
  const RowIndex own = snapshot_.manifests[at(manifest)].blocker;
  if (own != no_row) return text + forbidden(own);
  return text + "an entry or referrer of it may not go: " + forbidden(facts_.blocker(manifest));
}

std::string Reasons::last_image(const Lifecycle::Entry& by) const {
  return by.place +
         " would remove it, but the last image of a repository never goes (keep_last); push a newer one, or "
         "lower keep_last in lifecycle";
}

std::string Reasons::expired(const Lifecycle::Entry& by, RowIndex tag, RowIndex manifest) const {
  std::string text = by.place + " hits it";
  if (tag == no_row && (snapshot_.manifests[at(manifest)].flags & SnapshotManifest::subject_is_elsewhere))
    return text + "; its subject is not in the repository";
  if (tag == no_row || !reachability_.stays(manifest)) return text;
  for (const RowIndex other : graph_.tags(manifest)) {
    if (tag_stays_[at(other)])
      return text + "; its manifest stays, also tagged " + printable(snapshot_.tags[at(other)].name);
  }
  if (reachability_.kept_by(manifest) == no_row) return text + "; its manifest stays";
  return text + "; its manifest stays: " + reached(manifest);
}

std::string Reasons::reached(RowIndex manifest) const {
  const RowIndex by = reachability_.kept_by(manifest);
  switch (reachability_.kept_as(manifest)) {
    case Hangs::as_entry:
      return "entry of " + name_of(by, "index") + ", which stays";
    case Hangs::as_referrer:
      return "its subject, " + name_of(by, "manifest") + ", stays";
    case Hangs::as_signature:
      return "it signs " + name_of(by, "manifest") + ", which stays";
  }
  return "something that stays needs it";
}

std::string Reasons::led(const Departure& departure, const std::string& leader) const {
  switch (departure.hangs) {
    case Hangs::as_entry:
      return "goes with " + leader + ": an index that lists it goes";
    case Hangs::as_referrer:
      return "goes with " + leader + ": its subject goes";
    case Hangs::as_signature:
      return "goes with " + leader + ": what it signs goes";
  }
  return "goes with " + leader;
}

std::string Reasons::signature_kept(RowIndex tag) const {
  return "a signature stays as long as what it signs: " + name_of(snapshot_.tags[at(tag)].signs, "manifest");
}

std::string Reasons::signature_blocked(RowIndex tag) const {
  return "what it signs goes, but " + forbidden(snapshot_.tags[at(tag)].blocker);
}

std::string Reasons::signature_gone(const std::string& leader) const {
  return "goes with " + leader + ": what it signs goes";
}

}  // namespace stele::policy
