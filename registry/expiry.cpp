#include "registry/expiry.hpp"

#include <algorithm>
#include <map>

#include "registry/protection.hpp"
#include "registry/ruled_write.hpp"
#include "registry/unknown.hpp"
#include "storage/catalog/departures.hpp"
#include "storage/catalog/in_use.hpp"
#include "storage/catalog/trash.hpp"

namespace stele {
namespace {

constexpr std::size_t most_reasons = 20;
constexpr std::int64_t most_expiring_tags = 10'000;
constexpr std::int64_t most_indexes = 1000;

// Why a manifest stays, and whether that keeps what is above it too: what runs keeps the index that lists it.
struct Obstacle {
  std::string reason;
  bool keeps_upwards = false;
};

// One run of the write closure.
class Attempt {
 public:
  Attempt(sql::Tx& tx, const RegistryContext& context, const ExpiryBatch& expiry, catalog::RepositoryId id,
          Orderings& orderings)
      : tx_(tx),
        context_(context),
        expiry_(expiry),
        id_(id),
        policy_(context.policy.deciding()),
        protection_(tx, id, expiry.repository, context.release_clock.now()),
        orderings_(orderings),
        rules_(tx, context, id, expiry.repository, expiry.actor, orderings),
        stays_(expiry.manifests.size(), 0),
        gone_(expiry.manifests.size(), 0) {
    expired_.gone.assign(expiry.manifests.size(), 0);
    for (std::size_t i = 0; i < expiry.manifests.size(); ++i)
      places_.emplace(static_cast<std::int64_t>(expiry.manifests[i].manifest), i);
  }

  Result<Expired> run(Leases::Removal& removal) {
    for (std::size_t i = 0; i < stays_.size(); ++i) {
      const auto obstacle = look_at(i);
      if (!obstacle) return obstacle.error();
      if (*obstacle) stay(i, **obstacle);
    }
    while (!mark(removal)) removal.clear();
    for (std::size_t i = 0; i < stays_.size(); ++i) {
      if (gone_[i]) continue;
      if (auto done = stays_[i] ? count_survivor(i) : remove(i); !done) return done.error();
    }
    if (!orderings_.unread().empty())
      return Error(Errc::unavailable, "the images' versions are still to be read");
    return std::move(expired_);
  }

 private:
  // The manifest's own obstacles. What hangs on others follows in stay().
  Result<std::optional<Obstacle>> look_at(std::size_t place) {
    const ExpiringManifest& manifest = expiry_.manifests[place];
    const auto present = catalog::find_manifest(tx_, id_, manifest.digest);
    if (!present || present->id != manifest.manifest) {
      gone_[place] = 1;
      return std::optional<Obstacle>();
    }
    // Between the judging and now, the looks below find what was used.
    if (manifest.used_since_plan) return std::optional(Obstacle{"it was used since the plan was made", true});
    auto named = look_at_tags(manifest);
    if (!named || !manifest.goes || (*named && (*named)->keeps_upwards)) return named;
    // What is needed itself keeps upwards, whatever else it stays for.
    auto content = look_at_content(place);
    if (content && content->keeps_upwards) return std::optional<Obstacle>(std::move(content));
    if (*named) return named;
    if (!manifest.due) return std::optional(Obstacle{"it is not among what was to go"});
    return std::optional<Obstacle>(std::move(content));
  }

  Result<std::optional<Obstacle>> look_at_tags(const ExpiringManifest& manifest) {
    std::size_t found = 0;
    for (const ExpiringTag& expiring : manifest.tags) {
      const auto bound = catalog::find_tag(tx_, id_, expiry_.repository, expiring.tag);
      if (!bound) return bound.error();
      if (!*bound || (*bound)->digest != manifest.digest || (*bound)->pushed_at != expiring.bound_at ||
          (*bound)->last_push() > expiring.pushed_at)
        return std::optional(
            Obstacle{"tag " + expiring.tag.str() + " was moved, pushed or removed meanwhile"});
      if (policy_->tag_rule(expiry_.repository.str(), expiring.tag.str()).rule->lifecycle_protects)
        return std::optional(Obstacle{"tag " + expiring.tag.str() + " is protected by its rule", true});
      if (const auto refusal = protection_.of_tag(expiring.tag, manifest.digest))
        return std::optional(Obstacle{refusal->message(), true});
      ++found;
    }
    if (!manifest.goes) return std::optional<Obstacle>();
    const auto now = catalog::tags_of_manifest(tx_, manifest.manifest, most_expiring_tags);
    if (now.size() > found) return std::optional(Obstacle{"it was tagged meanwhile"});
    return std::optional<Obstacle>();
  }

  std::optional<Obstacle> look_at_content(std::size_t place) {
    const ExpiringManifest& manifest = expiry_.manifests[place];
    if (const auto refusal = protection_.of_content(manifest.digest))
      return Obstacle{refusal->message(), true};
    const auto clusters = catalog::clusters_using(tx_, expiry_.repository, manifest.digest);
    if (!clusters.empty()) return Obstacle{"cluster " + clusters.front() + " runs it", true};
    const auto pulled = context_.pulls.pulled_at(tx_, manifest.manifest);
    if (pulled && (!manifest.pulled_at || *pulled > *manifest.pulled_at))
      return Obstacle{"it was pulled meanwhile", true};
    if (context_.leases.leased(manifest.digest)) return Obstacle{leased(), true};
    if (catalog::referrer_since(tx_, id_, manifest.digest, expiry_.seen))
      return Obstacle{"something that refers to it was pushed meanwhile"};
    // An index that lives needs its entries (I2), whether or not it was there when this was judged.
    const auto indexes = catalog::indexes_listing(tx_, id_, manifest.digest, most_indexes);
    if (indexes.size() == static_cast<std::size_t>(most_indexes))
      return Obstacle{"very many indexes list it"};
    for (const catalog::ManifestId index : indexes) {
      const auto known = places_.find(static_cast<std::int64_t>(index));
      if (known == places_.end() || !expiry_.manifests[known->second].goes)
        return Obstacle{"an index that stays lists it"};
    }
    return std::nullopt;
  }

