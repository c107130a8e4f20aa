#pragma once
// The catalog's queries: repositories, manifests, tags, blob records, upload sessions. Each is one sentence
// of SQL that every engine speaks; what they mean together is decided in registry/. Functions that take a
// Session only read; those that take a Tx write inside the caller's transaction. All may throw sql::Failure
// (see session.hpp). Row checksums are verified on every read of a tag or manifest (I6): a mismatch is
// Errc::corrupt, never a wrong answer.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/digest.hpp"
#include "base/manifest.hpp"
#include "base/reference.hpp"
#include "storage/sql/writer.hpp"

namespace stele::catalog {

using sql::Session;
using sql::Tx;

// A row's identity inside the catalog; never shown to users.
enum class RepositoryId : std::int64_t {};
enum class ManifestId : std::int64_t {};

// --- repositories

std::optional<RepositoryId> find_repository(Session&, const RepositoryName&);
RepositoryId ensure_repository(Tx&, const RepositoryName&, Timestamp now);
// Names after `last` in bytewise order, at most `limit`.
std::vector<std::string> list_repositories(Session&, const std::string& last, std::int64_t limit);
// With its links to blobs and its tag history. It has no manifest and no tag any more.
void delete_repository(Tx&, RepositoryId);

// --- manifests and tags

struct StoredManifest {
  ManifestId id;
  Digest digest;
  std::string media_type;
  std::string bytes;
  bool deferred = false;  // larger than `max_bytes`: neither read nor verified, `bytes` is empty
};

struct ManifestInfo {
  ManifestId id;
  Digest digest;
  std::string media_type;
  std::uint64_t size;
};

// One query each: this is the hot path. The bytes are hashed on every read. A manifest of more than
// `max_bytes` is deferred, so that an I/O thread can leave it to a pool. Absent: an empty optional. corrupt:
// see above.
Result<std::optional<StoredManifest>> manifest_by_tag(Session&, const RepositoryName&, const Tag&,
                                                      std::uint64_t max_bytes = UINT64_MAX);
Result<std::optional<StoredManifest>> manifest_by_digest(Session&, const RepositoryName&, const Digest&,
                                                         std::uint64_t max_bytes = UINT64_MAX);

std::optional<ManifestInfo> find_manifest(Session&, RepositoryId, const Digest&);
// When it was pushed first, and by whom.
struct ManifestOrigin {
  Timestamp created_at;
  std::string created_by;
};
std::optional<ManifestOrigin> manifest_origin(Session&, ManifestId);

struct NewManifest {
  const Manifest& manifest;
  const Digest& digest;
  std::string_view bytes;
};
// Inserts the manifest and its references (config, layers, entries, subject). The manifest must not be there
// yet.
ManifestId insert_manifest(Tx&, RepositoryId, const NewManifest&, Timestamp now, const std::string& actor);
// Removes the manifest, its references and when it was pulled, and queues its repository's links to the blobs
// that it named. No tag may point to it any more.
void delete_manifest(Tx&, ManifestId, Timestamp review_after);
// What an index lists; as many as it has.
std::vector<Digest> entries_of(Session&, ManifestId);
// A manifest (an index) of the repository that lists `digest` as entry; used to explain why something is
// needed.
std::optional<Digest> referring_manifest(Session&, RepositoryId, const Digest& digest);

struct TagBinding {
  Tag tag;
  ManifestId manifest;
  Digest digest;
  Timestamp pushed_at;  // when it was bound to this digest
  std::string pushed_by;
  std::optional<Timestamp> pushed_again_at = {};  // with the same digest, the last time

