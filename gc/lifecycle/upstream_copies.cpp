#include "gc/lifecycle/upstream_copies.hpp"

#include <algorithm>

namespace stele::gc {

using policy::no_row;

std::vector<DepartingGroup> departing_groups(const JudgedRepository& judged) {
  const policy::Snapshot& snapshot = judged.view.snapshot;
  const auto& items = judged.judgement.items;
  const auto tag_of = [&](const policy::PlanItem& item) {
    return item.tag == no_row ? std::string() : snapshot.tags[static_cast<std::size_t>(item.tag)].name;
  };
  std::map<policy::RowIndex, DepartingGroup> by_leader;
  for (const policy::PlanItem& item : items) {
    if (item.verdict != policy::Verdict::expire || item.manifest == no_row || item.leader == no_row) continue;
    const policy::PlanItem& leader = items[static_cast<std::size_t>(item.leader)];
    DepartingGroup fresh{
        judged.view.name, tag_of(leader), judged.view.digests.text(leader.manifest), leader.last_used, 0, {}};
    DepartingGroup& group = by_leader.try_emplace(item.leader, std::move(fresh)).first->second;
    group.frees += static_cast<std::uint64_t>(std::max<std::int64_t>(0, item.frees_bytes));
    group.items.emplace_back(tag_of(item), judged.view.digests.text(item.manifest));
  }
  std::vector<DepartingGroup> groups;
  groups.reserve(by_leader.size());
  for (auto& [leader, group] : by_leader) groups.push_back(std::move(group));
  return groups;
}

bool UpstreamCopies::is_leased(const DepartingGroup& group) const {
  return std::any_of(group.items.begin(), group.items.end(), [&](const auto& item) {
    const auto digest = Digest::parse(item.second);
    return digest && context_.leases.leased(*digest);
  });
}

Result<bool> UpstreamCopies::can_come_back(const DepartingGroup& group, bool by_digest) {
  const auto digest = Digest::parse(group.digest);
  if (!digest) return digest.error();
  const auto tag = Tag::parse(group.tag);
  const bool by_tag = tag && !by_digest;
  const std::string key = group.repository.str() + (by_tag ? ":" + group.tag : "@" + group.digest);
  if (const auto known = asked_.find(key); known != asked_.end()) return known->second;
  if (asked_.size() >= most_asked)
    return Error(Errc::unavailable,
                 "upstream was asked for " + std::to_string(most_asked) + " of them; the next round goes on");
  const Reference reference = by_tag ? Reference(*tag) : Reference(*digest);
  const auto there = there_(group.repository, reference);
  if (!there) return there.error();
  asked_.emplace(key, *there);
  return *there;
}

}  // namespace stele::gc
