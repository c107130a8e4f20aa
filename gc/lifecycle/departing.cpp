#include "gc/lifecycle/departing.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>

namespace stele::gc {
namespace {

using policy::no_row;
using policy::PlanItem;
using policy::RowIndex;

std::size_t at(RowIndex row) {
  return static_cast<std::size_t>(row);
}

struct Departing {
  RowIndex manifest;
  ExpiringManifest expiring;
  std::int64_t frees_bytes = 0;
};

class Groups {
 public:
  explicit Groups(std::size_t count) : parent_(count) {
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
  }

  std::size_t find(std::size_t place) {
    while (parent_[place] != place) place = parent_[place] = parent_[parent_[place]];
    return place;
  }
  void join(std::size_t a, std::size_t b) { parent_[find(a)] = find(b); }

 private:
  std::vector<std::size_t> parent_;
};

class Sorter {
 public:
  Sorter(const JudgedRepository& judged, const std::optional<Approval>& approval)
      : judged_(judged), snapshot_(judged.view.snapshot), approval_(approval) {}

  std::vector<DepartingBatch> batches(std::size_t longest) {
    collect();
    join();
    return cut(longest);
  }

 private:
  Departing& of(RowIndex manifest, bool goes) {
    const auto [place, fresh] = places_.try_emplace(manifest, departing_.size());
    if (fresh) {
      const auto digest = Digest::parse(judged_.view.digests.text(manifest)).value();
      const policy::SnapshotManifest& row = snapshot_.manifests[at(manifest)];
      ExpiringManifest expiring{digest, catalog::ManifestId(row.id), {}, goes, true, false, std::nullopt, {},
                                {}};
      if (row.pulled_at != policy::never) expiring.pulled_at = row.pulled_at;
      departing_.push_back({manifest, std::move(expiring)});
    }
    return departing_[place->second];
  }

  bool is_approved(const PlanItem& item, const std::string& digest) const {
    if (!approval_) return true;
    const std::string tag = item.tag == no_row ? std::string() : snapshot_.tags[at(item.tag)].name;
    return approval_->items.contains({tag, digest});
  }

  // Pulls that nobody recorded may have been: then it counts as used.
  bool is_used_since_plan(const PlanItem& item) const {
    if (!approval_) return false;
    return !snapshot_.pulls_since || *snapshot_.pulls_since > approval_->made_at ||
           item.last_used >= approval_->made_at;
  }

  bool goes(RowIndex manifest) const {
    const auto place = places_.find(manifest);
    return place != places_.end() && departing_[place->second].expiring.goes;
  }

  void collect() {
    for (const policy::Removal& removal : judged_.judgement.removals) of(removal.manifest, true);
    for (const PlanItem& item : judged_.judgement.items) {
      if (item.verdict != policy::Verdict::expire) continue;
      const std::string digest = judged_.view.digests.text(item.manifest);
      const bool approved = is_approved(item, digest);
      if (!approved && !goes(item.manifest))
        continue;  // a name on a manifest that stays: nothing hangs on it
      Departing& departing = of(item.manifest, false);
      ExpiringManifest& expiring = departing.expiring;
      departing.frees_bytes += item.frees_bytes;
      if (!approved) expiring.due = false;
      if (is_used_since_plan(item)) expiring.used_since_plan = true;
      const std::string rule(judged_.judgement.rule_of(item));
      const std::string& reason = judged_.judgement.reason_of(item);
      if (item.tag != no_row) {
        const policy::SnapshotTag& tag = snapshot_.tags[at(item.tag)];
        expiring.tags.push_back({Tag::parse(tag.name).value(), tag.bound_at,
                                 std::max(tag.bound_at, tag.pushed_at), rule, reason});
      }
      expiring.rule = rule;
      expiring.reason = reason;
    }
  }

  void add_edge(RowIndex upper, RowIndex lower, bool is_entry) {
    const auto above = places_.find(upper), below = places_.find(lower);
    if (above == places_.end() || below == places_.end() || above == below) return;
    if (!departing_[above->second].expiring.goes || !departing_[below->second].expiring.goes) return;
    edges_.push_back(
        {static_cast<std::uint32_t>(above->second), static_cast<std::uint32_t>(below->second), is_entry});
  }

