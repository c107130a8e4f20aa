#pragma once
// The catalog's queries for the online collector. What may have become garbage is a link between a repository
// and a blob; whatever takes a need away (a manifest deleted, a link made and never used) puts the link on
// the review queue, and nothing else is ever looked at. Conventions: catalog.hpp.

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

enum class BlobId : std::int64_t {};

// The link of `repository` to the blob is looked at when `review_after` has come; without a repository: the
// blob, which may have no link left. Queued again, the later time counts, since the reason for waiting began
// anew. Nothing happens for a blob without a row.
void queue_review(Tx&, std::optional<RepositoryId> repository, const Digest&, Timestamp review_after);

struct Review {
  std::optional<RepositoryId> repository;
  BlobId blob;
  Digest digest;
  std::uint64_t size;  // of the blob, bytes
  Timestamp review_after;
};
// Those due at `now`, the oldest first, at most `limit`.
std::vector<Review> due_reviews(Session&, Timestamp now, std::int64_t limit);
// Those with times up to `until`, counted up to `limit`.
std::int64_t count_reviews(Session&, Timestamp until, std::int64_t limit);
// The time of the earliest one.
std::optional<Timestamp> next_review(Session&);
void end_review(Tx&, const Review&);
void postpone_review(Tx&, const Review&, Timestamp review_after);
// Is it still queued with the time that it had?
bool review_stands(Session&, const Review&);

// The name of a repository by its id; for links whose repository may be gone.
std::optional<std::string> repository_name(Session&, RepositoryId);

struct BlobLink {
  Timestamp linked_at;
};
std::optional<BlobLink> find_link(Session&, RepositoryId, BlobId);
bool any_link(Session&, BlobId);
std::optional<BlobState> blob_state(Session&, BlobId);
// live → deleting. No repository links it, and none can from now on.
void begin_blob_removal(Tx&, BlobId);

}  // namespace stele::catalog
