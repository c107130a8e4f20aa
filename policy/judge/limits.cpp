#include "policy/judge/limits.hpp"

#include <algorithm>
#include <cmath>

namespace stele::policy {
namespace {

using Fate = TagVerdict::Fate;

class TagJudge {
 public:
  TagJudge(const Snapshot& snapshot, const Graph& graph, const Facts& facts, Selection& selection,
           Reachability& reachability)
      : snapshot_(snapshot),
        graph_(graph),
        facts_(facts),
        selection_(selection),
        reachability_(reachability),
        verdicts_(snapshot.tags.size()),
        goes_(snapshot.tags.size(), 0) {}

  void by_entries() {
    for (std::size_t i = 0; i < verdicts_.size(); ++i) {
      const Hits& hits = selection_.of_tag(static_cast<RowIndex>(i));
      if (hits.expire != no_row && hits.keep == no_row) expire(static_cast<RowIndex>(i), hits.expire);
    }
  }

  void by_size_budgets() {
    for (std::size_t i = 0; i < selection_.expires().size(); ++i) {
      if (selection_.expires()[i].entry->selects.size_budget) by_size_budget(static_cast<RowIndex>(i));
    }
  }

  void keep_last(std::uint32_t count);

  std::vector<TagVerdict> finish() {
    reachability_.find(goes_);
    return std::move(verdicts_);
  }

 private:
  void expire(RowIndex tag, RowIndex entry) {
    const bool is_protected = facts_.is_protected(snapshot_.tags[at(tag)]);
    verdicts_[at(tag)] = {is_protected ? Fate::blocked : Fate::expire, entry};
    goes_[at(tag)] = !is_protected;
  }

  void by_size_budget(RowIndex entry);
  bool is_within(std::uint64_t budget, const std::vector<RowIndex>& tags, std::size_t count);

  const Snapshot& snapshot_;
  const Graph& graph_;
  const Facts& facts_;
  Selection& selection_;
  Reachability& reachability_;
  std::vector<TagVerdict> verdicts_;
  std::vector<char> goes_;
};

// Whether what stays fits into the budget once the first `count` of these tags go too.
bool TagJudge::is_within(std::uint64_t budget, const std::vector<RowIndex>& tags, std::size_t count) {
  std::vector<char> goes = goes_;
  for (std::size_t i = 0; i < count; ++i)
    goes[at(tags[i])] = !facts_.is_protected(snapshot_.tags[at(tags[i])]);
  reachability_.find(goes);
  return reachability_.bytes_that_stay() <= budget;
}

void TagJudge::by_size_budget(RowIndex row) {
  const Lifecycle::Entry& entry = *selection_.expires()[at(row)].entry;
  std::vector<RowIndex> oldest;
  for (std::size_t i = 0; i < verdicts_.size(); ++i) {
    const auto tag = static_cast<RowIndex>(i);
    if (snapshot_.tags[i].pushed_at != never && verdicts_[i].fate == Fate::keep &&
        selection_.of_tag(tag).keep == no_row && selection_.passes(entry, Side::expire, tag))
      oldest.push_back(tag);
  }
  std::sort(oldest.begin(), oldest.end(), [&](RowIndex a, RowIndex b) {
    return pushed_before(snapshot_.tags[at(a)], snapshot_.tags[at(b)]);
  });
  // The fewest that suffice: what stays only shrinks as more go.
  const std::uint64_t budget = *entry.selects.size_budget;
  std::size_t enough = oldest.size(), too_few = 0;
  if (is_within(budget, oldest, 0)) return;
  while (enough - too_few > 1) {
    const std::size_t middle = too_few + (enough - too_few) / 2;
    (is_within(budget, oldest, middle) ? enough : too_few) = middle;
  }
  for (std::size_t i = 0; i < enough; ++i) expire(oldest[i], row);
}

// At least `count` images keep a tag: if the entries leave fewer, the newest of those that would go stay.
void TagJudge::keep_last(std::uint32_t count) {
  struct Image {
    RowIndex newest;  // of its tags
    RowIndex manifest;
  };
  std::vector<Image> going;
  std::size_t staying = 0;
  for (std::size_t i = 0; i < snapshot_.manifests.size(); ++i) {
    Image image{no_row, static_cast<RowIndex>(i)};
    bool stays = false;
    for (const RowIndex row : graph_.tags(image.manifest)) {
      const SnapshotTag& tag = snapshot_.tags[at(row)];
      if (tag.signs != SnapshotTag::no_signature) continue;
      stays = stays || !goes_[at(row)];
      if (image.newest == no_row || pushed_before(snapshot_.tags[at(image.newest)], tag)) image.newest = row;
    }
    if (stays) ++staying;
    if (!stays && image.newest != no_row) going.push_back(image);
  }
  if (staying >= count) return;
  std::sort(going.begin(), going.end(), [&](const Image& a, const Image& b) {
    return pushed_before(snapshot_.tags[at(b.newest)], snapshot_.tags[at(a.newest)]);
  });
  going.resize(std::min<std::size_t>(going.size(), count - staying));
  for (const Image& image : going) {
    for (const RowIndex row : graph_.tags(image.manifest)) {
      if (snapshot_.tags[at(row)].signs != SnapshotTag::no_signature) continue;
      goes_[at(row)] = 0;
      verdicts_[at(row)].fate = Fate::last_image;
    }
  }
}

}  // namespace

std::vector<TagVerdict> judge_tags(const LifecycleSettings& settings, const Snapshot& snapshot,
                                   const Graph& graph, const Facts& facts, Selection& selection,
                                   Reachability& reachability) {
  TagJudge judge(snapshot, graph, facts, selection, reachability);
  judge.by_entries();
  // Before the budgets, so that they count what stays because of it, and after them, since they may take it.
  judge.keep_last(settings.keep_last);
  judge.by_size_budgets();
  judge.keep_last(settings.keep_last);
  return judge.finish();
}

bool exceeds(double max_fraction, std::uint64_t going, std::uint64_t manifests) {
  // In millionths: 0.29 of 100 is 29, whatever binary fractions make of it.
  constexpr double parts = 1'000'000;
  const auto allowed = static_cast<std::uint64_t>(std::llround(std::clamp(max_fraction, 0.0, 1.0) * parts));
  return going * static_cast<std::uint64_t>(parts) > allowed * manifests;
}

}  // namespace stele::policy