  Timestamp last_push() const { return std::max(pushed_at, pushed_again_at.value_or(pushed_at)); }
};
Result<std::optional<TagBinding>> find_tag(Session&, RepositoryId, const RepositoryName&, const Tag&);
std::vector<Tag> tags_of_manifest(Session&, ManifestId, std::int64_t limit);
// Binds or moves. The row's checksum covers repository name, tag and digest.
void set_tag(Tx&, RepositoryId, const RepositoryName&, const TagBinding&);
void delete_tag(Tx&, RepositoryId, const Tag&);
// Writes down that the tag was pushed again with the digest that it has. Nothing when it is bound to another
// manifest, or was pushed as late as that already.
void note_push(Tx&, RepositoryId, const Tag&, ManifestId, Timestamp at);
// Writes down that the manifest has no tag since `now`, or was pushed again without one; nothing when it has
// one.
void note_untagged(Tx&, ManifestId, Timestamp now);
// Absent: it was never noted. Means nothing while the manifest has a tag.
std::optional<Timestamp> untagged_since(Session&, ManifestId);
// Tags after `last` in bytewise order, at most `limit`.
std::vector<std::string> list_tags(Session&, RepositoryId, const std::string& last, std::int64_t limit);
// The same with what each points to. corrupt: a row's checksum does not agree.
Result<std::vector<TagBinding>> list_tag_bindings(Session&, RepositoryId, const RepositoryName&,
                                                  const std::string& last, std::int64_t limit);

struct TagChange {
  const Tag& tag;
  const std::optional<Digest>& previous;
  const std::optional<Digest>& current;  // empty: deleted
  Timestamp at;
  const std::string& actor;
  std::int64_t event;          // sequence of the event row of the same transaction
  std::string_view rule = {};  // that allowed it; empty: none
};
void append_tag_history(Tx&, RepositoryId, const TagChange&);

// One binding, or removal, that a tag had, with the event that told of it.
struct TagHistoryEntry {
  std::int64_t position;  // for paging: strictly decreasing in the order listed
  Timestamp at;
  std::string actor;
  std::optional<Digest> previous;
  std::optional<Digest> current;  // empty: deleted
  std::string rule;               // empty: none was recorded
  std::string action;             // "tag.set", "tag.rollback", …
  std::string reason;             // that was given; mostly empty
};
// Newest first, those whose position is less than `before`.
std::vector<TagHistoryEntry> list_tag_history(Session&, RepositoryId, const Tag&, std::int64_t before,
                                              std::int64_t limit);
// The entry that held at that moment: in the order of writing the last one that was not later.
std::optional<TagHistoryEntry> tag_history_at(Session&, RepositoryId, const Tag&, Timestamp);
// The bindings and removals of all repositories since a time, in the order in which they were made, after
// `position`, at most `limit`.
struct PastBinding {
  std::int64_t position;
  RepositoryName repository;
  Tag tag;
  Timestamp at;
  std::string actor;
  std::optional<Digest> previous;
  std::optional<Digest> current;  // empty: deleted
  std::string action;
};
std::vector<PastBinding> list_bindings_since(Session&, Timestamp since, std::int64_t position,
                                             std::int64_t limit);
bool tag_ever_had(Session&, RepositoryId, const Tag&, const Digest&);

// Digests of the manifests of a repository, in no order that means anything, at most `limit`.
std::vector<Digest> some_manifests(Session&, RepositoryId, std::int64_t limit);
// Digests of the blobs that a repository links, the same.
std::vector<Digest> some_blobs(Session&, RepositoryId, std::int64_t limit);
// Manifests whose subject is `subject`, in order of arrival, at most `limit`.
std::vector<Digest> referring_to(Session&, RepositoryId, const Digest& subject, std::int64_t limit);

// The digests that a manifest names as layers and as entries, without its config and subject; in bytewise
// order.
std::vector<std::string> named_content(Session&, ManifestId);

// --- names that outlive their tags

// What a tag under a rule pointed to when it was removed: until the rule changes, the name is not free.
struct RemovedName {
  std::string mutability;  // of the rule then, as policy.yaml writes it
  Digest digest;
  Timestamp pushed_at;
  std::string pushed_by;
  std::vector<std::string> content;  // named_content() of the manifest
  std::string version;
  std::string created;
};
Result<std::optional<RemovedName>> find_removed_name(Session&, const RepositoryName&, const Tag&);
void put_removed_name(Tx&, const RepositoryName&, const Tag&, const RemovedName&);
void delete_removed_name(Tx&, const RepositoryName&, const Tag&);
struct RemovedNameKey {
  RepositoryName repository;
  Tag tag;
  std::string mutability;
  Digest digest;
};
// In bytewise order after (repository, tag), at most `limit`.
std::vector<RemovedNameKey> list_removed_names(Session&, const std::string& repository,
                                               const std::string& tag, std::int64_t limit);

// --- policies

// The hash of the policy that was loaded last; empty when there was none.
std::string last_policy_hash(Session&);
struct PolicyVersion {
  std::int64_t sequence;
  std::string hash;
  Timestamp loaded_at;
  std::string loaded_by;
};
// Newest first, at most `limit`.
std::vector<PolicyVersion> list_policies(Session&, std::int64_t limit);
// The text of a version that was in force; an empty one stands for the built-in rules.
std::optional<std::string> policy_source(Session&, std::string_view hash);
void insert_policy(Tx&, std::string_view hash, std::string_view source, Timestamp now,
                   const std::string& actor);

// --- referrers

struct Referrer {
  std::int64_t position;   // for paging: strictly increasing in the order listed
  std::string descriptor;  // JSON, see Manifest::referrer_descriptor
};
// Referrers of `subject` after `position`, in order of arrival, with `artifact_type` if given. Stops before
// the sum of descriptor bytes would pass `max_bytes` (at least one is returned); `more` tells whether others
// follow.
struct ReferrerPage {
  std::vector<Referrer> referrers;
  bool more = false;
};
ReferrerPage list_referrers(Session&, RepositoryId, const Digest& subject,
                            const std::optional<std::string>& artifact_type, std::int64_t after,
                            std::size_t max_bytes);

// Is `referrer` a manifest of this repository whose subject is `subject`?
bool is_referrer(Session&, RepositoryId, const Digest& referrer, const Digest& subject);

// --- blobs

// A row's life: live → deleting → (row removed). Garbage collection sets deleting under the digest's lock; a
// pusher that meets it waits until the row is gone and writes anew, it never revives.
enum class BlobState { live, deleting };
struct BlobInfo {
  std::uint64_t size;
  BlobState state;
};
std::optional<BlobInfo> find_blob(Session&, const Digest&);
// The blob as this repository sees it: absent unless linked and live (I9). One query: the hot path.
std::optional<BlobInfo> find_blob_in(Session&, const RepositoryName&, const Digest&);
bool repository_has_blob(Session&, RepositoryId, const Digest&);
void insert_blob(Tx&, const Digest&, std::uint64_t size, Timestamp now);  // the row must not be there
// The row with its reviews and its quarantine; no repository may link it any more.
void remove_blob(Tx&, const Digest&);
void link_blob(Tx&, RepositoryId, const Digest&, Timestamp now);  // no-op when linked
bool unlink_blob(Tx&, RepositoryId, const Digest&);               // false: was not linked
// A manifest of this repository that needs the blob.
std::optional<Digest> manifest_needing_blob(Session&, RepositoryId, const Digest&);
// Up to `limit` names of repositories that hold the blob, for a mount without `from`.
std::vector<std::string> repositories_with_blob(Session&, const Digest&, std::int64_t limit);

// --- upload sessions

struct UploadRow {
  UploadId id;
  std::string repository;
  std::string actor;
  std::uint64_t offset;
  std::string hash_state;  // Hasher::save(), covers exactly the first `offset` bytes
  Timestamp started_at;
  Timestamp updated_at;
};
std::optional<UploadRow> find_upload(Session&, const UploadId&);
void insert_upload(Tx&, const UploadRow&);
void update_upload(Tx&, const UploadId&, std::uint64_t offset, std::string_view hash_state, Timestamp now);
void delete_upload(Tx&, const UploadId&);
std::vector<UploadRow> list_uploads(Session&, Timestamp updated_before, std::int64_t limit);

}  // namespace stele::catalog