  static std::string leased() {
    return "somebody looked at it or pushed it within the last lease (gc.lease)";
  }

  // What stays keeps all that hangs from it; what is needed itself keeps upwards too.
  void stay(std::size_t place, const Obstacle& obstacle) {
    std::vector<std::pair<std::size_t, bool>> open{{place, obstacle.keeps_upwards}};
    if (!stays_[place] && expired_.reasons.size() < most_reasons)
      expired_.reasons.push_back(expiry_.manifests[place].digest.str() + ": " + obstacle.reason);
    while (!open.empty()) {
      const auto [at, upwards] = open.back();
      open.pop_back();
      const char level = upwards ? 2 : 1;
      if (stays_[at] >= level) continue;
      stays_[at] = level;
      for (const ExpiryEdge& edge : expiry_.edges) {
        if (edge.upper == at) open.emplace_back(edge.lower, false);
        if (edge.lower == at && upwards) open.emplace_back(edge.upper, true);
      }
    }
  }

  // Readers who come from now on find what goes gone; false: somebody came before.
  bool mark(Leases::Removal& removal) {
    for (std::size_t i = 0; i < stays_.size(); ++i) {
      const ExpiringManifest& manifest = expiry_.manifests[i];
      if (stays_[i] || gone_[i] || !manifest.goes || removal.mark(expiry_.repository, manifest.digest))
        continue;
      stay(i, Obstacle{leased(), true});
      return false;
    }
    return true;
  }

  Result<void> count_survivor(std::size_t place) {
    const ExpiringManifest& manifest = expiry_.manifests[place];
    if (manifest.goes && manifest.due) ++expired_.survived;
    if (!manifest.goes) expired_.survived += manifest.tags.size();
    return {};
  }

  Result<void> remove(std::size_t place) {
    const ExpiringManifest& manifest = expiry_.manifests[place];
    const Timestamp now = context_.clock.now();
    std::vector<catalog::TrashedTag> tags;
    for (const ExpiringTag& expiring : manifest.tags) {
      const auto bound = catalog::find_tag(tx_, id_, expiry_.repository, expiring.tag);
      if (!bound) return bound.error();
      tags.push_back({expiring.tag, (*bound)->pushed_at, (*bound)->pushed_by});
      if (auto removed = rules_.remove_expired(expiring.tag, **bound,
                                               Expiry{expiry_.run, expiring.rule, expiring.reason});
          !removed && orderings_.unread().empty())
        return removed;
      ++expired_.untagged;
    }
    if (!orderings_.unread().empty()) return {};  // this run is for nothing
    const std::string& rule = manifest.goes || tags.empty() ? manifest.rule : manifest.tags.front().rule;
    const std::string& reason =
        manifest.goes || tags.empty() ? manifest.reason : manifest.tags.front().reason;
    std::optional<catalog::ManifestId> going;
    if (manifest.goes) going = manifest.manifest;
    catalog::put_in_trash(tx_, catalog::NewTrash{expiry_.run, id_, manifest.digest, going, tags, now,
                                                 expiry_.erase_after, rule, reason});
    if (!manifest.goes) return {};
    const std::optional<Digest> gone = manifest.digest;
    const std::string why = reason_of(reason);
    const std::int64_t event = audit::append(
        tx_, audit::Event{"manifest.expire", expiry_.repository.str(), {}, gone, std::nullopt, rule, why},
        expiry_.actor, now);
    catalog::record_departure(tx_, expiry_.repository, manifest.digest, event, expiry_.run);
    ++expired_.removed;
    expired_.gone[place] = 1;
    return {};
  }

  std::string reason_of(const std::string& reason) const {
    return "run " + std::to_string(expiry_.run) + ": " + reason;
  }

  sql::Tx& tx_;
  const RegistryContext& context_;
  const ExpiryBatch& expiry_;
  const catalog::RepositoryId id_;
  const std::shared_ptr<const policy::Policy> policy_;
  const Protection protection_;
  const Orderings& orderings_;
  TagRules rules_;
  std::map<std::int64_t, std::size_t> places_;
  std::vector<char> stays_;  // 1: it stays; 2: and keeps what is above it
  std::vector<char> gone_;   // somebody else removed it
  Expired expired_;
};

}  // namespace

Task<Result<Expired>> expire(const RegistryContext& context, ExpiryBatch expiry) {
  Leases::Removal removal(context.leases);  // until the commit: from then on the rows say it
  Expired done;
  const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
    removal.clear();
    done = Expired();
    if (context.policy.deciding()->hash() != expiry.policy_hash)
      return Error(Errc::unavailable,
                   "the policy has changed since this was judged; nothing more is removed by the old one");
    const auto id = catalog::find_repository(tx, expiry.repository);
    if (!id) return unknown_repository(expiry.repository);
    auto expired = Attempt(tx, context, expiry, *id, orderings).run(removal);
    if (!expired) {
      removal.clear();  // nobody waits while versions are read from files
      return expired.error();
    }
    done = std::move(*expired);
    return {};
  };
  sql::Keys keys{"repository:" + expiry.repository.str()};
  const Result<void> written =
      co_await write_under_rules(context, std::move(keys), expiry.repository, std::nullopt, body);
  if (!written) co_return written.error();
  co_return std::move(done);
}

}  // namespace stele
