#pragma once
// What repositories hold, in numbers, and what a clean-up would free. Reads only.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/reference.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "registry/context.hpp"
#include "storage/catalog/usage.hpp"

namespace stele {

struct UsageQuery {
  std::string repositories;  // a pattern as in policy rules; empty: all
  std::string after;         // `next` of the page before
  std::int64_t limit = 0;    // 1 to Usages::largest_page
  bool would_free = false;   // asked for, if anybody knows
  // Whether the caller may see a repository; empty: every one.
  std::function<bool(std::string_view repository)> sees = {};
};

struct UsageRow {
  RepositoryName repository;
  catalog::Usage usage;
  std::optional<std::int64_t> would_free;   // bytes; absent: not asked for, or nobody knows
  std::optional<std::uint64_t> quota = {};  // bytes that it may hold (logical); absent: any number
};

struct UsagePage {
  std::vector<UsageRow> rows;  // in bytewise order; perhaps none although others follow
  std::string next;            // empty: complete
};

// For metrics.
struct UsageTotals {
  std::int64_t repositories = 0;
  catalog::Usage sum;  // what repositories share is in it once for each
};

// Thread-safe.
class Usages {
 public:
  static constexpr std::int64_t largest_page = 1000;
  // Each of them is judged: fewer in one answer.
  static constexpr std::int64_t largest_judged_page = 50;

  // What lifecycle would free in a repository now, by the policy in force, in bytes; absent: it cannot be
  // told. Called on the db pool, never inside a read.
  using WouldFree = std::function<std::optional<std::int64_t>(const RepositoryName&)>;

  // `would_free` may be empty: then nobody knows.
  explicit Usages(const RegistryContext& context, WouldFree would_free = {})
      : context_(context), would_free_(std::move(would_free)) {}

  // A page looks at no more than largest_page repositories, whether they match or not. parameter_invalid for
  // a pattern that is none. Continues on the caller's executor.
  Task<Result<UsagePage>> list(UsageQuery) const;

  // Walks all repositories, in short reads; for whoever keeps the answer a while.
  Result<UsageTotals> totals() const;

 private:
  Result<UsagePage> read(const UsageQuery&) const;
  RegistryContext context_;
  const WouldFree would_free_;
};

}  // namespace stele
