#pragma once
// The section quotas of a policy: how many bytes a repository may hold, what it shares with others included
// (catalog::Usage::logical_bytes). Of all that speak of a repository the smallest decides: strictest wins.
// Pure functions of the rules and their arguments.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace stele::policy {

struct Quota {
  std::string name;  // perhaps empty
  int line = 0;      // of the file
  std::vector<std::string> repositories;
  std::uint64_t bytes = 0;

  // "quota team-a (line 7)", or "quota 3 (line 7)" for the third, which has no name.
  std::string shown(std::size_t index) const;
};

// Immutable; thread-safe.
class Quotas {
 public:
  // Patterns are taken as checked; a bad one throws std::invalid_argument.
  explicit Quotas(std::vector<Quota> quotas);
  ~Quotas();

  // Lives as long as the Quotas.
  struct Match {
    const Quota* quota = nullptr;  // null: none speaks of the repository
    std::size_t index = 0;
    explicit operator bool() const { return quota != nullptr; }
    std::string shown() const { return quota->shown(index); }
  };
  // The smallest; of equal ones the first.
  Match of(std::string_view repository) const;

  const std::vector<Quota>& all() const { return quotas_; }

 private:
  struct Index;
  const std::vector<Quota> quotas_;
  std::unique_ptr<const Index> index_;
};

// The pattern through which the quota speaks of a repository; compiles it: for people.
std::string_view pattern_of(const Quota&, std::string_view repository);

// forbidden: the repository holds `used` bytes and would hold `added` more, which is more than it may.
// Details: reason, rule, pattern, quota_bytes, used_bytes, added_bytes. `added` 0: it may hold nothing more
// whatever comes.
Error over_quota(std::string_view repository, const Quotas::Match&, std::uint64_t used, std::uint64_t added);

}  // namespace stele::policy
