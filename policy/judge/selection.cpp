#include "policy/judge/selection.hpp"

#include <algorithm>
#include <iterator>
#include <limits>

#include "policy/judge/ranks.hpp"

namespace stele::policy {
namespace {

enum class Truth { no, yes, unknown };

Truth truth(bool value) {
  return value ? Truth::yes : Truth::no;
}

std::int64_t age(Timestamp now, Timestamp then) {
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(now.microseconds, then.microseconds, &difference)) return difference;
  return then < now ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

std::int64_t microseconds(std::int64_t seconds) {
  std::int64_t result = 0;
  if (__builtin_mul_overflow(seconds, std::int64_t{1'000'000}, &result))
    return std::numeric_limits<std::int64_t>::max();
  return result;
}

// Whether pulls were recorded all through the last `seconds`.
bool is_recorded(const Snapshot& snapshot, std::int64_t seconds) {
  return snapshot.pulls_since && age(snapshot.now, *snapshot.pulls_since) >= microseconds(seconds);
}

Truth label_matches(const Snapshot& snapshot, const SnapshotManifest& manifest, const std::string& key,
                    const PatternList& patterns) {
  if (!(manifest.flags & SnapshotManifest::labels_known)) return Truth::unknown;
  for (const SnapshotLabel& label :
       std::span(snapshot.labels).subspan(manifest.labels.first, manifest.labels.count)) {
    if (snapshot.texts[at(label.key)] == key) return truth(patterns.matches(snapshot.texts[at(label.value)]));
  }
  return Truth::no;
}

}  // namespace

Selection::Selection(const std::vector<const Lifecycle::Rule*>& rules, const Snapshot& snapshot,
                     const Graph& graph, Facts& facts)
    : snapshot_(snapshot),
      graph_(graph),
      facts_(facts),
      tags_(snapshot.tags.size()),
      manifests_(snapshot.manifests.size()) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    for (const auto& entry : rules[i]->keep) keeps_.push_back({&entry, static_cast<RowIndex>(i)});
    for (const auto& entry : rules[i]->expire) expires_.push_back({&entry, static_cast<RowIndex>(i)});
  }
  for (std::size_t i = 0; i < keeps_.size(); ++i) select(static_cast<RowIndex>(i));

  for (std::size_t i = 0; i < expires_.size(); ++i) {
    const Lifecycle::Entry& entry = *expires_[i].entry;
    const auto row = static_cast<RowIndex>(i);
    if (!entry.selects.size_budget) {
      for (std::size_t tag = 0; tag < tags_.size(); ++tag) {
        if (tags_[tag].expire == no_row && passes(entry, Side::expire, static_cast<RowIndex>(tag)))
          tags_[tag].expire = row;
      }
    }
    if (!entry.selects.untagged && !entry.selects.everything_else) continue;
    for (std::size_t i_manifest = 0; i_manifest < manifests_.size(); ++i_manifest) {
      const auto manifest = static_cast<RowIndex>(i_manifest);
      if (manifests_[i_manifest].expire == no_row && graph_.tags(manifest).empty() &&
          filters_pass(entry, Side::expire, manifest, facts_.pushed_untagged(manifest)))
        manifests_[i_manifest].expire = row;
    }
  }
}

// One entry of keep.
void Selection::select(RowIndex keep_row) {
  const Lifecycle::Entry& entry = *keeps_[at(keep_row)].entry;
  const bool ranks = entry.selects.ranks();
  if (entry.selects.untagged) return keep_untagged(keep_row);
  std::vector<RowIndex> passing;
  for (std::size_t i = 0; i < tags_.size(); ++i) {
    const auto row = static_cast<RowIndex>(i);
    // What an earlier entry keeps takes its slot here too, or the two would add up to more.
    if ((!ranks && tags_[i].keep != no_row) || !passes(entry, Side::keep, row)) continue;
    if (ranks) {
      passing.push_back(row);
    } else {
      tags_[i].keep = keep_row;
    }
  }
  if (ranks) return keep_newest(keep_row, passing);
  if (entry.selects.tags.empty()) keep_untagged(keep_row);
}

// Those without a tag. What hangs from something else stays or goes with that: it takes no slot of a rank.
void Selection::keep_untagged(RowIndex keep_row) {
  const Lifecycle::Entry& entry = *keeps_[at(keep_row)].entry;
  const bool ranks = entry.selects.ranks();
  std::vector<RowIndex> passing;
  for (std::size_t i = 0; i < manifests_.size(); ++i) {
    const auto manifest = static_cast<RowIndex>(i);
    if (!graph_.tags(manifest).empty() || (!ranks && manifests_[i].keep != no_row)) continue;
    if (ranks && (!graph_.up(manifest).empty() || facts_.blocker(manifest) != no_row)) continue;
    if (filters_pass(entry, Side::keep, manifest, facts_.pushed_untagged(manifest)))
      passing.push_back(manifest);
  }
  if (ranks) passing = newest_untagged(snapshot_, facts_, passing, entry.selects);
  for (const RowIndex manifest : passing) {
    if (manifests_[at(manifest)].keep == no_row) manifests_[at(manifest)].keep = keep_row;
  }
}

