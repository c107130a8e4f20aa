#include "registry/in_use.hpp"

#include <algorithm>
#include <set>

#include "base/printable.hpp"
#include "registry/in_use_lookup.hpp"

namespace stele {
namespace {

using Keys = std::vector<std::pair<std::string, std::string>>;
using Tags = std::vector<std::pair<std::string, ImageReference>>;

constexpr std::size_t longest_shown = 300;  // bytes of an unknown reference

Error invalid(std::string message) {
  return Error(Errc::parameter_invalid, std::move(message));
}

Result<void> check(const NewInUseReport& asked) {
  if (asked.images.size() > InUse::most_images) {
    return invalid("a report may name at most " + std::to_string(InUse::most_images) +
                   " images, this one has " + std::to_string(asked.images.size()) +
                   "; report parts of the cluster under names of their own");
  }
  if (asked.lease_seconds < InUse::shortest_lease || asked.lease_seconds > InUse::longest_lease)
    return invalid("lease must be between 1m and 365d");
  if (asked.images.empty() && !asked.allow_empty) {
    return invalid("the report of cluster " + asked.cluster.str() +
                   " names no image; if it really runs none, say so with allow_empty (--allow-empty)");
  }
  return {};
}

// The manifests to be protected; each once, and known to be there if any reference found it there.
std::vector<InUseFound::UsedManifest> each_once(std::vector<InUseFound::UsedManifest> uses) {
  std::sort(uses.begin(), uses.end(), [](const auto& one, const auto& other) {
    return std::tie(one.repository, one.digest, other.present) <
           std::tie(other.repository, other.digest, one.present);
  });
  const auto same = [](const auto& one, const auto& other) {
    return one.repository == other.repository && one.digest == other.digest;
  };
  uses.erase(std::unique(uses.begin(), uses.end(), same), uses.end());
  return uses;
}

std::vector<std::string> first_shown(const std::vector<std::string>& unknown) {
  std::set<std::string> shown;
  for (const std::string& reference : unknown) {
    shown.insert(printable(reference, longest_shown));
    if (shown.size() > InUse::unknown_shown) shown.erase(std::prev(shown.end()));
  }
  return {shown.begin(), shown.end()};
}

RepositoryName stored_name(const std::string& text) {
  return RepositoryName::parse(text).value();
}
Digest stored_digest(const std::string& text) {
  return Digest::parse(text).value();
}

// Both in the order of the keys.
bool loses_any(const Keys& previous, const std::vector<InUseFound::UsedManifest>& uses) {
  Keys named;
  named.reserve(uses.size());
  for (const InUseFound::UsedManifest& use : uses) named.emplace_back(use.repository, use.digest);
  return !std::includes(named.begin(), named.end(), previous.begin(), previous.end());
}

// Writes only what differs, so that the usual report, which says the same again, costs reads alone.
void replace(sql::Tx& tx, const ClusterName& cluster, const Keys& previous,
             const std::vector<InUseFound::UsedManifest>& uses, Timestamp now, TakenInUseReport& taken) {
  auto old = previous.begin();
  const auto leave = [&] {
    catalog::remove_in_use(tx, cluster, stored_name(old->first), stored_digest(old->second));
    ++taken.gone;
    ++old;
  };
  for (const InUseFound::UsedManifest& use : uses) {
    const auto key = std::tie(use.repository, use.digest);
    while (old != previous.end() && std::tie(old->first, old->second) < key) leave();
    if (old != previous.end() && std::tie(old->first, old->second) == key) {
      ++old;
      continue;
    }
    catalog::add_in_use(tx, cluster, stored_name(use.repository), stored_digest(use.digest), now);
    ++taken.added;
  }
  while (old != previous.end()) leave();
}

std::string counts(const TakenInUseReport& taken) {
  const catalog::InUseReport& report = taken.report;
  return std::to_string(report.images) + " images, " + std::to_string(report.protected_manifests) +
         " manifests protected, " + std::to_string(taken.added) + " new, " + std::to_string(taken.gone) +
         " gone, " + std::to_string(report.unknown) + " unknown, lease " +
         std::to_string(report.lease_seconds) + " s";
}

// The write: `found` is what the references with a digest name, `tags` are to be looked up now.
Result<TakenInUseReport> take(sql::Tx& tx, const NewInUseReport& asked, InUseFound found, const Tags& tags,
                              Timestamp now) {
  const auto before = catalog::find_in_use_report(tx, asked.cluster);
  if (!before && catalog::list_in_use_reports(tx, "", InUse::most_clusters).size() == InUse::most_clusters) {
    return invalid("there are reports of " + std::to_string(InUse::most_clusters) +
                   " clusters already; remove those that no longer exist (stele in-use remove)");
  }
  InUseLookup lookup(tx, asked.own_hosts, asked.hosts_are_known);
  for (const auto& [text, reference] : tags) {
    if (auto looked = lookup.look_up(text, reference, found); !looked) return looked.error();
  }
  const auto uses = each_once(std::move(found.uses));
  const auto protected_now =
      std::count_if(uses.begin(), uses.end(), [](const auto& use) { return use.present; });
  const Keys previous = catalog::list_in_use_keys(tx, asked.cluster);
  // Digests that are not here are noted too, and count for nothing where protection would end.
  if (protected_now == 0 && !asked.allow_empty && loses_any(previous, uses)) {
    return invalid("none of the " + std::to_string(asked.images.size()) + " images that cluster " +
                   asked.cluster.str() + " reports is known here, while " + std::to_string(previous.size()) +
                   " manifests are protected for it; if it runs nothing from here any more, say so with "
                   "allow_empty (--allow-empty)");
  }
  TakenInUseReport taken{{asked.cluster, now, asked.actor.principal.name(), asked.lease_seconds,
                          static_cast<std::int64_t>(asked.images.size()), protected_now,
                          static_cast<std::int64_t>(found.unknown.size())},
                         first_shown(found.unknown)};
  catalog::put_in_use_report(tx, taken.report);
  replace(tx, asked.cluster, previous, uses, now, taken);
  const bool other_unknown = catalog::list_in_use_unknown(tx, asked.cluster) != taken.unknown;
  if (other_unknown) catalog::put_in_use_unknown(tx, asked.cluster, taken.unknown);
  const bool same = before && taken.added + taken.gone == 0 && !other_unknown &&
                    before->reported_by == taken.report.reported_by &&
                    before->lease_seconds == taken.report.lease_seconds &&
                    before->images == taken.report.images &&
                    before->protected_manifests == taken.report.protected_manifests &&
                    before->unknown == taken.report.unknown;
  if (!same) {
    audit::append(
        tx,
        audit::Event{"in-use.report", {}, {}, std::nullopt, std::nullopt, asked.cluster.str(), counts(taken)},
        asked.actor, now);
  }
  return taken;
}

}  // namespace

Task<Result<TakenInUseReport>> InUse::report(NewInUseReport asked) const {
  if (auto allowed = check(asked); !allowed) co_return allowed.error();
  Tags tags;
  // What a digest names does not move: it is looked up before the writer's turn.
  auto looking = context_.db.start([&]() -> Result<InUseFound> {
    auto& images = asked.images;
    std::sort(images.begin(), images.end());
    images.erase(std::unique(images.begin(), images.end()), images.end());
    return context_.database.read([&](sql::Session& session) -> Result<InUseFound> {
      InUseFound found;
      InUseLookup lookup(session, asked.own_hosts, asked.hosts_are_known);
      for (const std::string& text : images) {
        auto reference = parse_image_reference(text);
        if (!reference) {
          found.unknown.push_back(text);
        } else if (reference->tag) {
          tags.emplace_back(text, std::move(*reference));
        } else if (auto looked = lookup.look_up(text, *reference, found); !looked) {
          return looked.error();
        }
      }
      return found;
    });
  });
  const Result<InUseFound> found = co_await looking;
  if (!found) co_return found.error();
  auto pending =
      context_.writer.write({"in-use:" + asked.cluster.str()}, [&](sql::Tx& tx) -> Result<TakenInUseReport> {
        return take(tx, asked, *found, tags, context_.clock.now());
      });
  co_return co_await pending;
}

Task<Result<void>> InUse::remove(ClusterName cluster, std::string reason, audit::Actor actor) const {
  auto pending = context_.writer.write({"in-use:" + cluster.str()}, [&](sql::Tx& tx) -> Result<void> {
    const auto report = catalog::find_in_use_report(tx, cluster);
    if (!report) return Error(Errc::not_found, "there is no report of cluster " + cluster.str());
    catalog::remove_in_use_report(tx, cluster);
    audit::append(tx,
                  audit::Event{"in-use.remove", {}, {}, std::nullopt, std::nullopt, cluster.str(), reason},
                  actor, context_.clock.now());
    return {};
  });
  co_return co_await pending;
}

Result<std::vector<catalog::InUseReport>> InUse::reports() const {
  return context_.database.read([](sql::Session& session) -> Result<std::vector<catalog::InUseReport>> {
    return catalog::list_in_use_reports(session, "", most_clusters);
  });
}

Task<Result<InUseDetails>> InUse::find(ClusterName cluster, std::string repository, std::string digest,
                                       std::int64_t limit) const {
  auto reading = context_.db.start([&] {
    return context_.database.read([&](sql::Session& session) -> Result<InUseDetails> {
      auto report = catalog::find_in_use_report(session, cluster);
      if (!report) return Error(Errc::not_found, "there is no report of cluster " + cluster.str());
      return InUseDetails{std::move(*report), catalog::list_in_use_unknown(session, cluster),
                          catalog::list_in_use(session, cluster, repository, digest, limit)};
    });
  });
  co_return co_await reading;
}

InUseSummary InUse::summary() const {
  InUseSummary summary;
  const auto known = reports();
  if (!known) return summary;
  const Timestamp now = context_.clock.now();
  for (const catalog::InUseReport& report : *known) {
    ++summary.reports;
    summary.stale += report.stale(now) ? 1 : 0;
    summary.images += report.protected_manifests;
    if (summary.ages.size() == ages_shown) continue;
    const auto age = now.microseconds - report.reported_at.microseconds;
    summary.ages.push_back({report.cluster.str(), static_cast<double>(age) / 1e6});
  }
  return summary;
}

}  // namespace stele
