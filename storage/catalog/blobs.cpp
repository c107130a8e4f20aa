#include "storage/catalog/rows.hpp"
#include "storage/catalog/usage.hpp"

namespace stele::catalog {
namespace {

BlobInfo blob_row(const sql::Query& row) {
  const bool live = row.text(1) == "live";
  return BlobInfo{size_column(row, 0), live ? BlobState::live : BlobState::deleting};
}

}  // namespace

std::optional<BlobInfo> find_blob(Session& session, const Digest& digest) {
  auto row = session.query("SELECT size, state FROM blobs WHERE digest = $1", digest.str());
  if (!row.next()) return std::nullopt;
  return blob_row(row);
}

std::optional<BlobInfo> find_blob_in(Session& session, const RepositoryName& repository,
                                     const Digest& digest) {
  auto row = session.query(
      "SELECT b.size, b.state FROM blobs b JOIN repository_blobs l ON l.blob_id = b.id "
      "JOIN repositories r ON r.id = l.repository_id WHERE b.digest = $2 AND r.name = $1 AND b.state = "
      "'live'",
      repository.str(), digest.str());
  if (!row.next()) return std::nullopt;
  return blob_row(row);
}

bool repository_has_blob(Session& session, RepositoryId repository, const Digest& digest) {
  return session
      .query(
          "SELECT 1 FROM blobs b JOIN repository_blobs l ON l.blob_id = b.id "
          "WHERE b.digest = $2 AND l.repository_id = $1 AND b.state = 'live'",
          number(repository), digest.str())
      .next();
}

void insert_blob(Tx& tx, const Digest& digest, std::uint64_t size, Timestamp now) {
  tx.execute("INSERT INTO blobs (digest, size, state, created_at) VALUES ($1, $2, 'live', $3)", digest.str(),
             static_cast<std::int64_t>(size), now.microseconds);
}

void link_blob(Tx& tx, RepositoryId repository, const Digest& digest, Timestamp now) {
  // WHERE stands before ON CONFLICT for SQLite's parser, which otherwise takes ON for a join's.
  const auto linked = tx.execute(
      "INSERT INTO repository_blobs (repository_id, blob_id, linked_at) SELECT $1, id, $3 FROM blobs WHERE "
      "digest = $2 "
      "ON CONFLICT (repository_id, blob_id) DO NOTHING",
      number(repository), digest.str(), now.microseconds);
  if (linked > 0) {
    count_link(tx, repository, digest);
  } else if (!find_blob(tx, digest)) {
    throw sql::Failure(sql::Failure::Kind::constraint,
                       "a link to blob " + digest.str() + ", which has no row");
  }
}

void remove_blob(Tx& tx, const Digest& digest) {
  tx.execute("DELETE FROM reviews WHERE blob_id = (SELECT id FROM blobs WHERE digest = $1)", digest.str());
  tx.execute("DELETE FROM quarantine WHERE blob_id = (SELECT id FROM blobs WHERE digest = $1)", digest.str());
  tx.execute("DELETE FROM blobs WHERE digest = $1", digest.str());
}

bool unlink_blob(Tx& tx, RepositoryId repository, const Digest& digest) {
  const auto unlinked = tx.execute(
      "DELETE FROM repository_blobs WHERE repository_id = $1 AND blob_id = (SELECT id FROM blobs WHERE "
      "digest "
      "= $2)",
      number(repository), digest.str());
  if (unlinked == 0) return false;
  uncount_link(tx, repository, digest);
  return true;
}

std::vector<std::string> repositories_with_blob(Session& session, const Digest& digest, std::int64_t limit) {
  if (limit <= 0) return {};
  // In the order of the link's index, not by name: a popular layer's holders are not sorted for every mount.
  return text_rows(
      session.query("SELECT r.name FROM blobs b JOIN repository_blobs l ON l.blob_id = b.id JOIN "
                    "repositories r ON r.id = l.repository_id "
                    "WHERE b.digest = $1 AND b.state = 'live' ORDER BY l.repository_id LIMIT $2",
                    digest.str(), limit));
}

}  // namespace stele::catalog
