#include "policy/quotas.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "policy/pattern.hpp"

namespace stele::policy {
namespace {

PatternList compiled(const std::vector<std::string>& patterns) {
  auto list = PatternList::compile(patterns);
  if (!list) throw std::invalid_argument(list.error().message());
  return std::move(*list);
}

}  // namespace

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
    index->entries.push_back({i, compiled(quotas_[i].repositories)});
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
    if (!pattern.starts_with('!') && compiled({pattern}).matches(repository)) return pattern;
  }
  return {};
}

std::string size_in_words(std::uint64_t bytes) {
  constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit > 0 && value < 100 ? "%.1f" : "%.0f", value);
  if (bytes == 1) return "1 byte";
  std::string number = text;
  if (number.ends_with(".0")) number.resize(number.size() - 2);
  return number + " " + units[unit];
}

Error over_quota(std::string_view repository, const Quotas::Match& match, std::uint64_t used,
                 std::uint64_t added) {
  const std::uint64_t most = match.quota->bytes;
  const std::string name(repository);
  const std::string rule = match.shown();
  const std::string pattern(pattern_of(*match.quota, repository));
  std::string message = name + " may hold " + size_in_words(most) + ", by " + rule + " of the policy (" +
                        pattern + "), and holds " + size_in_words(used);
  if (added == 0) {
    message += ": nothing more can be pushed to it";
  } else {
    message += "; this push adds " + size_in_words(added) + ", which is " +
               size_in_words(used + added - most) + " too much";
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
