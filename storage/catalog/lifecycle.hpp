#pragma once
// The catalog's queries for lifecycle: everything that judging one repository asks for, and the record of the
// runs. Conventions: catalog.hpp. The visitors go through a whole repository, however large: for a thread
// that may take its time. Views of a row are valid inside the call alone.

#include <functional>

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

// --- one repository, whole

struct ManifestRow {
  ManifestId id;
  std::string_view digest;
  std::string_view media_type;
  std::string_view artifact_type;
  std::optional<std::string_view> subject;
  std::int64_t size;
  Timestamp created_at;
  std::optional<Timestamp> untagged_since;  // says nothing while it has a tag
};
// In bytewise order of the digests.
void visit_manifests(Session&, RepositoryId, const std::function<void(const ManifestRow&)>&);

struct ReferenceInOrder {
  ManifestId manifest;
  std::string_view kind;  // config, layer, entry, subject
  std::string_view digest;
};
// In bytewise order of the digests referred to.
void visit_references(Session&, RepositoryId, const std::function<void(const ReferenceInOrder&)>&);

struct TagRow {
  std::string_view name;
  ManifestId manifest;
  Timestamp bound_at;
  Timestamp pushed_at;  // the last time: then, or later with the same digest
};
// In bytewise order of the names. Checksums are not looked at: whoever removes a tag reads it again.
void visit_tags(Session&, RepositoryId, const std::function<void(const TagRow&)>&);

// The place of the tag's last binding in the sequence of all commits; 0: it has no history.
std::int64_t last_binding(Session&, RepositoryId, std::string_view tag);

struct LinkRow {
  std::string_view digest;
  std::int64_t size;
  bool elsewhere;  // another repository links it too
};
void visit_links(Session&, RepositoryId, const std::function<void(const LinkRow&)>&);

// --- what is asked again when something is about to go

// A manifest that came since a repository was judged: it has a higher id than any that was there, or is
// younger.
struct Since {
  ManifestId highest;
  Timestamp at;
};
// Whether a referrer of this subject came since.
bool referrer_since(Session&, RepositoryId, const Digest& subject, const Since&);
// The indexes of the repository that list it as an entry, at most `limit`.
std::vector<ManifestId> indexes_listing(Session&, RepositoryId, const Digest&, std::int64_t limit);

// The manifests of the repository that name it as layer, then those as configuration, newest first, at most
// `limit`.
std::vector<ManifestId> images_with_blob(Session&, RepositoryId, const Digest&, std::int64_t limit);

// --- runs

struct RunRow {
  std::int64_t id = 0;
  std::string state;  // running, waiting, done, failed, interrupted, dismissed
  std::string started_by;
  std::string policy_hash;
  std::string plan_hash;
  Timestamp begun_at;
  std::optional<Timestamp> ended_at;
  std::int64_t repositories = 0;
  std::int64_t removed = 0;
  std::int64_t untagged = 0;
  std::int64_t survived = 0;
  std::int64_t blocked = 0;
  std::int64_t bytes = 0;
  std::string message;
};
// The id; of the row `state`, `started_by`, the hashes and `begun_at` count.
std::int64_t insert_run(Tx&, const RunRow&);
// All but `id`, `started_by`, the hashes and `begun_at`.
void update_run(Tx&, const RunRow&);
std::optional<RunRow> find_run(Session&, std::int64_t id);
// Newest first, those whose id is less than `before`, at most `limit`.
std::vector<RunRow> list_runs(Session&, std::int64_t before, std::int64_t limit);
// The last that was started by `started_by`.
std::optional<RunRow> last_run_of(Session&, std::string_view started_by);
// What a crash left in state running becomes interrupted; how many.
std::int64_t interrupt_runs(Tx&, Timestamp now, const std::string& message);

struct WaitingRow {
  std::string repository;
  std::string reason;
  std::string plan;  // JSON
};
void insert_waiting(Tx&, std::int64_t run, const WaitingRow&);
std::vector<WaitingRow> list_waiting(Session&, std::int64_t run);
void delete_waiting(Tx&, std::int64_t run);
void delete_waiting(Tx&, std::int64_t run, std::string_view repository);
bool any_waiting(Session&, std::int64_t run);
// The runs in which something of this repository waits.
std::vector<std::int64_t> runs_waiting_for(Session&, std::string_view repository);
// Runs in which anything waits.
std::int64_t count_waiting_runs(Session&);

}  // namespace stele::catalog