// For each pattern a tag of the image: the judged one or another.
bool Selection::is_also_tagged(const Lifecycle::Entry& entry, RowIndex manifest) const {
  const auto tags = graph_.tags(manifest);
  return std::all_of(entry.also_tagged.begin(), entry.also_tagged.end(), [&](const PatternList& pattern) {
    return std::any_of(tags.begin(), tags.end(),
                       [&](RowIndex tag) { return pattern.matches(snapshot_.tags[at(tag)].name); });
  });
}

void Selection::keep_newest(RowIndex keep_row, const std::vector<RowIndex>& passing) {
  const LifecycleEntry& selects = keeps_[at(keep_row)].entry->selects;
  std::vector<RowIndex> kept = passing;
  const auto narrow = [&](const std::vector<RowIndex>& chosen) {
    std::vector<RowIndex> both;
    std::set_intersection(kept.begin(), kept.end(), chosen.begin(), chosen.end(), std::back_inserter(both));
    kept = std::move(both);
  };
  if (selects.newest_pushed) narrow(newest_pushed(snapshot_, passing, *selects.newest_pushed));
  if (selects.newest_pulled) narrow(newest_pulled(snapshot_, facts_, passing, *selects.newest_pulled));
  if (selects.newest_semver) narrow(newest_semver(snapshot_, passing, *selects.newest_semver));
  for (const RowIndex tag : kept) {
    if (tags_[at(tag)].keep == no_row) tags_[at(tag)].keep = keep_row;
  }
}

bool Selection::passes(const Lifecycle::Entry& entry, Side side, RowIndex row) {
  const SnapshotTag& tag = snapshot_.tags[at(row)];
  const LifecycleEntry& selects = entry.selects;
  if (tag.manifest == no_row || follows(tag) || selects.untagged) return false;
  const bool is_signature = tag.signs == SnapshotTag::signs_what_is_absent;
  if (side == Side::expire && is_signature && selects.tags.empty() && !selects.everything_else) return false;
  if (selects.ranks() && (is_signature || facts_.is_protected(tag))) return false;
  if (!selects.tags.empty() && !entry.tags.matches(tag.name)) return false;
  return filters_pass(entry, side, tag.manifest, tag.pushed_at);
}

// What is not known keeps: it passes the filters of keep and none of expire (I8).
bool Selection::filters_pass(const Lifecycle::Entry& entry, Side side, RowIndex row, Timestamp pushed_at) {
  const LifecycleEntry& selects = entry.selects;
  const SnapshotManifest& manifest = snapshot_.manifests[at(row)];
  const Timestamp now = snapshot_.now;
  if (!is_also_tagged(entry, row)) return false;
  const auto lets_pass = [&](Truth value) {
    return value == Truth::yes || (value == Truth::unknown && side == Side::keep);
  };
  const auto of_age = [&](bool passes) {
    return lets_pass(pushed_at == never ? Truth::unknown : truth(passes));
  };
  if (selects.older_than && !of_age(age(now, pushed_at) >= microseconds(*selects.older_than))) return false;
  if (selects.pushed_within && !of_age(age(now, pushed_at) <= microseconds(*selects.pushed_within)))
    return false;
  if (selects.not_pulled_for && side == Side::expire && !facts_.is_dated(row)) return false;
  if (selects.not_pulled_for && (age(now, facts_.last_used(row)) < microseconds(*selects.not_pulled_for) ||
                                 !is_recorded(snapshot_, *selects.not_pulled_for)))
    return false;
  if (selects.pulled_within) {
    const Timestamp pulled = facts_.last_pulled(row);
    const bool within = pulled != never && age(now, pulled) <= microseconds(*selects.pulled_within);
    const Truth value = within                                           ? Truth::yes
                        : is_recorded(snapshot_, *selects.pulled_within) ? Truth::no
                                                                         : Truth::unknown;
    if (!lets_pass(value)) return false;
  }
  if (!selects.artifact_types.empty()) {
    const Truth value =
        manifest.artifact_type == no_row
            ? Truth::unknown
            : truth(entry.artifact_types.matches(snapshot_.texts[at(manifest.artifact_type)]));
    if (!lets_pass(value)) return false;
  }
  for (std::size_t i = 0; i < selects.labels.size(); ++i) {
    if (!lets_pass(label_matches(snapshot_, manifest, selects.labels[i].key, entry.labels[i]))) return false;
  }
  if (selects.larger_than) {
    const std::optional<bool> larger = facts_.is_larger(row, *selects.larger_than);
    if (!lets_pass(larger ? truth(*larger) : Truth::unknown)) return false;
  }
  return true;
}

}  // namespace stele::policy
