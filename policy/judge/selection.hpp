#pragma once
// Internal to the judge: which entries hit which tags and which untagged manifests.

#include <vector>

#include "policy/judge/facts.hpp"
#include "policy/lifecycle_rules.hpp"

namespace stele::policy {

enum class Side { keep, expire };

struct RuleEntry {
  const Lifecycle::Entry* entry;
  RowIndex rule;  // of the rules that apply
};

// The first keep and the first expire entry that hits, in the order of the file: rows of Selection::keeps and
// Selection::expires.
struct Hits {
  RowIndex keep = no_row;
  RowIndex expire = no_row;
};

class Selection {
 public:
  Selection(const std::vector<const Lifecycle::Rule*>&, const Snapshot&, const Graph&, Facts&);

  const std::vector<RuleEntry>& keeps() const { return keeps_; }
  const std::vector<RuleEntry>& expires() const { return expires_; }

  // size_budget does not hit here: it comes last (limits.hpp). Never for tags that follow a digest.
  const Hits& of_tag(RowIndex tag) const { return tags_[at(tag)]; }
  // Never for one with a tag.
  const Hits& of_manifest(RowIndex manifest) const { return manifests_[at(manifest)]; }

  // Whether the entry judges such a tag at all and its filters let it pass; ranks and size_budget aside.
  bool passes(const Lifecycle::Entry&, Side, RowIndex tag);

 private:
  bool filters_pass(const Lifecycle::Entry&, Side, RowIndex manifest, Timestamp pushed_at);
  void select(RowIndex keep_row);
  void keep_newest(RowIndex keep_row, const std::vector<RowIndex>& passing);
  void keep_untagged(RowIndex keep_row);
  bool is_also_tagged(const Lifecycle::Entry&, RowIndex manifest) const;

  const Snapshot& snapshot_;
  const Graph& graph_;
  Facts& facts_;
  std::vector<RuleEntry> keeps_, expires_;
  std::vector<Hits> tags_, manifests_;
};

}  // namespace stele::policy
