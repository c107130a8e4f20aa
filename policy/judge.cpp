#include "policy/judge.hpp"

#include <algorithm>

#include "base/printable.hpp"
#include "policy/judge/limits.hpp"
#include "policy/judge/reasons.hpp"

namespace stele::policy {
namespace {

using Fate = TagVerdict::Fate;

class Planner {
 public:
  Planner(const Lifecycle& lifecycle, const Snapshot& snapshot)
      : lifecycle_(lifecycle),
        snapshot_(snapshot),
        rules_(lifecycle.rules_for(snapshot.repository)),
        graph_(snapshot),
        facts_(snapshot, graph_),
        selection_(rules_, snapshot, graph_, facts_),
        reachability_(snapshot, graph_, facts_, selection_),
        reasons_(snapshot, graph_, facts_, reachability_, tag_stays_) {}

  Judgement plan() {
    verdicts_ = judge_tags(lifecycle_.settings(), snapshot_, graph_, facts_, selection_, reachability_);
    for (const Lifecycle::Rule* rule : rules_) plan_.rules.push_back(rule->name);
    find_staying_tags();
    number_items();
    departures_ = find_departures(snapshot_, graph_, reachability_, item_of_tag_, item_of_manifest_);
    for (PlanItem& item : plan_.items) {
      if (item.tag == no_row) {
        judge_manifest(item);
      } else if (item.manifest == no_row) {
        set(item, Verdict::keep, "its row names no manifest; nothing is removed that is not understood");
      } else {
        const SnapshotTag& tag = snapshot_.tags[at(item.tag)];
        follows(tag) ? judge_signature(item, tag) : judge_tag(item);
      }
    }
    count_removals();
    count_bytes();
    plan_.reasons = sentences_.take();
    return std::move(plan_);
  }

 private:
  void find_staying_tags() {
    tag_stays_.assign(snapshot_.tags.size(), 1);
    for (std::size_t i = 0; i < tag_stays_.size(); ++i) {
      const SnapshotTag& tag = snapshot_.tags[i];
      tag_stays_[i] = follows(tag)
                          ? tag.manifest == no_row || tag.blocker != no_row || reachability_.stays(tag.signs)
                          : verdicts_[i].fate != Fate::expire;
    }
  }

  void number_items() {
    plan_.items.reserve(snapshot_.tags.size() + snapshot_.manifests.size());
    item_of_tag_.assign(snapshot_.tags.size(), no_row);
    item_of_manifest_.assign(snapshot_.manifests.size(), no_row);
    for (const RowIndex tag : graph_.all_tags()) {
      item_of_tag_[at(tag)] = add_item(tag, snapshot_.tags[at(tag)].manifest);
    }
    std::vector<RowIndex> untagged;
    for (std::size_t i = 0; i < item_of_manifest_.size(); ++i) {
      if (graph_.tags(static_cast<RowIndex>(i)).empty()) untagged.push_back(static_cast<RowIndex>(i));
    }
    std::sort(untagged.begin(), untagged.end(), [&](RowIndex a, RowIndex b) {
      const std::int64_t first = snapshot_.manifests[at(a)].id, second = snapshot_.manifests[at(b)].id;
      return first != second ? first < second : a < b;
    });
    for (const RowIndex manifest : untagged) item_of_manifest_[at(manifest)] = add_item(no_row, manifest);
  }

  RowIndex add_item(RowIndex tag, RowIndex manifest) {
    PlanItem item;
    item.tag = tag;
    item.manifest = manifest;
    if (manifest != no_row) item.last_used = facts_.last_used(manifest);
    plan_.items.push_back(item);
    return static_cast<RowIndex>(plan_.items.size() - 1);
  }

  void set(PlanItem& item, Verdict verdict, std::string reason, RowIndex rule = no_row) {
    item.verdict = verdict;
    item.reason = sentences_.add(std::move(reason));
    item.rule = rule;
    if (verdict == Verdict::expire) ++plan_.items_expiring;
    if (verdict == Verdict::blocked) ++plan_.items_blocked;
  }

  RowIndex own_place(const PlanItem& item) const { return static_cast<RowIndex>(&item - plan_.items.data()); }

  // The rule of what leads: its own row is judged perhaps later, its entry is known already.
  RowIndex rule_of_leader(RowIndex leader) const {
    const PlanItem& item = plan_.items[at(leader)];
    const RowIndex entry =
        item.tag == no_row ? selection_.of_manifest(item.manifest).expire : verdicts_[at(item.tag)].expire;
    return entry == no_row ? no_row : selection_.expires()[at(entry)].rule;
  }

  std::string name_of_leader(RowIndex leader) const {
    const RowIndex tag = plan_.items[at(leader)].tag;
    return tag == no_row ? "an untagged manifest" : "tag " + printable(snapshot_.tags[at(tag)].name);
  }

  void judge_tag(PlanItem& item) {
    const TagVerdict& verdict = verdicts_[at(item.tag)];
    const Hits& hits = selection_.of_tag(item.tag);
    if (hits.keep != no_row) {
      const RuleEntry& by = selection_.keeps()[at(hits.keep)];
      return set(item, Verdict::keep, reasons_.kept(*by.entry), by.rule);
    }
    if (verdict.fate == Fate::keep) return set(item, Verdict::keep, no_rule(item));
    const RuleEntry& by = selection_.expires()[at(verdict.expire)];
    if (verdict.fate == Fate::blocked)
      return set(item, Verdict::blocked, reasons_.blocked(*by.entry, item.tag, item.manifest), by.rule);
    if (verdict.fate == Fate::last_image)
      return set(item, Verdict::blocked, reasons_.last_image(*by.entry), by.rule);
    item.leader = own_place(item);
    set(item, Verdict::expire, reasons_.expired(*by.entry, item.tag, item.manifest), by.rule);
  }

