#include "policy/quotas.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "config/quantity.hpp"
#include "policy/pattern.hpp"

namespace stele::policy {
struct Quotas::Index {
  struct Entry {
    std::size_t quota;
    PatternList repositories;
  };
  std::vector<Entry> entries;  // the smallest first

  // Asked inside the one writer, for each blob of a push: found once per repository, and what was found holds
  // as long as the policy.
  static constexpr std::size_t most_remembered = 256;
  mutable std::mutex mutex;
  mutable std::map<std::string, std::size_t, std::less<>> known;

  // entries.size() when none matches.
  std::size_t find(std::string_view repository) const {
    const std::lock_guard lock(mutex);
    const auto found = known.find(repository);
    if (found != known.end()) return found->second;
    std::size_t first = 0;
    while (first < entries.size() && !entries[first].repositories.matches(repository)) ++first;
    if (known.size() >= most_remembered) known.clear();
    known.emplace(repository, first);
    return first;
  }
};

std::string Quota::shown(std::size_t index) const {
  return "quota " + (name.empty() ? std::to_string(index + 1) : name) + " (line " + std::to_string(line) +
         ")";
}

Quotas::Quotas(std::vector<Quota> quotas) : quotas_(std::move(quotas)) {
  auto index = std::make_unique<Index>();
  for (std::size_t i = 0; i < quotas_.size(); ++i)
    index->entries.push_back({i, PatternList::of_checked(quotas_[i].repositories)});
  std::sort(index->entries.begin(), index->entries.end(), [&](const Index::Entry& a, const Index::Entry& b) {
    return std::pair(quotas_[a.quota].bytes, a.quota) < std::pair(quotas_[b.quota].bytes, b.quota);
  });
  index_ = std::move(index);
}

Quotas::~Quotas() = default;

Quotas::Match Quotas::of(std::string_view repository) const {
  const std::size_t found = index_->find(repository);
  if (found == index_->entries.size()) return {};
  const std::size_t number = index_->entries[found].quota;
  return {&quotas_[number], number};
}

std::string_view pattern_of(const Quota& quota, std::string_view repository) {
  for (const std::string& pattern : quota.repositories) {
    if (!pattern.starts_with('!') && PatternList::of_checked({pattern}).matches(repository)) return pattern;
  }
  return {};
}

Error over_quota(std::string_view repository, const Quotas::Match& match, std::uint64_t used,
                 std::uint64_t added) {
  const std::uint64_t most = match.quota->bytes;
  const std::string name(repository);
  const std::string rule = match.shown();
  const std::string pattern(pattern_of(*match.quota, repository));
  std::string message = name + " may hold " + config::size_in_words(most) + ", by " + rule +
                        " of the policy (" + pattern + "), and holds " + config::size_in_words(used);
  if (added == 0) {
    message += ": nothing more can be pushed to it";
  } else {
    message += "; this push adds " + config::size_in_words(added) + ", which is " +
               config::size_in_words(used + added - most) + " too much";
  }
  message += "; see what it holds with stele usage " + name +
             ", what a clean-up would remove with stele lifecycle plan, or ask for a larger quota";
  return Error(Errc::forbidden, std::move(message))
      .in_brief("the storage quota of " + name + " is used up")
      .with("reason", "QUOTA_EXCEEDED")
      .with("rule", rule)
      .with("pattern", pattern)
      .with("quota_bytes", std::to_string(most))
      .with("used_bytes", std::to_string(used))
      .with("added_bytes", std::to_string(added));
}

}  // namespace stele::policy
