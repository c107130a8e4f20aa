#pragma once
// Whole repositories.

#include <cstdint>

#include "audit/event_log.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "registry/context.hpp"

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
  explicit Repositories(const RegistryContext& context) : context_(context) {}

  // Removes every tag, each under its rule, every manifest, its trash, and the tag history. Names that rules
  // keep bound stay bound, should the repository be made again. name_unknown, refused_by_policy.
  //
  // A small repository goes in one write, all or none. One with more than 500 rows of a kind goes in many, so
  // that others write between them: everything is decided before the first, and then only what comes
  // meanwhile (a lock, a hold, another policy, a tag that its rule keeps) can refuse the rest. What has gone
  // by then is gone; after that, or after a crash, asking again goes on.
  Task<Result<RemovedRepository>> remove(RepositoryName, audit::Actor) const;

 private:
  // Whether every tag's rule lets it go, outside the writer's turn; the refusal has its record.
  Task<Result<void>> decide(const RepositoryName&, const audit::Actor&) const;
  RegistryContext context_;
};

}  // namespace stele
