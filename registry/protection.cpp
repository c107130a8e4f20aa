#include "registry/protection.hpp"

#include <deque>
#include <set>

#include "storage/catalog/in_use.hpp"
#include "storage/catalog/trash.hpp"

namespace stele {
namespace {

// Looking further than this costs more than the answer is worth: what so much hangs on stays (I8, I10).
constexpr std::size_t most_looked_at = 10'000;
constexpr std::int64_t names_per_step = 10'000;

std::string belonging(const Digest& asked, const Digest& reached) {
  return asked.str() + (asked == reached ? std::string() : ", which belongs to " + reached.str() + ",");
}

Error locked(const std::string& what, const catalog::LockRow& lock) {
  const bool compliance = lock.mode == "compliance";
  return Error(Errc::refused_by_policy,
               what + " in " + lock.repository.str() + " is locked until " + to_string(lock.until) + " (" +
                   lock.mode + ", rule " + lock.rule + ", tag " + lock.tag.str() + "); " +
                   (compliance ? "nobody can remove it before"
                               : "only who may bypass governance can release it (stele lock release)"))
      .in_brief("locked until " + to_string(lock.until))
      .with("reason", "LOCKED")
      .with("rule", lock.rule)
      .with("tag", lock.tag.str())
      .with("existing", lock.digest.str())
      .with("mode", lock.mode)
      .with("until", to_string(lock.until));
}

Error refuse_held(const std::string& what, const catalog::HoldRow& hold) {
  return Error(Errc::refused_by_policy, what + " in " + hold.repository.str() + " is under the legal hold " +
                                            hold.name + " (case " + hold.case_number + "), set " +
                                            to_string(hold.set_at) + " by " + hold.set_by +
                                            "; it can go when the hold is released (stele hold release " +
                                            std::to_string(hold.id) + ")")
      .in_brief("under a legal hold")
      .with("reason", "HELD")
      .with("hold", hold.name)
      .with("case", hold.case_number);
}

}  // namespace

std::optional<Error> Protection::of_tag(const Tag& tag, const Digest& digest) const {
  const std::string what = "tag " + tag.str();
  if (const auto lock = catalog::lock_on_tag(session_, repository_, tag, digest, now_))
    return locked(what, *lock);
  if (const auto hold = catalog::hold_on_repository(session_, repository_)) return refuse_held(what, *hold);
  if (const auto hold = catalog::hold_on_tag(session_, repository_, tag)) return refuse_held(what, *hold);
  return std::nullopt;
}

std::optional<Error> Protection::direct(const Digest& asked, const Digest& reached) const {
  const std::string what = belonging(asked, reached);
  if (const auto lock = catalog::lock_on_manifest(session_, repository_, reached, now_))
    return locked(what, *lock);
  if (const auto hold = catalog::hold_on_manifest(session_, repository_, reached))
    return refuse_held(what, *hold);
  return std::nullopt;
}

std::optional<Error> Protection::of_content(const Digest& digest) const {
  // Nearly every repository has neither: then nothing is looked at.
  if (!catalog::any_lock(session_, repository_, now_) && !catalog::any_hold(session_, repository_))
    return std::nullopt;
  if (const auto hold = catalog::hold_on_repository(session_, repository_))
    return refuse_held(digest.str(), *hold);
  return look_upwards(digest, [&](const Digest& reached) { return direct(digest, reached); });
}

std::optional<Error> Protection::of_use(const Digest& digest) const {
  if (catalog::digests_in_use(session_, repository_, "", 1).empty()) return std::nullopt;
  return look_upwards(digest, [&](const Digest& reached) { return use_of(digest, reached); });
}

std::optional<Error> Protection::use_of(const Digest& asked, const Digest& reached) const {
  const auto clusters = catalog::clusters_using(session_, repository_, reached);
  if (clusters.empty()) return std::nullopt;
  return Error(Errc::refused_by_policy,
               belonging(asked, reached) + " in " + repository_.str() + " is in use by cluster " +
                   clusters.front() +
                   (clusters.size() > 1 ? " and " + std::to_string(clusters.size() - 1) + " more" : "") +
                   "; it can go when the cluster reports without it (stele in-use list)")
      .in_brief("in use by a cluster")
      .with("reason", "IN_USE")
      .with("cluster", clusters.front());
}

std::vector<Error> Protection::everything_on(const Digest& digest, std::size_t most) const {
  std::vector<Error> all;
  if (const auto hold = catalog::hold_on_repository(session_, repository_))
    all.push_back(refuse_held(digest.str(), *hold));
  const auto add = [&](std::optional<Error> found) {
    if (found && all.size() < most) all.push_back(std::move(*found));
  };
  auto unknown = look_upwards(digest, [&](const Digest& reached) -> std::optional<Error> {
    const std::string what = belonging(digest, reached);
    if (const auto lock = catalog::lock_on_manifest(session_, repository_, reached, now_))
      add(locked(what, *lock));
    if (const auto hold = catalog::hold_on_manifest(session_, repository_, reached))
      add(refuse_held(what, *hold));
    add(use_of(digest, reached));
    return std::nullopt;
  });
  add(std::move(unknown));
  return all;
}

std::optional<Error> Protection::look_upwards(
    const Digest& digest, const std::function<std::optional<Error>(const Digest&)>& look) const {
  std::set<std::string> seen{digest.str()};
  std::deque<Digest> waiting{digest};
  const auto look_at = [&](const Digest& next) {
    if (seen.insert(next.str()).second) waiting.push_back(next);
  };
  for (; !waiting.empty(); waiting.pop_front()) {
    if (seen.size() > most_looked_at) {
      return Error(Errc::refused_by_policy, "so much in " + repository_.str() + " hangs on " + digest.str() +
                                                " that nobody can tell whether something protects it; "
                                                "delete what refers to it first")
          .with("reason", "LOCKED");
    }
    const Digest& reached = waiting.front();
    if (auto refusal = look(reached)) return refusal;
    for (const Digest& above : catalog::manifests_naming(session_, id_, reached, names_per_step))
      look_at(above);
    if (const auto subject = catalog::subject_of(session_, id_, reached)) look_at(*subject);
    for (const Digest& above : catalog::trashed_above(session_, id_, reached, names_per_step)) look_at(above);
  }
  return std::nullopt;
}

std::optional<Error> Protection::of_repository() const {
  if (const auto hold = catalog::any_hold(session_, repository_)) {
    return refuse_held(hold->tag      ? "tag " + hold->tag->str()
                       : hold->digest ? hold->digest->str()
                                      : "everything",
                       *hold);
  }
  if (const auto lock = catalog::longest_lock(session_, repository_, now_))
    return locked(lock->digest.str(), *lock);
  return std::nullopt;
}

}  // namespace stele
