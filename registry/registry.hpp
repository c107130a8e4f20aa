#pragma once
// The registry itself, knowing no HTTP: reads, and the pushes and deletions of clients. Whoever else writes
// (mirrors, lifecycle, the collector) comes through this folder too, so that each rule stands in one place.
// Rights are decided before a call, by api/.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audit/event_log.hpp"
#include "base/manifest.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "registry/blob_reads.hpp"
#include "registry/context.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {

struct Preconditions;  // preconditions.hpp

struct BlobContent {
  std::shared_ptr<BlobReader> reader;
  std::uint64_t size = 0;
};

struct ManifestPush {
  RepositoryName repository;
  Reference reference;
  std::vector<Tag> tags;  // further ones, of `?tag=`
  const Manifest& manifest;
  std::string_view bytes;
  DigestAlgorithm algorithm = DigestAlgorithm::sha256;  // for a push by tag
  audit::Actor actor;
  // On what `reference` leads to before the push; outlives it. Null: none.
  const Preconditions* conditions = nullptr;
  // Whether the policy's quotas are asked. Not for what a mirror keeps: its own size bounds that.
  bool bound_by_quota = true;
};

struct PushedManifest {
  Digest digest;
  std::optional<Digest> subject;
};

// Whether the caller may see a repository. Empty: every one.
using Sees = std::function<bool(std::string_view repository)>;

struct NamePage {
  std::vector<std::string> names;
  bool more = false;
  // Where more begins, when there is: after the last of the names, or after one that was looked at and is not
  // to be shown.
  std::string next;
};

struct ReferrersPage {
  std::vector<std::string> descriptors;  // JSON texts
  std::int64_t next = 0;                 // position to continue after; 0: complete
};

struct BlobMount {
  RepositoryName repository;
  Digest digest;
  std::optional<RepositoryName> from;  // the caller may see it
  audit::Actor actor;
  Sees sees = {};  // without `from` the blob is looked for where he may see it
};

// How a manifest is looked at. `use` takes a lease (leases.hpp): whoever looks finds it, and what it lists,
// for a while. A glance takes none, so that a scanner that reads everything each night keeps nothing.
enum class Look : std::uint8_t { use, glance };

// Thread-safe. Calls that return a Task continue on the caller's executor.
class Registry {
 public:
  explicit Registry(RegistryContext context)
      : context_(context), blob_reads_(context.database, context.pulls) {}

  // --- pull ---
  // name_unknown, manifest_unknown, corrupt.
  Task<Result<catalog::StoredManifest>> manifest(const RepositoryName&, const Reference&,
                                                 Look look = Look::use);
  // glance: `lifecycle.ignore_pulls_by` names the principal, or what its program calls itself.
  Look look_of(const Principal&, std::string_view agent = {}) const;
  // Whether the pull rules let this principal pull by this reference: forbidden, with the digest and the
  // immutable tags of the same manifest. What is not there may be asked for.
  Result<void> may_pull(const RepositoryName&, const Reference&, const Principal&) const;
  // To be called when a manifest is answered that was no glance: it was pulled now.
  void count_pull(const catalog::StoredManifest&) noexcept;
  // The same for a HEAD by tag of somebody who may push it, as clients do that skip the push of what is
  // there: for lifecycle the tag was pushed again.
  void count_push(const RepositoryName&, const Tag&, const catalog::StoredManifest&);
  // Both open the file on the calling thread: one system call, as cheap as the lookup before it. blob_unknown
  // also when another repository has it (I9). Wait for the commit that is just removing it, if there is one.
  // For HEAD: blob_unknown as well when the file is missing or short. A client then uploads it, which mends
  // it.
  Result<std::uint64_t> blob_size(const RepositoryName&, const Digest&);
  // For GET: corrupt when the file is missing or short.
  Result<BlobContent> blob(const RepositoryName&, const Digest&);

  // To be called when bytes of a blob are answered to somebody whose pulls count (blob_reads.hpp).
  void count_blob_read(const RepositoryName&, const Digest&);

  // --- discovery ---
  // name_unknown.
  Task<Result<NamePage>> tags(const RepositoryName&, std::string last, std::int64_t limit);
  // Looks at no more than most_looked_at repositories: then the page has less than `limit` although more
  // follow.
  Task<Result<NamePage>> repositories(std::string last, std::int64_t limit, Sees sees = {});
  static constexpr std::int64_t most_looked_at = 20'000;
  // An unknown repository has no referrers. Includes what the fallback tag `<algorithm>-<hex>` lists.
  Task<Result<ReferrersPage>> referrers(const RepositoryName&, const Digest& subject,
                                        std::optional<std::string> artifact_type, std::int64_t after);

  // --- push ---
  // Manifest::parse(), a large one on a pool: nobody waits on the caller's thread while it is read. The
  // arguments outlive the task.
  Task<Result<Manifest>> parse_manifest(std::string_view content_type, std::string_view bytes);
  // All tags or none. manifest_reference_unknown when `references: strict` and something is missing;
  // digest_mismatch; forbidden where a quota has no room for it; refused_by_policy, also when the push's
  // conditions do not hold (is_unmet_precondition()).
  Task<Result<PushedManifest>> put_manifest(ManifestPush push);
  // True: mounted. False: the source does not have it, or may not be seen; the client uploads. forbidden
  // where a quota has no room for it.
  Task<Result<bool>> mount_blob(BlobMount mount);

  // --- delete ---
  // A tag; or a manifest by digest, with the tags on it, each of which must pass its rule. manifest_unknown;
  // refused_by_policy, also while a live index lists it. `conditions`, if any, outlive the task and are asked
  // last: what would fail without them fails as it does (RFC 9110, 13.2.1).
  Task<Result<void>> delete_manifest(RepositoryName, Reference, audit::Actor,
                                     const Preconditions* conditions = nullptr);
  // The repository's link to the blob. blob_unknown; blob_in_use while a manifest of the repository needs it.
  Task<Result<void>> delete_blob(RepositoryName, Digest, audit::Actor);

  static constexpr std::size_t referrers_page_bytes =
      4 * 1024 * 1024 - 4096;  // of descriptors, in one answer

 private:
  // What the catalog says.
  Result<std::uint64_t> listed_size(const RepositoryName&, const Digest&);

  RegistryContext context_;
  BlobReads blob_reads_;
};

}  // namespace stele
