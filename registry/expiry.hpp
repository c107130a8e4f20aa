#pragma once
// What lifecycle decided, carried out: tags and manifests go to the trash, together with what hangs from
// them, in one transaction in which every one of them is looked at again (I2, I3, I5). Whoever was re-tagged,
// pulled, locked, held, reported as in use, or looked at within a lease meanwhile stays, and with it whatever
// has to stay then.

#include <cstdint>
#include <string>
#include <vector>

#include "audit/event_log.hpp"
#include "registry/context.hpp"
#include "storage/catalog/lifecycle.hpp"

namespace stele {

struct ExpiringTag {
  Tag tag;
  Timestamp bound_at;   // as it was judged: a binding made anew stays
  Timestamp pushed_at;  // and so does a name that was pushed again since
  std::string rule;
  std::string reason;
};

struct ExpiringManifest {
  Digest digest;
  catalog::ManifestId manifest;
  std::vector<ExpiringTag> tags;  // names on it that go
  bool goes = true;               // false: only its names do
  bool due = true;                // false: it was judged to go but may not (it stands in no plan): it stays
  bool used_since_plan = false;   // somebody may have used it since the plan was made: it stays
  std::optional<Timestamp> pulled_at;  // as it was judged
  std::string rule;
  std::string reason;
};

// The lower one hangs from the upper one. Places in ExpiryBatch::manifests.
struct ExpiryEdge {
  std::uint32_t upper;
  std::uint32_t lower;
  bool is_entry;  // of an index: otherwise a referrer, or what a signature tag names
};

struct ExpiryBatch {
  RepositoryName repository;
  std::vector<ExpiringManifest> manifests;  // an upper one before the lower ones
  std::vector<ExpiryEdge> edges;            // all between them
  catalog::Since seen;                      // what came later was not judged
  std::int64_t run = 0;
  Timestamp erase_after;
  std::string policy_hash;  // by which it was judged: under another one nothing goes
  audit::Actor actor;
};

struct Expired {
  std::size_t removed = 0;   // manifests
  std::size_t untagged = 0;  // tags
  std::size_t survived = 0;  // manifests that stay although they were to go, and names on manifests that stay
  std::vector<char> gone;    // by place: the manifest was removed
  std::vector<std::string> reasons;  // why the first ones stayed
};

// One transaction, whatever the number of manifests: the caller keeps it small. unavailable: another policy
// is in force than the one that judged it.
Task<Result<Expired>> expire(const RegistryContext&, ExpiryBatch);

}  // namespace stele
