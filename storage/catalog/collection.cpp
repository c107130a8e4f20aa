#include "storage/catalog/collection.hpp"

#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

std::int64_t number(BlobId id) {
  return static_cast<std::int64_t>(id);
}

// Repositories count from 1.
std::int64_t number(std::optional<RepositoryId> id) {
  return id ? catalog::number(*id) : 0;
}

}  // namespace

void queue_review(Tx& tx, std::optional<RepositoryId> repository, const Digest& digest,
                  Timestamp review_after) {
  tx.execute(
      "INSERT INTO reviews (blob_id, repository_id, review_after) SELECT id, $2, $3 FROM blobs WHERE digest "
      "= $1 ON CONFLICT (blob_id, repository_id) DO UPDATE SET review_after = excluded.review_after WHERE "
      "excluded.review_after > reviews.review_after",
      digest.str(), number(repository), review_after.microseconds);
}

std::vector<Review> due_reviews(Session& session, Timestamp now, std::int64_t limit) {
  std::vector<Review> reviews;
  auto rows = session.query(
      "SELECT q.repository_id, q.blob_id, b.digest, b.size, q.review_after FROM reviews q JOIN blobs b ON "
      "b.id = q.blob_id WHERE q.review_after <= $1 ORDER BY q.review_after LIMIT $2",
      now.microseconds, limit);
  while (rows.next()) {
    Review review{std::nullopt, BlobId(rows.integer(1)), parse_column<Digest>(rows.text(2), "blobs.digest"),
                  size_column(rows, 3), Timestamp{rows.integer(4)}};
    if (rows.integer(0) != 0) review.repository = RepositoryId(rows.integer(0));
    reviews.push_back(std::move(review));
  }
  return reviews;
}

std::int64_t count_reviews(Session& session, Timestamp until, std::int64_t limit) {
  std::int64_t counted = 0;
  auto rows =
      session.query("SELECT 1 FROM reviews WHERE review_after <= $1 LIMIT $2", until.microseconds, limit);
  while (rows.next()) ++counted;
  return counted;
}

std::optional<Timestamp> next_review(Session& session) {
  auto row =
      session.query("SELECT review_after FROM reviews WHERE review_after >= 0 ORDER BY review_after LIMIT 1");
  if (!row.next()) return std::nullopt;
  return Timestamp{row.integer(0)};
}

void end_review(Tx& tx, const Review& review) {
  tx.execute("DELETE FROM reviews WHERE blob_id = $1 AND repository_id = $2", number(review.blob),
             number(review.repository));
}

void postpone_review(Tx& tx, const Review& review, Timestamp review_after) {
  tx.execute("UPDATE reviews SET review_after = $3 WHERE blob_id = $1 AND repository_id = $2",
             number(review.blob), number(review.repository), review_after.microseconds);
}

bool review_stands(Session& session, const Review& review) {
  return session
      .query("SELECT 1 FROM reviews WHERE blob_id = $1 AND repository_id = $2 AND review_after = $3",
             number(review.blob), number(review.repository), review.review_after.microseconds)
      .next();
}

std::optional<std::string> repository_name(Session& session, RepositoryId repository) {
  auto row = session.query("SELECT name FROM repositories WHERE id = $1", catalog::number(repository));
  if (!row.next()) return std::nullopt;
  return std::string(row.text(0));
}

std::optional<BlobLink> find_link(Session& session, RepositoryId repository, BlobId blob) {
  auto row = session.query("SELECT linked_at FROM repository_blobs WHERE repository_id = $1 AND blob_id = $2",
                           catalog::number(repository), number(blob));
  if (!row.next()) return std::nullopt;
  return BlobLink{Timestamp{row.integer(0)}};
}

bool any_link(Session& session, BlobId blob) {
  return session.query("SELECT 1 FROM repository_blobs WHERE blob_id = $1 LIMIT 1", number(blob)).next();
}

std::optional<BlobState> blob_state(Session& session, BlobId blob) {
  auto row = session.query("SELECT state FROM blobs WHERE id = $1", number(blob));
  if (!row.next()) return std::nullopt;
  return row.text(0) == "live" ? BlobState::live : BlobState::deleting;
}

void begin_blob_removal(Tx& tx, BlobId blob) {
  tx.execute("UPDATE blobs SET state = 'deleting' WHERE id = $1", number(blob));
}

}  // namespace stele::catalog
