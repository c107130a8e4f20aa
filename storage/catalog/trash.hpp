#pragma once
// What lifecycle removed and can bring back: manifests with their tags, kept whole until they are erased.
// While a manifest is in the trash the blobs that it names stay linked to its repository. As in catalog.hpp:
// functions that take a Session only read, those that take a Tx write inside the caller's transaction; all
// may throw sql::Failure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

struct TrashedTag {
  Tag tag;
  Timestamp pushed_at;  // of the binding that was removed
  std::string pushed_by;
};

struct NewTrash {
  std::int64_t run;  // lifecycle_runs.id
  RepositoryId repository;
  const Digest& digest;
  std::optional<ManifestId> manifest;  // none: it stays, and only tags went
  const std::vector<TrashedTag>& tags;
  Timestamp removed_at;
  Timestamp erase_after;
  std::string_view rule;
  std::string_view reason;
};
// Moves the manifest (if one is named) and what is known of it into the trash; its row, its references, when
// it was pulled and since when it had no tag go. The tags' rows must be gone already. No review is queued:
// the trash needs the blobs. The new row's id.
std::int64_t put_in_trash(Tx&, const NewTrash&);

// --- what there is

struct TrashItem {
  std::int64_t id;
  std::int64_t run;
  RepositoryId repository;
  RepositoryName name;  // of the repository
  Digest digest;
  std::optional<std::string> media_type;  // none: the manifest stayed, and only tags went
  std::optional<Digest> subject;
  std::uint64_t size;    // of the manifest, bytes; 0 without one
  Timestamp created_at;  // of the manifest
  std::string created_by;
  std::optional<Timestamp> pulled_at;
  Timestamp removed_at;
  Timestamp erase_after;
  std::string rule;
  std::string reason;
};
std::optional<TrashItem> find_trash(Session&, std::int64_t id);
// The manifest's bytes, hashed. corrupt: they, or the row, are not what they were.
Result<std::string> trash_bytes(Session&, const TrashItem&);
// In bytewise order.
std::vector<TrashedTag> trash_tags(Session&, std::int64_t id);

// Both absent: all of it. With both, the rows of the run are looked at.
struct TrashFilter {
  std::optional<RepositoryId> repository;
  std::optional<std::int64_t> run;
};
// With ids after `after`, at most `limit`.
std::vector<TrashItem> list_trash(Session&, const TrashFilter&, std::int64_t after, std::int64_t limit);
// Those to be erased at `now`, the oldest first, at most `limit`.
std::vector<TrashItem> due_trash(Session&, Timestamp now, std::int64_t limit);

struct TrashSize {
  std::int64_t manifests = 0;
  std::int64_t bytes = 0;  // of the manifests, without the blobs that they name
};
// Of the first `most` items by the time at which they are erased.
TrashSize trash_size(Session&, std::int64_t most);

// --- what needs what

// A manifest of the trash of this repository that names the blob as config, layer or entry.
std::optional<Digest> trash_needing_blob(Session&, RepositoryId, const Digest& blob);
// The manifest that was put there last, of those with this digest.
std::optional<TrashItem> newest_trashed_manifest(Session&, RepositoryId, const Digest&);
// Manifests whose subject is `subject`, in the order in which they came, at most `limit`.
std::vector<TrashItem> trashed_referrers(Session&, RepositoryId, const Digest& subject, std::int64_t limit);
// The item with this tag that came last.
std::optional<TrashItem> newest_trash_of_tag(Session&, RepositoryId, const Tag&);
// What a manifest or blob belongs to, in the trash: manifests that name it, and the subject of a manifest of
// the trash with this digest. At most `limit` of each.
std::vector<Digest> trashed_above(Session&, RepositoryId, const Digest&, std::int64_t limit);

// --- the ways out

// insert_manifest (catalog.hpp) for one that may lie in the trash of the repository: then it comes out of it.
// When and by whom it was pushed first, and when it was pulled, stay what they were; its age without a tag
// begins now. Names that went with it stay in the trash, to be restored if they are free.
ManifestId insert_pushed(Tx&, RepositoryId, const NewManifest&, Timestamp now, const std::string& actor);

// The item's rows go; nothing is queued: the manifest lives, or its repository goes.
void forget_trash(Tx&, std::int64_t id);
// The same for good: its repository's links to the blobs that it named are queued.
void erase_trash(Tx&, std::int64_t id, Timestamp review_after);
void postpone_erasing(Tx&, std::int64_t id, Timestamp erase_after);

}  // namespace stele::catalog
