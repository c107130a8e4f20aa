#include "registry/promotion_plan.hpp"

#include <deque>
#include <map>

#include "registry/signature_tags.hpp"
#include "registry/tag_moves.hpp"
#include "registry/unknown.hpp"

namespace stele {
namespace {

constexpr std::int64_t most_referrers = 10'000;  // of one manifest
constexpr int deepest_index = 32;

class Planner {
 public:
  Planner(sql::Session& session, const RepositoryName& from, catalog::RepositoryId from_id,
          std::optional<catalog::RepositoryId> to_id)
      : session_(session), from_(from), from_id_(from_id), to_id_(to_id) {}

  Result<PromotionPlan> plan(const Digest& digest) {
    if (auto taken = take(digest); !taken) return taken.error();
    // Signatures are manifests too, and come behind what they sign.
    for (std::size_t i = 0; i < plan_.size(); ++i) {
      const Digest named = plan_[i].digest;
      for (const Tag& tag : signature_tags(named)) {
        const auto bound = catalog::find_tag(session_, from_id_, from_, tag);
        if (!bound) return bound.error();
        if (!*bound) continue;
        if (auto taken = take((*bound)->digest); !taken) return taken.error();
        plan_[places_.at((*bound)->digest.str())].tags.push_back(tag);
      }
    }
    return std::move(plan_);
  }

 private:
  // The manifest, what it needs, and what refers to any of them.
  Result<void> take(const Digest& digest) {
    std::deque<Digest> waiting{digest};
    for (; !waiting.empty(); waiting.pop_front()) {
      if (auto taken = take_needed(waiting.front(), 0, waiting); !taken) return taken;
    }
    return {};
  }

  // Children before their index. What refers to what was taken is added to `referrers`.
  Result<void> take_needed(const Digest& digest, int depth, std::deque<Digest>& referrers) {
    if (!seen_.insert(digest.str()).second) return {};
    if (seen_.size() > TagMoves::most_manifests) {
      return too_much("more than " + std::to_string(TagMoves::most_manifests) +
                      " manifests hang on this one");
    }
    if (depth > deepest_index) {
      return Error(Errc::parameter_invalid, "indexes are nested more than " + std::to_string(deepest_index) +
                                                " deep in " + from_.str());
    }
    const auto info = catalog::find_manifest(session_, from_id_, digest);
    if (!info) return unknown_manifest(from_, Reference(digest));
    for (const Digest& entry : catalog::entries_of(session_, info->id)) {
      if (!catalog::find_manifest(session_, from_id_, entry))
        continue;  // buildkit's cache export lists layers
      if (auto taken = take_needed(entry, depth + 1, referrers); !taken) return taken;
    }
    for (Digest& referrer : catalog::referring_to(session_, from_id_, digest, most_referrers))
      referrers.push_back(std::move(referrer));
    const bool there = to_id_ && catalog::find_manifest(session_, *to_id_, digest);
    bytes_ += there ? 0 : info->size;
    if (bytes_ > TagMoves::most_bytes) {
      return too_much("more than " + std::to_string(TagMoves::most_bytes >> 20) +
                      " MiB of manifests hang on this one");
    }
    places_.emplace(digest.str(), plan_.size());
    plan_.push_back({digest, info->size, {}});
    return {};
  }

  static Error too_much(std::string what) {
    return Error(Errc::parameter_invalid, std::move(what) + "; promote them in parts");
  }

  sql::Session& session_;
  const RepositoryName& from_;
  const catalog::RepositoryId from_id_;
  const std::optional<catalog::RepositoryId> to_id_;
  PromotionPlan plan_;
  std::map<std::string, std::size_t> places_;  // in plan_
  std::set<std::string> seen_;
  std::uint64_t bytes_ = 0;  // that the target does not have
};

}  // namespace

Result<PromotionPlan> plan_promotion(sql::Session& session, const RepositoryName& from,
                                     const RepositoryName& to, const Digest& digest) {
  const auto from_id = catalog::find_repository(session, from);
  if (!from_id) return unknown_repository(from);
  return Planner(session, from, *from_id, catalog::find_repository(session, to)).plan(digest);
}

std::vector<std::size_t> writes_of(const PromotionPlan& plan) {
  std::vector<std::size_t> writes{0};
  std::uint64_t bytes = 0;
  for (const PlannedManifest& item : plan) {
    const bool full = writes.back() >= TagMoves::manifests_per_write ||
                      (writes.back() > 0 && bytes + item.size > TagMoves::bytes_per_write);
    if (full) {
      writes.push_back(0);
      bytes = 0;
    }
    ++writes.back();
    bytes += item.size;
  }
  return writes;
}

std::string turn_of(const RepositoryName& to) {
  return "promotion/" + std::to_string(std::hash<std::string>{}(to.str()) % TagMoves::most_at_once);
}

}  // namespace stele
