#pragma once
// The catalog's queries about what may not go: retention locks, legal holds, and the time by which locks
// release. Conventions: catalog.hpp.

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

// --- locks

struct LockRow {
  RepositoryName repository;
  Digest digest;
  Tag tag;           // through which it was stamped
  std::string mode;  // "governance", "compliance"
  Timestamp until;   // of the release clock
  std::string rule;
  Timestamp stamped_at;
  std::string stamped_by;
};
// Stamps, or extends: the later time and the stricter mode stay.
void put_lock(Tx&, const LockRow&);
void delete_lock(Tx&, const RepositoryName&, const Digest&, const Tag&);
// Is there any lock in the repository that holds at `now`?
bool any_lock(Session&, const RepositoryName&, Timestamp now);
// The one in the repository that holds longest.
std::optional<LockRow> longest_lock(Session&, const RepositoryName&, Timestamp now);
// The longest one on this manifest itself.
std::optional<LockRow> lock_on_manifest(Session&, const RepositoryName&, const Digest&, Timestamp now);
// The longest one that was stamped through this tag while it pointed to this manifest.
std::optional<LockRow> lock_on_tag(Session&, const RepositoryName&, const Tag&, const Digest&, Timestamp now);
// In bytewise order after (digest, tag), at most `limit`; past ones too.
std::vector<LockRow> list_locks(Session&, const RepositoryName&, const std::string& digest,
                                const std::string& tag, std::int64_t limit);

// --- holds

struct HoldRow {
  std::int64_t id = 0;
  std::string name;
  std::string case_number;
  std::string reason;
  RepositoryName repository;
  std::optional<Tag> tag;        // absent: the manifest, or the whole repository
  std::optional<Digest> digest;  // absent: the whole repository
  Timestamp set_at;
  std::string set_by;
  std::optional<Timestamp> released_at;
  std::string released_by;
  std::string release_reason;
};
// The row's id; `id` and what is about the release are not looked at.
std::int64_t insert_hold(Tx&, const HoldRow&);
void release_hold(Tx&, std::int64_t id, Timestamp now, const std::string& actor, const std::string& reason);
std::optional<HoldRow> find_hold(Session&, std::int64_t id);
// In force: one on the whole repository, one that was set on this tag, one on this manifest (through a tag or
// not), any one at all.
std::optional<HoldRow> hold_on_repository(Session&, const RepositoryName&);
std::optional<HoldRow> hold_on_tag(Session&, const RepositoryName&, const Tag&);
std::optional<HoldRow> hold_on_manifest(Session&, const RepositoryName&, const Digest&);
std::optional<HoldRow> any_hold(Session&, const RepositoryName&);
// All in force in the repository, on whatever.
std::vector<HoldRow> holds_on(Session&, const RepositoryName&);
// With ids after `after`, at most `limit`; released ones too if `released`.
std::vector<HoldRow> list_holds(Session&, std::int64_t after, bool released, std::int64_t limit);

// --- what needs what, upwards

// Manifests of the repository that name `digest` as config, layer or entry; at most `limit`.
std::vector<Digest> manifests_naming(Session&, RepositoryId, const Digest& digest, std::int64_t limit);
// The subject of this manifest, if it has one.
std::optional<Digest> subject_of(Session&, RepositoryId, const Digest& manifest);

// --- the release clock

// The highest time that was ever seen; absent before the first start that knew of it.
std::optional<Timestamp> stored_release_time(Session&);
void store_release_time(Tx&, Timestamp);

}  // namespace stele::catalog
