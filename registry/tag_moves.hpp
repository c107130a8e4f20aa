#pragma once
// Moving tags to manifests that are already here: back to an earlier one, to another name, into another
// repository. No byte of content is copied; every tag is decided by its rule (tag_rules.hpp).

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audit/event_log.hpp"
#include "base/clock.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "registry/context.hpp"
#include "registry/preconditions.hpp"

namespace stele {

struct PlannedManifest;

struct Rollback {
  RepositoryName repository;
  Tag tag;
  // Where to: one of the digests that the tag had. Neither: the one before the present one.
  std::optional<Digest> to;
  std::optional<Timestamp> at;
  std::string reason;
  audit::Actor actor;
  Preconditions conditions = {};  // on what the tag points to
};

struct RolledBack {
  std::optional<Digest> from;  // empty: the tag had been deleted
  Digest to;
};

struct Release {
  RepositoryName repository;  // may be gone: names outlive it
  Tag tag;
  std::string reason;  // never empty
  audit::Actor actor;
  Preconditions conditions = {};  // on what the tag points to
};

struct Released {
  Digest digest;  // that the name was bound to
  bool removed;   // the tag was there, and is gone
};

struct Promotion {
  RepositoryName from;
  Reference reference;
  RepositoryName to;      // the same one: the manifest gets further tags
  std::vector<Tag> tags;  // empty: the tag of `reference`; none when that is a digest
  audit::Actor actor;
  std::string origin = {};        // for the records of the tags; empty: the repository and the digest
  Preconditions conditions = {};  // on what each of the tags points to in the target
};

struct Promoted {
  Digest digest;
  std::vector<Tag> tags;
  std::size_t manifests = 0;  // new in the target, with children and referrers
  std::size_t blobs = 0;      // newly linked there
};

// A mirrored tag goes to what somebody has looked at upstream; the manifest is here already.
struct Approval {
  RepositoryName repository;
  Tag tag;
  Digest digest;
  std::string origin;  // the upstream that named the digest
  audit::Actor actor;
};

struct ApprovedTag {
  std::optional<Digest> from;  // empty: its content had been cleared away
  Digest to;
};

// Thread-safe. Calls that return a Task continue on the caller's executor.
class TagMoves {
 public:
  // One promotion takes at most so many manifests along, and so many bytes of manifests that the target does
  // not have yet; parameter_invalid beyond.
  static constexpr std::size_t most_manifests = 10'000;
  static constexpr std::uint64_t most_bytes = std::uint64_t{256} << 20;
  // In writes of at most so many manifests and (but for one larger manifest) bytes, which are also all that
  // is read into memory at once.
  static constexpr std::size_t manifests_per_write = 200;
  static constexpr std::uint64_t bytes_per_write = std::uint64_t{4} << 20;
  // Others wait: those into one repository for each other.
  static constexpr std::size_t most_at_once = 8;

  explicit TagMoves(const RegistryContext& context) : context_(context) {}

  // forward-only lets it pass: going back on purpose is what it is for. immutable and append-only do not.
  // name_unknown; manifest_unknown: the tag never had that digest, or the manifest is gone;
  // refused_by_policy.
  Task<Result<RolledBack>> rollback(Rollback) const;

  // Frees a name that its rule would keep for what it was bound to: the tag goes, if it is there, and the
  // next push decides. The manifest stays. The tag's rule is not asked, locks and holds are.
  // manifest_unknown: the name is bound to nothing; refused_by_policy.
  Task<Result<Released>> release(Release) const;

  // The manifest, the children of an index, all referrers and the tags that cosign names after a digest
  // (unless the target has them). What to take is found out beforehand. All or none where one write is
  // enough; otherwise what an earlier write took stays when a later one is refused, as if it had been pushed
  // by digest, and the tags that were asked for are set by the last one, all or none. The conditions are
  // asked before the first write and inside the last one. name_unknown, manifest_unknown,
  // manifest_reference_unknown, refused_by_policy.
  Task<Result<Promoted>> promote(Promotion) const;

  // One write moves the tag and records it ("tag.approve"); nothing happens when it is there already.
  // name_unknown; manifest_unknown: the manifest is not here; refused_by_policy: the tag's rule.
  Task<Result<ApprovedTag>> approve(Approval) const;

 private:
  // One write: takes these manifests over; the last one sets the tags.
  Task<Result<void>> promote_step(const Promotion&, const Digest& source, std::span<const PlannedManifest>,
                                  bool last, Promoted&) const;

  RegistryContext context_;
};

}  // namespace stele
