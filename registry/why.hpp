#pragma once
// Why something is still here, and why it is gone: when, by whom, by which rule and run; also years later,
// and after its repository was deleted. Reads only.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/reference.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "policy/rules.hpp"
#include "registry/context.hpp"
#include "storage/catalog/departures.hpp"
#include "storage/catalog/protection.hpp"
#include "storage/catalog/trash.hpp"
#include "storage/catalog/usage.hpp"

namespace stele {

// A tag on it, and what its rule says.
struct WhyTag {
  catalog::TagBinding binding;
  std::string rule;
  policy::Mutability mutability;
  bool may_delete;          // `delete` of the rule
  bool lifecycle_protects;  // `lifecycle` of the rule
};

// What lifecycle would say now.
struct WhyVerdict {
  std::string verdict;  // "KEEP", "EXPIRE", "BLOCKED"
  std::string rule;     // empty: none decided
  std::string reason;
};

// A manifest, or a blob, that is here. Lists are cut at Whys::most_shown.
struct WhyContent {
  bool manifest = false;  // otherwise a blob
  std::uint64_t size = 0;
  std::string media_type;  // this and the next two: of a manifest
  std::optional<Timestamp> pushed_at;
  std::string pushed_by;
  std::vector<WhyTag> tags;
  std::optional<Timestamp> untagged_since;  // it has no tag
  std::vector<Digest> named_by;             // manifests that need it: indexes, or a blob's images
  std::optional<Digest> subject;
  bool subject_is_here = false;
  std::vector<Digest> referrers;
  std::vector<Error> protections;     // locks, holds and clusters that reach it
  std::optional<Digest> trash_needs;  // a manifest of the trash that needs it
  std::optional<Timestamp> pulled_at;
  std::optional<Timestamp> pulls_known_since;  // absent: pulls are not recorded at present
  bool leased = false;    // somebody looked at it or pushed it within a lease, as far as is known
  bool settling = false;  // nobody can know yet: the server has not run for one lease
  std::optional<WhyVerdict> verdict;
};

struct WhyDeparture {
  catalog::Departure departure;
  std::optional<catalog::Departure> repository;  // the deletion of the repository that took it along
};

struct WhyRepository {
  catalog::Usage usage;
  std::optional<catalog::LockRow> lock;  // the longest
  std::optional<catalog::HoldRow> hold;  // one of those in force
  std::int64_t in_use = 0;               // manifests that clusters report, counted up to most_shown
};

struct Why {
  RepositoryName repository;
  std::optional<Tag> tag;              // that was asked for
  std::optional<Digest> digest;        // that was asked for, or that the tag has or had last
  bool present = false;                // what was asked for
  std::optional<WhyRepository> whole;  // asked for a repository that is there
  std::optional<WhyContent> content;   // that the digest names, if it is here; also of a tag that is gone
  std::vector<catalog::TagRemoval> removals;  // of the tag, the last ones first
  std::optional<catalog::RemovedName> bound;  // what the tag's name stays bound to
  std::vector<WhyDeparture> departures;       // of the manifest or the repository, the last ones first
  std::optional<catalog::TrashItem> trash;    // whence it can be restored
};

struct WhyQuery {
  RepositoryName repository;
  std::optional<Reference> reference;  // absent: the repository itself
};

// Thread-safe.
class Whys {
 public:
  static constexpr std::int64_t most_shown = 100;  // of each thing that holds it
  static constexpr std::int64_t departures_shown = 10;

  // Called on the db pool, never inside a read; absent: it cannot be told.
  using Judge = std::function<std::optional<WhyVerdict>(const RepositoryName&, const std::optional<Tag>&,
                                                        const Digest&)>;

  // `judge` may be empty: then there is no verdict.
  explicit Whys(const RegistryContext& context, Judge judge = {})
      : context_(context), judge_(std::move(judge)) {}

  // name_unknown, manifest_unknown: it never was here, as far as the record goes; the message tells what is
  // known. corrupt. Continues on the caller's executor.
  Task<Result<Why>> ask(WhyQuery) const;

 private:
  Result<Why> answer(const WhyQuery&) const;
  RegistryContext context_;
  const Judge judge_;
};

}  // namespace stele
