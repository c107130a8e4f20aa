#include "policy/judge/ranks.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_set>

#include "policy/version.hpp"

namespace stele::policy {
namespace {

// `order`: the best first. The tags whose manifest is among the first `count` distinct ones.
std::vector<RowIndex> of_first_manifests(const Snapshot& snapshot, const std::vector<RowIndex>& order,
                                         std::uint32_t count) {
  std::unordered_set<RowIndex> manifests;
  std::vector<RowIndex> chosen;
  for (const RowIndex tag : order) {
    const RowIndex manifest = snapshot.tags[at(tag)].manifest;
    if (manifests.size() < count) manifests.insert(manifest);
    if (manifests.contains(manifest)) chosen.push_back(tag);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

template <class F>
std::vector<RowIndex> newest_by(const Snapshot& snapshot, const std::vector<RowIndex>& tags,
                                std::uint32_t count, const F& time_of) {
  std::vector<RowIndex> order = tags;
  std::sort(order.begin(), order.end(), [&](RowIndex a, RowIndex b) {
    const Timestamp first = time_of(a), second = time_of(b);
    if (first != second) return first > second;
    return pushed_before(snapshot.tags[at(b)], snapshot.tags[at(a)]);
  });
  return of_first_manifests(snapshot, order, count);
}

// Every pull since then is recorded, or it came after and all its pulls are.
bool last_pull_is_known(const Snapshot& snapshot, const Facts& facts, RowIndex manifest) {
  return snapshot.pulls_since && (facts.last_pulled(manifest) >= *snapshot.pulls_since ||
                                  snapshot.manifests[at(manifest)].pushed_at >= *snapshot.pulls_since);
}

}  // namespace

std::vector<RowIndex> newest_pushed(const Snapshot& snapshot, const std::vector<RowIndex>& tags,
                                    std::uint32_t count) {
  std::vector<RowIndex> known, chosen;
  for (const RowIndex tag : tags) (snapshot.tags[at(tag)].pushed_at == never ? chosen : known).push_back(tag);
  const auto ranked =
      newest_by(snapshot, known, count, [&](RowIndex tag) { return snapshot.tags[at(tag)].pushed_at; });
  chosen.insert(chosen.end(), ranked.begin(), ranked.end());
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::vector<RowIndex> newest_pulled(const Snapshot& snapshot, const Facts& facts,
                                    const std::vector<RowIndex>& tags, std::uint32_t count) {
  std::vector<RowIndex> known, chosen;
  for (const RowIndex tag : tags)
    (last_pull_is_known(snapshot, facts, snapshot.tags[at(tag)].manifest) ? known : chosen).push_back(tag);
  const auto ranked = newest_by(
      snapshot, known, count, [&](RowIndex tag) { return facts.last_used(snapshot.tags[at(tag)].manifest); });
  chosen.insert(chosen.end(), ranked.begin(), ranked.end());
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::vector<RowIndex> newest_semver(const Snapshot& snapshot, const std::vector<RowIndex>& tags,
                                    std::uint32_t count) {
  struct Ranked {
    Version version;
    RowIndex tag;
  };
  std::vector<Ranked> versions;
  for (const RowIndex tag : tags) {
    if (auto version = parse_version(snapshot.tags[at(tag)].name))
      versions.push_back({std::move(*version), tag});
  }
  std::sort(versions.begin(), versions.end(), [&](const Ranked& a, const Ranked& b) {
    const int order = compare(a.version, b.version);
    if (order != 0) return order > 0;
    return pushed_before(snapshot.tags[at(b.tag)], snapshot.tags[at(a.tag)]);
  });
  std::vector<RowIndex> order;
  for (const Ranked& ranked : versions) order.push_back(ranked.tag);
  return of_first_manifests(snapshot, order, count);
}

std::vector<RowIndex> newest_untagged(const Snapshot& snapshot, const Facts& facts,
                                      const std::vector<RowIndex>& manifests, const LifecycleEntry& ranks) {
  // Without its known last pull, or push, a manifest stays and takes no slot, as with tags.
  const auto newest = [&](std::uint32_t count, const auto& is_ranked, const auto& time_of) {
    std::vector<RowIndex> order, chosen;
    for (const RowIndex manifest : manifests) (is_ranked(manifest) ? order : chosen).push_back(manifest);
    std::sort(order.begin(), order.end(), [&](RowIndex a, RowIndex b) {
      const Timestamp first = time_of(a), second = time_of(b);
      if (first != second) return first > second;
      return snapshot.manifests[at(a)].id > snapshot.manifests[at(b)].id;
    });
    if (order.size() > count) order.resize(count);
    chosen.insert(chosen.end(), order.begin(), order.end());
    std::sort(chosen.begin(), chosen.end());
    return chosen;
  };
  std::vector<RowIndex> kept = manifests;
  std::sort(kept.begin(), kept.end());
  const auto narrow = [&](const std::vector<RowIndex>& chosen) {
    std::vector<RowIndex> both;
    std::set_intersection(kept.begin(), kept.end(), chosen.begin(), chosen.end(), std::back_inserter(both));
    kept = std::move(both);
  };
  if (ranks.newest_pushed) {
    narrow(newest(
        *ranks.newest_pushed, [&](RowIndex manifest) { return facts.pushed_untagged(manifest) != never; },
        [&](RowIndex manifest) { return facts.pushed_untagged(manifest); }));
  }
  if (ranks.newest_pulled) {
    narrow(newest(
        *ranks.newest_pulled,
        [&](RowIndex manifest) { return last_pull_is_known(snapshot, facts, manifest); },
        [&](RowIndex manifest) { return facts.last_used(manifest); }));
  }
  return kept;
}

}  // namespace stele::policy
