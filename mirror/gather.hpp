#pragma once
// What it takes to have an image of a mirror whole: asked for by whoever warms a mirror, promotes out of it
// or approves an update.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.hpp"

namespace stele::mirror {

struct Wanted {
  // "linux/amd64", "linux/arm/v7": of an index only these; a platform without variant means every variant.
  // Empty: everything that the index lists.
  std::vector<std::string> platforms;
  // What refers to it or to a child of it (signatures, SBOMs), here or upstream, and what cosign tags after
  // their digests.
  bool referrers = false;
  bool offline = false;  // upstream is asked nothing: whether it is here whole
  // Instead of `platforms`: of an index those whose manifests are here of this image, which the tag names
  // until now. Where it is not here itself, none.
  std::optional<Digest> beside;
};

// All of it is here, verified and leased (registry/leases.hpp).
struct Gathered {
  explicit Gathered(Digest root) : digest(std::move(root)) {}
  Digest digest;
  std::string upstream;  // the URL that named the tag's digest; the mirror's name where that is not known
  std::size_t manifests = 0;  // that belong to it, the children of indexes and the referrers included
  std::size_t blobs = 0;
  std::size_t fetched_manifests = 0;  // of them: were not here before
  std::size_t fetched_blobs = 0;
  std::uint64_t fetched_bytes = 0;    // of these blobs
  std::vector<std::string> warnings;  // sentences: what could not be compared with upstream
};

}  // namespace stele::mirror