  void join() {
    for (const auto& [manifest, place] : places_) {
      const policy::SnapshotManifest& row = snapshot_.manifests[at(manifest)];
      for (std::uint32_t i = 0; i < row.entries.count; ++i)
        add_edge(manifest, snapshot_.entries[row.entries.first + i], true);
      if (row.subject != no_row) add_edge(row.subject, manifest, false);
    }
    for (const policy::SnapshotTag& tag : snapshot_.tags) {
      if (tag.signs >= 0 && tag.manifest != no_row) add_edge(tag.signs, tag.manifest, false);
    }
  }

  // Upper ones first. What lies on a circle, which only damaged rows make, comes last.
  std::vector<std::size_t> order() const {
    std::vector<std::uint32_t> above(departing_.size(), 0);
    std::vector<std::vector<std::uint32_t>> below(departing_.size());
    for (const ExpiryEdge& edge : edges_) {
      ++above[edge.lower];
      below[edge.upper].push_back(edge.lower);
    }
    std::vector<std::size_t> order;
    std::vector<char> placed(departing_.size(), 0);
    const auto place = [&](std::size_t departing) {
      order.push_back(departing);
      placed[departing] = 1;
    };
    for (std::size_t i = 0; i < departing_.size(); ++i) {
      if (above[i] == 0) place(i);
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      for (const std::uint32_t lower : below[order[i]]) {
        if (--above[lower] == 0) place(lower);
      }
    }
    for (std::size_t i = 0; i < departing_.size(); ++i) {
      if (!placed[i]) place(i);
    }
    return order;
  }

  std::vector<DepartingBatch> cut(std::size_t longest) {
    Groups groups(departing_.size());
    for (const ExpiryEdge& edge : edges_) groups.join(edge.upper, edge.lower);
    std::map<std::size_t, std::vector<std::size_t>> group_of;  // by root, each in the right order
    for (const std::size_t place : order()) group_of[groups.find(place)].push_back(place);
    std::vector<std::vector<std::size_t>> parts;
    for (const auto& [root, group] : group_of) {
      for (std::size_t begin = 0; begin < group.size(); begin += longest) {
        const std::size_t end = std::min(group.size(), begin + longest);
        parts.emplace_back(group.begin() + static_cast<std::ptrdiff_t>(begin),
                           group.begin() + static_cast<std::ptrdiff_t>(end));
      }
    }
    std::vector<std::pair<std::size_t, std::uint32_t>> where(departing_.size());  // part, place in it
    for (std::size_t part = 0; part < parts.size(); ++part) {
      for (std::size_t i = 0; i < parts[part].size(); ++i)
        where[parts[part][i]] = {part, static_cast<std::uint32_t>(i)};
    }
    std::vector<DepartingBatch> batches(parts.size());
    for (std::size_t part = 0; part < parts.size(); ++part) {
      for (const std::size_t place : parts[part]) {
        batches[part].manifests.push_back(std::move(departing_[place].expiring));
        batches[part].frees_bytes.push_back(departing_[place].frees_bytes);
      }
    }
    for (const ExpiryEdge& edge : edges_) {
      const auto [part, upper] = where[edge.upper];
      const auto [other, lower] = where[edge.lower];
      if (part == other) batches[part].edges.push_back({upper, lower, edge.is_entry});
    }
    return batches;
  }

  const JudgedRepository& judged_;
  const policy::Snapshot& snapshot_;
  const std::optional<Approval>& approval_;
  std::map<RowIndex, std::size_t> places_;
  std::vector<Departing> departing_;
  std::vector<ExpiryEdge> edges_;
};

}  // namespace

std::vector<DepartingBatch> departing_batches(const JudgedRepository& judged,
                                              const std::optional<Approval>& approval, std::size_t longest) {
  return Sorter(judged, approval).batches(longest);
}

DepartingBatch take_batch(std::vector<DepartingBatch>& batches, std::size_t& next, std::size_t size) {
  DepartingBatch taken = std::move(batches[next++]);
  while (next < batches.size() && taken.manifests.size() + batches[next].manifests.size() <= size) {
    DepartingBatch& more = batches[next++];
    const auto offset = static_cast<std::uint32_t>(taken.manifests.size());
    for (const ExpiryEdge& edge : more.edges)
      taken.edges.push_back({edge.upper + offset, edge.lower + offset, edge.is_entry});
    std::move(more.manifests.begin(), more.manifests.end(), std::back_inserter(taken.manifests));
    taken.frees_bytes.insert(taken.frees_bytes.end(), more.frees_bytes.begin(), more.frees_bytes.end());
  }
  return taken;
}

}  // namespace stele::gc
