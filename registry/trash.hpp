#pragma once
// The trash: what lifecycle removed, until it is restored or erased. A manifest in it is kept whole, and the
// blobs that it names stay in its repository.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/event_log.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "registry/context.hpp"
#include "storage/catalog/trash.hpp"

namespace stele {

struct TrashQuery {
  std::optional<RepositoryName> repository;  // absent: of all
  std::optional<std::int64_t> run;
  std::int64_t after = 0;  // an item's id
  std::int64_t limit = 0;  // 1 to Trash::largest_page
};

struct TrashEntry {
  catalog::TrashItem item;
  std::vector<catalog::TrashedTag> tags;
};

struct TrashPage {
  std::vector<TrashEntry> items;  // in the order in which they came
  std::int64_t next = 0;          // to continue after; 0: complete
};

struct Restoration {
  std::int64_t id;  // of the item; or of the run
  bool skip_taken = false;
  audit::Actor actor;
};

struct Restored {
  RepositoryName repository;
  std::vector<Digest> manifests;  // that were not there
  std::vector<Tag> tags;          // that were bound
  std::vector<Tag> skipped;       // that are bound elsewhere by now
};

// An item that stays where it is, and why.
struct TrashRefusal {
  std::int64_t id;
  RepositoryName repository;
  Digest digest;
  std::string reason;  // "TAG_TAKEN", "CONTENT_MISSING", "LOCKED", "HELD", "IN_USE", …
  std::string message;
};

struct RestoredRun {
  std::int64_t manifests = 0;
  std::int64_t tags = 0;
  std::int64_t skipped = 0;            // tags
  std::int64_t refused = 0;            // items
  std::vector<TrashRefusal> refusals;  // the first of them
};

struct Erased {
  std::int64_t items = 0;
  std::int64_t refused = 0;
  std::vector<TrashRefusal> refusals;  // the first of them
};

struct ErasedDue {
  std::int64_t items = 0;
  std::int64_t postponed = 0;
};

// Thread-safe. Calls that return a Task continue on the caller's executor.
class Trash {
 public:
  static constexpr std::int64_t largest_page = 1000;
  // One restoration brings at most this many items back; parameter_invalid beyond.
  static constexpr std::size_t most_items = 10'000;
  static constexpr std::size_t refusals_shown = 100;

  explicit Trash(const RegistryContext& context) : context_(context) {}

  // name_unknown.
  Task<Result<TrashPage>> list(TrashQuery) const;

  // Brings the item back with what must come with it, all or nothing: the entries of an index, what refers to
  // it, the tags of all of them and the tags of its signatures. Manifests are byte-identical and as old as
  // they were; bindings are new, and an untagged manifest is untagged since now, so that the next run finds
  // nothing to remove. not_found; refused_by_policy: a name is bound elsewhere by then (TAG_TAKEN; with
  // skip_taken the manifest comes back without it), or something that a manifest names is nowhere
  // (CONTENT_MISSING, in repositories with strict references); corrupt.
  Task<Result<Restored>> restore(Restoration) const;

  // Each item of the run in a transaction of its own. not_found: the trash has nothing of this run.
  Task<Result<RestoredRun>> restore_run(Restoration) const;

  // For good, now. What only the trash has and a lock, a hold or a cluster's report reaches stays:
  // refused_by_policy. not_found.
  Task<Result<Erased>> erase(std::int64_t id, audit::Actor) const;
  // The same for all that it can, in short transactions. not_found, name_unknown.
  Task<Result<Erased>> erase_run(std::int64_t run, audit::Actor) const;
  Task<Result<Erased>> erase_repository(RepositoryName, audit::Actor) const;

  // Erases what has been there for long enough, at most `limit` items, in one transaction; what is protected
  // stays for another day. It goes by the earlier of the wall's clock and the release clock: a machine whose
  // time jumps forward erases nothing early. For the worker, which paces the calls.
  Task<Result<ErasedDue>> erase_due(std::int64_t limit) const;

 private:
  Task<Result<Erased>> erase_all(std::optional<RepositoryName>, std::optional<std::int64_t> run,
                                 audit::Actor) const;
  RegistryContext context_;
};

// Internal to registry/: the words for what is not there (any more), and the reason of a refusal.
Error not_in_trash(std::int64_t id);
Error nothing_of_run(std::int64_t run);
std::string reason_of(const Error&);

}  // namespace stele
