#pragma once
// What the lifecycle rules say of one repository: a verdict for every tag and every untagged manifest. A pure
// function; what it means: docs/policy.md, "Lifecycle rules".
//
// Tags are judged first: a keep entry of any rule that applies beats every expire entry. Then manifests: what
// stays keeps its entries (of an index), its referrers, and its @signature tags, all the way down, and a
// blocker (lock, hold, in use) keeps upwards too: the indexes that list its manifest, and its subject. A
// manifest goes when nothing that stays reaches it, every tag on it goes, and either an expire entry hits it
// or it hangs from one that goes so. Everything else stays; whatever is unknown or contradictory counts for
// staying (I8).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/lifecycle_rules.hpp"
#include "policy/snapshot.hpp"

namespace stele::policy {

// blocked: an expire entry hits and no keep entry keeps it, but something forbids; the reason names that and
// the next step.
enum class Verdict : std::uint8_t { keep, expire, blocked };
std::string_view to_string(Verdict);  // KEEP, EXPIRE, BLOCKED

// One of a tag, or of a manifest without any tag. The verdict of a tag is about the name: its manifest may
// stay for another reason, and goes only if it stands in Judgement::removals.
struct PlanItem {
  RowIndex tag = no_row;       // none: the manifest itself
  RowIndex manifest = no_row;  // none: a tag whose row names no manifest; it stays
  // The item because of which this one goes: its own place for one that an entry hits, another's for what
  // only hangs from that. None unless the verdict is expire.
  RowIndex leader = no_row;
  RowIndex rule = no_row;  // Judgement::rules: whose entry decided
  std::uint32_t reason = 0;
  Verdict verdict = Verdict::keep;
  Timestamp last_used = never;   // of the manifest: pushed, tagged or pulled, itself or an entry of it
  std::int64_t frees_bytes = 0;  // counted once over the whole plan; the sum is what the run frees
};

// A manifest that goes. It goes when `item` is carried out, the last in plan order of the tags on it (of
// those that entries hit, if there are any) or its own; and it may go only when `leader` does: if that
// survives (re-tagged, pulled again), so must all that it leads.
struct Removal {
  RowIndex manifest;
  RowIndex item;
  RowIndex leader;
};

struct Judgement {
  std::vector<PlanItem> items;    // tags in bytewise order, then untagged manifests by id
  std::vector<Removal> removals;  // by item; every manifest that goes, once
  std::vector<std::string> rules;
  std::vector<std::string> reasons;  // sentences, each once

  std::uint64_t manifests = 0;
  std::uint64_t manifests_expiring = 0;  // removals
  std::uint64_t items_expiring = 0;      // tags, and manifests without one
  std::uint64_t items_blocked = 0;
  std::int64_t bytes_freed = 0;
  bool exceeds_fraction = false;  // more of the manifests go than max_fraction allows: the run stops and asks

  const std::string& reason_of(const PlanItem& item) const { return reasons[item.reason]; }
  std::string_view rule_of(const PlanItem& item) const {
    return item.rule < 0 ? std::string_view() : rules[static_cast<std::size_t>(item.rule)];
  }
};

// Time n log n in manifests, tags and edges. The same snapshot gives the same plan. Of what is equally
// new (newest_*, keep_last, size_budget) what was committed later is newer (pushed_before()). Throws
// std::invalid_argument for a snapshot whose rows name rows that it does not have.
Judgement judge(const Lifecycle&, const Snapshot&);

}  // namespace stele::policy
