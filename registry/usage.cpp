#include "registry/usage.hpp"

#include <algorithm>

#include "policy/pattern.hpp"
#include "policy/quotas.hpp"

namespace stele {
namespace {

using catalog::Begin;

// What every name that a pattern matches begins with.
std::string fixed_part(std::string_view pattern) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyz0123456789._-/";
  // A pattern that begins with a slash is a regular expression.
  if (pattern.starts_with('/')) return {};
  return std::string(pattern.substr(0, pattern.find_first_not_of(plain)));
}

Result<std::vector<catalog::RepositoryUsage>> read_rows(sql::Database& database, const std::string& name,
                                                        Begin begin, std::int64_t limit) {
  return database.read([&](sql::Session& session) -> Result<std::vector<catalog::RepositoryUsage>> {
    return catalog::list_usage(session, name, begin, limit);
  });
}

void add(catalog::Usage& sum, const catalog::Usage& one) {
  sum.manifests += one.manifests;
  sum.manifest_bytes += one.manifest_bytes;
  sum.blobs += one.blobs;
  sum.blob_bytes += one.blob_bytes;
  sum.shared_bytes += one.shared_bytes;
  sum.trash_manifests += one.trash_manifests;
  sum.trash_bytes += one.trash_bytes;
}

}  // namespace

Result<UsagePage> Usages::read(const UsageQuery& query) const {
  const std::string pattern = query.repositories.empty() ? "**" : query.repositories;
  const auto patterns = policy::PatternList::compile({pattern});
  if (!patterns) return patterns.error();
  const std::string fixed = fixed_part(pattern);
  const bool judge = query.would_free && would_free_;
  const auto limit = static_cast<std::size_t>(
      std::clamp<std::int64_t>(query.limit, 1, judge ? largest_judged_page : largest_page));
  const bool later = query.after > fixed;
  const auto rows = read_rows(context_.database, later ? query.after : fixed,
                              later ? Begin::after : Begin::at, largest_page);
  if (!rows) return rows.error();
  const auto quotas = context_.policy.current()->quotas();
  UsagePage page;
  bool complete = std::cmp_less(rows->size(), largest_page);
  for (const catalog::RepositoryUsage& row : *rows) {
    if (!row.repository.str().starts_with(fixed)) {
      complete = true;  // in bytewise order nothing that matches comes after it
      page.next.clear();
      break;
    }
    if (page.rows.size() == limit) {
      complete = false;
      break;
    }
    page.next = row.repository.str();
    const std::string& name = row.repository.str();
    if (!patterns->matches(name) || (query.sees && !query.sees(name))) continue;
    page.rows.push_back({row.repository, row.usage, {}});
    if (const auto quota = quotas->of(name)) page.rows.back().quota = quota.quota->bytes;
  }
  if (complete) page.next.clear();
  if (!judge) return page;
  for (UsageRow& row : page.rows) row.would_free = would_free_(row.repository);
  return page;
}

Task<Result<UsagePage>> Usages::list(UsageQuery query) const {
  auto reading = context_.db.start([&] { return read(query); });
  co_return co_await reading;
}

Result<UsageTotals> Usages::totals() const {
  UsageTotals totals;
  for (std::string last;;) {
    const auto rows = read_rows(context_.database, last, Begin::after, largest_page);
    if (!rows) return rows.error();
    for (const catalog::RepositoryUsage& row : *rows) add(totals.sum, row.usage);
    totals.repositories += static_cast<std::int64_t>(rows->size());
    if (std::cmp_less(rows->size(), largest_page)) return totals;
    last = rows->back().repository.str();
  }
}

}  // namespace stele
