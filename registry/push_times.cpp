#include "registry/push_times.hpp"

namespace stele {

void PushTimes::record(const RepositoryName& repository, const Tag& tag, catalog::ManifestId manifest,
                       Timestamp now) {
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find(Key{repository.str(), tag.str()});
  if (found != waiting_.end()) {
    // The tag may have moved meanwhile: the later one counts.
    found->second.manifest = manifest;
    found->second.at = now;
    return;
  }
  if (waiting_.size() >= most_waiting) return;
  waiting_.emplace(Key{repository.str(), tag.str()}, Push{repository, tag, manifest, now});
}

std::vector<PushTimes::Push> PushTimes::waiting(std::size_t limit) const {
  std::vector<Push> some;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, push] : waiting_) {
    if (some.size() == limit) break;
    some.push_back(push);
  }
  return some;
}

void PushTimes::written(const std::vector<Push>& pushes) {
  const std::lock_guard lock(mutex_);
  for (const Push& push : pushes) {
    const auto found = waiting_.find(Key{push.repository.str(), push.tag.str()});
    if (found != waiting_.end() && found->second.manifest == push.manifest && found->second.at == push.at)
      waiting_.erase(found);
  }
}

std::map<std::string, std::pair<catalog::ManifestId, Timestamp>, std::less<>> PushTimes::of(
    const RepositoryName& repository) const {
  std::map<std::string, std::pair<catalog::ManifestId, Timestamp>, std::less<>> found;
  const std::lock_guard lock(mutex_);
  for (auto next = waiting_.lower_bound(Key{repository.str(), {}});
       next != waiting_.end() && next->first.first == repository.str(); ++next)
    found.emplace(next->first.second, std::pair(next->second.manifest, next->second.at));
  return found;
}

}  // namespace stele
