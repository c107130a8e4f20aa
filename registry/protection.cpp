#include "registry/protection.hpp"

#include <deque>
#include <set>

namespace stele {
namespace {

// Looking further than this costs more than the answer is worth: what so much hangs on stays (I8, I10).
constexpr std::size_t most_looked_at = 10'000;
constexpr std::int64_t names_per_step = 10'000;

Error locked(const std::string& what, const catalog::LockRow& lock) {
  const bool compliance = lock.mode == "compliance";
  return Error(Errc::refused_by_policy,
               what + " in " + lock.repository.str() + " is locked until " + to_string(lock.until) + " (" +
                   lock.mode + ", rule " + lock.rule + ", tag " + lock.tag.str() + "); " +
                   (compliance ? "nobody can remove it before"
                               : "only who may bypass governance can release it (stele lock release)"))
      .phrased("Conflict: locked until " + to_string(lock.until))
      .with("reason", "LOCKED")
      .with("rule", lock.rule)
      .with("tag", lock.tag.str())
      .with("existing", lock.digest.str())
      .with("mode", lock.mode)
      .with("until", to_string(lock.until));
}

Error held(const std::string& what, const catalog::HoldRow& hold) {
  return Error(Errc::refused_by_policy, what + " in " + hold.repository.str() + " is under the legal hold " +
                                            hold.name + " (case " + hold.case_number + "), set " +
                                            to_string(hold.set_at) + " by " + hold.set_by +
                                            "; it can go when the hold is released (stele hold release " +
                                            std::to_string(hold.id) + ")")
      .phrased("Conflict: under a legal hold")
      .with("reason", "HELD")
      .with("hold", hold.name)
      .with("case", hold.case_number);
}

}  // namespace

std::optional<Error> Protection::of_tag(const Tag& tag, const Digest& digest) const {
  const std::string what = "tag " + tag.str();
  if (const auto lock = catalog::lock_on_tag(session_, repository_, tag, digest, now_))
    return locked(what, *lock);
  if (const auto hold = catalog::hold_on_repository(session_, repository_)) return held(what, *hold);
  if (const auto hold = catalog::hold_on_tag(session_, repository_, tag)) return held(what, *hold);
  return std::nullopt;
}

std::optional<Error> Protection::direct(const Digest& asked, const Digest& reached) const {
  const std::string what =
      asked.str() + (asked == reached ? std::string() : ", which belongs to " + reached.str() + ",");
  if (const auto lock = catalog::lock_on_manifest(session_, repository_, reached, now_))
    return locked(what, *lock);
  if (const auto hold = catalog::hold_on_manifest(session_, repository_, reached)) return held(what, *hold);
  return std::nullopt;
}

std::optional<Error> Protection::of_content(const Digest& digest) const {
  // Nearly every repository has neither: then nothing is looked at.
  if (!catalog::any_lock(session_, repository_, now_) && !catalog::any_hold(session_, repository_))
    return std::nullopt;
  if (const auto hold = catalog::hold_on_repository(session_, repository_)) return held(digest.str(), *hold);
  std::set<std::string> seen{digest.str()};
  std::deque<Digest> waiting{digest};
  const auto look_at = [&](const Digest& next) {
    if (seen.insert(next.str()).second) waiting.push_back(next);
  };
  for (; !waiting.empty(); waiting.pop_front()) {
    if (seen.size() > most_looked_at) {
      return Error(Errc::refused_by_policy, "so much in " + repository_.str() + " hangs on " + digest.str() +
                                                " that nobody can tell whether a lock or a hold reaches it; "
                                                "delete what refers to it first")
          .with("reason", "LOCKED");
    }
    const Digest& reached = waiting.front();
    if (auto refusal = direct(digest, reached)) return refusal;
    for (const Digest& above : catalog::manifests_naming(session_, id_, reached, names_per_step))
      look_at(above);
    if (const auto subject = catalog::subject_of(session_, id_, reached)) look_at(*subject);
  }
  return std::nullopt;
}

std::optional<Error> Protection::of_repository() const {
  if (const auto hold = catalog::any_hold(session_, repository_)) {
    return held(hold->tag      ? "tag " + hold->tag->str()
                : hold->digest ? hold->digest->str()
                               : "everything",
                *hold);
  }
  if (const auto lock = catalog::longest_lock(session_, repository_, now_))
    return locked(lock->digest.str(), *lock);
  return std::nullopt;
}

}  // namespace stele
