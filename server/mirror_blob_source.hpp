#pragma once
// What is damaged in a mirror's repository and can be had from its upstream again: for the scrub's repairs.

#include "gc/blob_source.hpp"
#include "mirror/mirrors.hpp"

namespace stele {

// Asks the upstreams of those repositories that are a mirror's, in their order, one after the other. What it
// is given outlives it.
class MirrorBlobSource final : public gc::BlobSource {
 public:
  MirrorBlobSource(mirror::Mirrors& mirrors, ThreadPool& bulk) : mirrors_(mirrors), bulk_(bulk) {}

  Task<Result<std::optional<Found>>> open(const Digest&, const std::vector<RepositoryName>&) override;

 private:
  mirror::Mirrors& mirrors_;
  ThreadPool& bulk_;
};

}  // namespace stele
