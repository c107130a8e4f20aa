#pragma once
// Internal to the judge: what reaches what in a snapshot.

#include <span>
#include <vector>

#include "policy/snapshot.hpp"

namespace stele::policy {

// How the lower one hangs from the upper one.
enum class Hangs : std::uint8_t {
  as_entry,     // of an index
  as_referrer,  // its subject is the upper one
  as_signature  // an @signature tag on it names the upper one's digest
};

struct Edge {
  RowIndex to;
  Hangs hangs;
};

inline std::size_t at(RowIndex row) {
  return static_cast<std::size_t>(row);
}

// An @signature tag whose digest is here: entries do not judge it, it shares the fate of that digest.
inline bool follows(const SnapshotTag& tag) {
  return tag.signs >= 0;
}

// Damaged rows with a negative size count nothing.
inline std::uint64_t size_of(std::int64_t bytes) {
  return bytes < 0 ? 0 : static_cast<std::uint64_t>(bytes);
}

class Graph {
 public:
  // Throws std::invalid_argument when a row names one that is not there.
  explicit Graph(const Snapshot&);

  std::span<const Edge> down(RowIndex manifest) const { return part(down_, down_first_, manifest); }
  std::span<const Edge> up(RowIndex manifest) const { return part(up_, up_first_, manifest); }
  // In plan order, as the next.
  std::span<const RowIndex> tags(RowIndex manifest) const { return part(tags_, tags_first_, manifest); }
  const std::vector<RowIndex>& all_tags() const { return tag_order_; }

 private:
  template <class T>
  static std::span<const T> part(const std::vector<T>& all, const std::vector<std::uint32_t>& first,
                                 RowIndex row) {
    return std::span(all).subspan(first[at(row)], first[at(row) + 1] - first[at(row)]);
  }

  std::vector<Edge> down_, up_;
  std::vector<RowIndex> tags_, tag_order_;
  std::vector<std::uint32_t> down_first_, up_first_, tags_first_;
};

}  // namespace stele::policy
