#pragma once
// Whole tables, page by page in the order of their keys, for whoever checks everything (gc/fsck.hpp). A page
// is one short read. Text is given as it is stored: it may be what is wrong. Conventions: catalog.hpp.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/catalog/collection.hpp"

namespace stele::catalog {

// The key of the row that a page begins after.
struct RowKey {
  std::int64_t first = 0;
  std::int64_t second = 0;
  std::string text = {};
};

struct TagToCheck {
  RowKey key;
  std::string repository;  // empty: there is none
  std::string tag;
  std::string digest;  // empty: there is no such manifest in this repository
  bool sound = false;  // the row's checksum agrees
};
std::vector<TagToCheck> tags_to_check(Session&, const RowKey& after, std::int64_t limit);

struct ManifestToCheck {
  RowKey key;
  ManifestId id;
  RepositoryId repository_id;
  std::string repository;  // empty: there is none
  std::string digest;
  std::string media_type;
  std::string bytes;
  bool sound = false;
};
std::vector<ManifestToCheck> manifests_to_check(Session&, const RowKey& after, std::int64_t limit);

struct ReferenceRow {
  std::string kind;  // "config", "layer", "entry", "subject"
  std::string digest;
  auto operator<=>(const ReferenceRow&) const = default;
};
std::vector<ReferenceRow> references_of(Session&, ManifestId);
void add_reference(Tx&, RepositoryId, ManifestId, const ReferenceRow&);

// Manifests in the trash, without those rows that hold only tags.
std::vector<ManifestToCheck> trash_to_check(Session&, const RowKey& after, std::int64_t limit);

struct LinkToCheck {
  RowKey key;
  RepositoryId repository_id;
  std::string repository;  // empty: there is none
  std::string digest;      // empty: there is no such blob
  bool needed = false;     // by a manifest of the repository, or of its trash
  bool queued = false;     // for review
};
std::vector<LinkToCheck> links_to_check(Session&, const RowKey& after, std::int64_t limit);

struct BlobToCheck {
  RowKey key;
  std::string digest;
  BlobState state = BlobState::live;
  bool linked = false;
  bool queued = false;     // in whatever review
  std::string quarantine;  // why it is in quarantine; empty: it is not
};
std::vector<BlobToCheck> blobs_to_check(Session&, const RowKey& after, std::int64_t limit);

// Rows of `child` whose `column` should be the id of a row of `parent`.
struct Belonging {
  std::string_view child;
  std::string_view column;
  std::string_view parent;
  bool removable = true;  // such a row without its parent means nothing; otherwise it holds content
};
// Parents first; what a removal leaves idle is found by the checks of links and blobs.
std::span<const Belonging> belongings();
struct OwnerToCheck {
  RowKey key;
  std::int64_t owner = 0;
  bool there = false;
};
// In the order of `column`; values that occur often may occur once.
std::vector<OwnerToCheck> owners_to_check(Session&, const Belonging&, const RowKey& after,
                                          std::int64_t limit);
void remove_ownerless(Tx&, const Belonging&, std::int64_t owner);

}  // namespace stele::catalog
