#include "policy/judge/leaders.hpp"

#include <algorithm>

namespace stele::policy {
namespace {

class Leaders {
 public:
  Leaders(const Snapshot& snapshot, const Graph& graph, const Reachability& reachability)
      : snapshot_(snapshot),
        graph_(graph),
        reachability_(reachability),
        departures_(snapshot.manifests.size()) {}

  std::vector<Departure> find(const std::vector<RowIndex>& item_of_tag,
                              const std::vector<RowIndex>& item_of_manifest) {
    std::vector<RowIndex> tagged, untagged;
    for (std::size_t i = 0; i < departures_.size(); ++i) {
      const auto manifest = static_cast<RowIndex>(i);
      if (reachability_.stays(manifest)) continue;
      RowIndex item = item_of_manifest[i];
      bool judged = false;
      for (const RowIndex tag : graph_.tags(manifest)) {
        const bool follower = follows(snapshot_.tags[at(tag)]);
        if (follower && judged) continue;
        item = item_of_tag[at(tag)];
        judged = !follower;
      }
      departures_[i].item = item;
      if (judged) departures_[i].leader = item;
      if (reachability_.is_hit(manifest)) (judged ? tagged : untagged).push_back(manifest);
    }
    const auto by_item = [&](RowIndex a, RowIndex b) {
      return departures_[at(a)].item < departures_[at(b)].item;
    };
    std::sort(tagged.begin(), tagged.end(), by_item);
    std::sort(untagged.begin(), untagged.end(), by_item);
    for (const RowIndex manifest : tagged) lead(manifest);
    // An untagged one leads only where nothing above it goes, so that a child never goes without its index.
    // What is then left hangs from a circle of damaged rows.
    for (const bool top : {true, false}) {
      for (const RowIndex manifest : untagged) {
        Departure& own = departures_[at(manifest)];
        if (own.leader != no_row || (top && has_departing_above(manifest))) continue;
        own.leader = own.item;
        lead(manifest);
      }
    }
    return std::move(departures_);
  }

 private:
  bool has_departing_above(RowIndex manifest) const {
    const auto above = graph_.up(manifest);
    return std::any_of(above.begin(), above.end(), [&](const Edge& edge) {
      return edge.to != manifest && !reachability_.stays(edge.to);
    });
  }

  void lead(RowIndex leader) {
    open_.assign(1, leader);
    for (std::size_t i = 0; i < open_.size(); ++i) {
      for (const Edge& edge : graph_.down(open_[i])) {
        Departure& below = departures_[at(edge.to)];
        if (reachability_.stays(edge.to) || below.leader != no_row) continue;
        below.leader = departures_[at(leader)].leader;
        below.from = open_[i];
        below.hangs = edge.hangs;
        open_.push_back(edge.to);
      }
    }
  }

  const Snapshot& snapshot_;
  const Graph& graph_;
  const Reachability& reachability_;
  std::vector<Departure> departures_;
  std::vector<RowIndex> open_;
};

}  // namespace

std::vector<Departure> find_departures(const Snapshot& snapshot, const Graph& graph,
                                       const Reachability& reachability,
                                       const std::vector<RowIndex>& item_of_tag,
                                       const std::vector<RowIndex>& item_of_manifest) {
  return Leaders(snapshot, graph, reachability).find(item_of_tag, item_of_manifest);
}

}  // namespace stele::policy
