#pragma once
// One repository as the judge of lifecycle rules (judge.hpp) sees it. Made for a million manifests: rows of
// fixed size that name each other by their place in these lists, and no digests. About 80 bytes and the
// edges per manifest.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace stele::policy {

using RowIndex = std::int32_t;  // into one of the lists below
inline constexpr RowIndex no_row = -1;
inline constexpr Timestamp never{std::numeric_limits<std::int64_t>::min()};

// Part of one of the lists of edges.
struct RowRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

// Why something may not go, whatever the rules say.
struct Blocker {
  enum class Kind { tag_rule, lock, hold, in_use };
  Kind kind = Kind::lock;
  // tag_rule: its name. lock: "until 2033-01-01 (compliance)". hold: its name. in_use: who uses it ("cluster
  // prod").
  std::string text;
};

struct SnapshotManifest {
  enum Flag : std::uint8_t {
    labels_known = 1,         // otherwise `labels` says nothing
    subject_is_elsewhere = 2  // it names a subject that is not in the repository
  };

  std::int64_t id = 0;          // of the catalog; untagged manifests are planned in its order
  Timestamp pushed_at;          // to this repository; never: not known
  Timestamp pulled_at = never;  // last, by those whose pulls count
  // When it lost its last tag, or was pushed again without one, if that is known; not read while it has one.
  Timestamp untagged_at = never;
  std::int64_t bytes = 0;           // of the manifest itself
  RowRange entries;                 // of `Snapshot::entries`: an index's children that are in the repository
  RowRange blobs;                   // of `Snapshot::blob_uses`
  RowRange labels;                  // of `Snapshot::labels`
  RowIndex subject = no_row;        // a manifest
  RowIndex artifact_type = no_row;  // of `texts`; none: not known
  RowIndex blocker = no_row;        // lock, hold, in use
  std::uint8_t flags = 0;
};
static_assert(sizeof(SnapshotManifest) <= 88);

struct SnapshotTag {
  static constexpr RowIndex no_signature = -1;
  static constexpr RowIndex signs_what_is_absent = -2;

  std::string name;
  RowIndex manifest = no_row;  // none: the row is damaged, and the tag stays
  Timestamp bound_at;          // to this manifest; not read by the judge
  Timestamp pushed_at;         // the last time: then, or later with the same digest; never: not known
  // The place of its binding among all that the catalog committed; read of tags with equal times alone, and 0
  // of others.
  std::int64_t sequence = 0;
  RowIndex blocker = no_row;  // its tag rule says lifecycle: protect; a lock or hold on the name
  // The manifest whose digest an @signature tag names.
  RowIndex signs = no_signature;
};

// Whether `a` was pushed before `b`, and so is the older of the two: by time, then by commit, then by name. A
// total order of the tags of a snapshot.
inline bool pushed_before(const SnapshotTag& a, const SnapshotTag& b) {
  if (a.pushed_at != b.pushed_at) return a.pushed_at < b.pushed_at;
  return a.sequence != b.sequence ? a.sequence < b.sequence : a.name < b.name;
}

struct SnapshotBlob {
  std::int64_t bytes = 0;
  bool elsewhere = false;  // another repository links it: removing it here frees nothing
};

struct SnapshotLabel {
  RowIndex key;  // of `texts`
  RowIndex value;
};

struct Snapshot {
  std::string repository;
  Timestamp now;
  // Since when the record of pulls has no gap. Nothing: pulls are not recorded.
  std::optional<Timestamp> pulls_since;
  std::vector<SnapshotManifest> manifests;
  std::vector<SnapshotTag> tags;  // in any order, each name once
  std::vector<SnapshotBlob> blobs;
  std::vector<RowIndex> entries;    // manifests
  std::vector<RowIndex> blob_uses;  // blobs
  std::vector<SnapshotLabel> labels;
  std::vector<std::string> texts;  // each once: artifact types, label keys and values
  std::vector<Blocker> blockers;
};

}  // namespace stele::policy
