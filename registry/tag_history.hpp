#pragma once
// What tags are and were: reads of the present bindings and of every one before. Nothing here writes.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "registry/context.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {

struct TagPage {
  std::vector<catalog::TagBinding> tags;  // in bytewise order
  bool more = false;
};

struct TagHistoryPage {
  std::vector<catalog::TagHistoryEntry> entries;  // newest first
  std::int64_t next = 0;                          // position to continue before; 0: complete
};

// Thread-safe. Pages are read on the db pool; calls that return a Task continue on the caller's executor.
class TagHistory {
 public:
  static constexpr std::int64_t largest_page = 1000;

  explicit TagHistory(const RegistryContext& context) : context_(context) {}

  // name_unknown. `limit`: 1 to largest_page.
  Task<Result<TagPage>> list(RepositoryName, std::string last, std::int64_t limit) const;

  // name_unknown, manifest_unknown.
  Result<catalog::TagBinding> find(const RepositoryName&, const Tag&) const;

  // Also of a tag that was deleted. name_unknown; manifest_unknown when the repository never had the tag.
  // `before`: 0 for the newest page.
  Task<Result<TagHistoryPage>> history(RepositoryName, Tag, std::int64_t before, std::int64_t limit) const;

  // The entry that was in force at that moment; it may tell of a deletion. name_unknown; manifest_unknown
  // when the tag did not exist yet.
  Task<Result<catalog::TagHistoryEntry>> at(RepositoryName, Tag, Timestamp) const;

 private:
  RegistryContext context_;
};

}  // namespace stele
