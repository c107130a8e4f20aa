#pragma once
// Whole repositories.

#include <cstdint>

#include "audit/event_log.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "registry/parts.hpp"

namespace stele {

struct RemovedRepository {
  std::int64_t tags = 0;
  std::int64_t manifests = 0;
  std::int64_t trash = 0;  // items
  std::int64_t blobs = 0;  // links; the content goes when nobody links it any more
};

// Thread-safe.
class Repositories {
 public:
  explicit Repositories(const RegistryParts& parts) : parts_(parts) {}

  // Removes every tag, each under its rule, every manifest, its trash, and the tag history, all or none.
  // Names that rules keep bound stay bound, should the repository be made again. name_unknown,
  // refused_by_policy.
  Task<Result<RemovedRepository>> remove(RepositoryName, audit::Actor) const;

 private:
  RegistryParts parts_;
};

}  // namespace stele
