#pragma once
// One repository as lifecycle judges it, read from the catalog in one snapshot; with what a plan says of it
// and a judge does not need to know: digests.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/rules.hpp"
#include "policy/snapshot.hpp"
#include "registry/context.hpp"
#include "storage/catalog/lifecycle.hpp"

namespace stele::gc {

// Digests of rows, in 32 bytes each for what nearly all of them are (sha256). Filled in bytewise order of
// their texts, or in any order and then sorted by whoever asks.
class DigestColumn {
 public:
  using Key = std::array<std::uint8_t, 32>;

  void add(std::string_view digest);
  std::size_t size() const { return keys_.size(); }
  std::string text(policy::RowIndex row) const;
  // For find().
  void index();
  // no_row: not among them. A sha512 digest may be cut to 64 hex digits or more, as in tags. After index().
  policy::RowIndex find(std::string_view digest) const;

 private:
  static Key key_of(std::string_view digest);
  policy::RowIndex find_cut(std::string_view begin) const;
  static constexpr std::size_t shortest_cut = std::string_view("sha512:").size() + 64;
  std::vector<Key> keys_;
  std::map<policy::RowIndex, std::string> others_;    // that are no sha256
  std::vector<policy::RowIndex> order_;               // by key
  std::map<std::string, policy::RowIndex> by_begin_;  // of others_, by their first shortest_cut characters
};

struct RepositoryView {
  RepositoryName name;
  catalog::RepositoryId id;
  policy::Snapshot snapshot;
  DigestColumn digests;  // of snapshot.manifests
  catalog::Since seen;   // what came later was not judged
};

// The time by which ages are counted: the wall clock's, unless it runs ahead of the clock that nobody can set
// (release_clock.hpp).
Timestamp lifecycle_time(const RegistryContext&);

// unknown_repository's error when there is none. About 200 bytes of memory per manifest, one read of the
// catalog that lasts for as long as it takes: for a thread of one's own.
// `at`: as if it were that time, and nothing had happened until then.
Result<RepositoryView> view_repository(const RegistryContext&, const policy::Policy&, const RepositoryName&,
                                       const std::optional<Timestamp>& at = std::nullopt);

}  // namespace stele::gc