  void judge_signature(PlanItem& item, const SnapshotTag& tag) {
    if (reachability_.stays(tag.signs)) return set(item, Verdict::keep, reasons_.signature_kept(item.tag));
    const RowIndex leader = departures_[at(tag.signs)].leader;
    const RowIndex rule = rule_of_leader(leader);
    if (tag.blocker != no_row) return set(item, Verdict::blocked, reasons_.signature_blocked(item.tag), rule);
    item.leader = leader;
    set(item, Verdict::expire, reasons_.signature_gone(name_of_leader(leader)), rule);
  }

  void judge_manifest(PlanItem& item) {
    const Hits& hits = selection_.of_manifest(item.manifest);
    if (hits.keep != no_row) {
      const RuleEntry& by = selection_.keeps()[at(hits.keep)];
      return set(item, Verdict::keep, reasons_.kept(*by.entry), by.rule);
    }
    const RuleEntry* by = hits.expire == no_row ? nullptr : &selection_.expires()[at(hits.expire)];
    if (by && facts_.blocker(item.manifest) != no_row)
      return set(item, Verdict::blocked, reasons_.blocked(*by->entry, no_row, item.manifest), by->rule);
    if (reachability_.stays(item.manifest)) {
      return set(
          item, Verdict::keep,
          reachability_.kept_by(item.manifest) == no_row ? no_rule(item) : reasons_.reached(item.manifest));
    }
    const Departure& departure = departures_[at(item.manifest)];
    item.leader = departure.leader;
    if (departure.leader == own_place(item))
      return set(item, Verdict::expire, reasons_.expired(*by->entry, no_row, item.manifest), by->rule);
    set(item, Verdict::expire, reasons_.led(departure, name_of_leader(departure.leader)),
        rule_of_leader(departure.leader));
  }

  std::string no_rule(const PlanItem& item) const {
    const bool is_dated =
        item.tag == no_row ? facts_.is_dated(item.manifest) : snapshot_.tags[at(item.tag)].pushed_at != never;
    if (is_dated) return "no expire entry says otherwise";
    return "no push time: expire entries that ask for an age never hit it; pushing it again gives it one";
  }

  void count_removals() {
    for (std::size_t i = 0; i < departures_.size(); ++i) {
      if (departures_[i].item != no_row)
        plan_.removals.push_back({static_cast<RowIndex>(i), departures_[i].item, departures_[i].leader});
    }
    std::sort(plan_.removals.begin(), plan_.removals.end(),
              [](const Removal& a, const Removal& b) { return a.item < b.item; });
    plan_.manifests = snapshot_.manifests.size();
    plan_.manifests_expiring = plan_.removals.size();
    plan_.exceeds_fraction =
        exceeds(lifecycle_.settings().max_fraction, plan_.manifests_expiring, plan_.manifests);
  }

  // A manifest's bytes, and those of blobs that only what goes needs, fall to the first item that needs them.
  void count_bytes() {
    std::vector<char> counted(snapshot_.blobs.size(), 0), manifest_counted(snapshot_.manifests.size(), 0);
    for (std::size_t i = 0; i < counted.size(); ++i) counted[i] = snapshot_.blobs[i].elsewhere;
    for (std::size_t i = 0; i < snapshot_.manifests.size(); ++i) {
      if (!reachability_.stays(static_cast<RowIndex>(i))) continue;
      manifest_counted[i] = 1;
      for (const RowIndex blob : blobs_of(snapshot_.manifests[i])) counted[at(blob)] = 1;
    }
    for (PlanItem& item : plan_.items) {
      if (item.verdict != Verdict::expire || manifest_counted[at(item.manifest)]) continue;
      manifest_counted[at(item.manifest)] = 1;
      const SnapshotManifest& manifest = snapshot_.manifests[at(item.manifest)];
      std::uint64_t bytes = size_of(manifest.bytes);
      for (const RowIndex blob : blobs_of(manifest)) {
        if (counted[at(blob)]) continue;
        counted[at(blob)] = 1;
        bytes += size_of(snapshot_.blobs[at(blob)].bytes);
      }
      item.frees_bytes = static_cast<std::int64_t>(bytes);
      plan_.bytes_freed += item.frees_bytes;
    }
  }

  std::span<const RowIndex> blobs_of(const SnapshotManifest& manifest) const {
    return std::span(snapshot_.blob_uses).subspan(manifest.blobs.first, manifest.blobs.count);
  }

  const Lifecycle& lifecycle_;
  const Snapshot& snapshot_;
  const std::vector<const Lifecycle::Rule*> rules_;
  Graph graph_;
  Facts facts_;
  Selection selection_;
  Reachability reachability_;
  std::vector<char> tag_stays_;
  Reasons reasons_;
  Sentences sentences_;
  std::vector<TagVerdict> verdicts_;
  std::vector<RowIndex> item_of_tag_, item_of_manifest_;
  std::vector<Departure> departures_;
  Judgement plan_;
};

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::keep:
      return "KEEP";
    case Verdict::expire:
      return "EXPIRE";
    case Verdict::blocked:
      return "BLOCKED";
  }
  return "unknown";
}

Judgement judge(const Lifecycle& lifecycle, const Snapshot& snapshot) {
  return Planner(lifecycle, snapshot).plan();
}

}  // namespace stele::policy
