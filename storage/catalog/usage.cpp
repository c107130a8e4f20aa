#include "storage/catalog/usage.hpp"

#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

// The columns of Usage in their order, from `first` on.
Usage usage_of(const sql::Query& row, int first) {
  return Usage{row.integer(first),     row.integer(first + 1), row.integer(first + 2), row.integer(first + 3),
               row.integer(first + 4), row.integer(first + 5), row.integer(first + 6)};
}

struct BlobSharers {
  std::int64_t size = 0;
  std::int64_t others = 0;            // that link it, counted up to two
  std::optional<std::int64_t> other;  // one of them
};

BlobSharers sharers_of(Tx& tx, RepositoryId repository, const Digest& blob) {
  BlobSharers found;
  auto rows = tx.query(
      "SELECT b.size, o.repository_id FROM blobs b LEFT JOIN repository_blobs o ON o.blob_id = b.id AND "
      "o.repository_id <> $1 WHERE b.digest = $2 LIMIT 2",
      number(repository), blob.str());
  while (rows.next()) {
    found.size = rows.integer(0);
    if (rows.is_null(1)) continue;
    ++found.others;
    found.other = rows.integer(1);
  }
  return found;
}

// `sign`: 1 for a link that was made, -1 for one that is gone.
void change_links(Tx& tx, RepositoryId repository, const Digest& blob, std::int64_t sign) {
  const BlobSharers sharers = sharers_of(tx, repository, blob);
  const std::int64_t bytes = sign * sharers.size;
  tx.execute(
      "UPDATE repository_usage SET blobs = blobs + $2, blob_bytes = blob_bytes + $3, shared_bytes = "
      "shared_bytes + $4 WHERE repository_id = $1",
      number(repository), sign, bytes, sharers.others > 0 ? bytes : 0);
  // The only other one shares it from now on, or no longer. Where there are more, they share it either way.
  if (sharers.others != 1) return;
  tx.execute("UPDATE repository_usage SET shared_bytes = shared_bytes + $2 WHERE repository_id = $1",
             *sharers.other, bytes);
}

void change_trash(Tx& tx, std::int64_t trash_id, std::int64_t sign) {
  tx.execute(
      "UPDATE repository_usage SET trash_manifests = trash_manifests + $2, trash_bytes = trash_bytes + $2 * "
      "(SELECT size FROM trash WHERE id = $1) WHERE repository_id = (SELECT repository_id FROM trash WHERE "
      "id = $1 AND media_type IS NOT NULL)",
      trash_id, sign);
}

}  // namespace

std::optional<Usage> find_usage(Session& session, RepositoryId repository) {
  auto row = session.query(
      "SELECT manifests, manifest_bytes, blobs, blob_bytes, shared_bytes, trash_manifests, trash_bytes FROM "
      "repository_usage WHERE repository_id = $1",
      number(repository));
  if (!row.next()) return std::nullopt;
  return usage_of(row, 0);
}

std::vector<RepositoryUsage> list_usage(Session& session, const std::string& name, Begin begin,
                                        std::int64_t limit) {
  std::vector<RepositoryUsage> page;
  if (limit <= 0) return page;
  auto rows = begin == Begin::after
                  ? session.query(
                        "SELECT r.name, u.manifests, u.manifest_bytes, u.blobs, u.blob_bytes, "
                        "u.shared_bytes, u.trash_manifests, u.trash_bytes FROM repositories r JOIN "
                        "repository_usage u ON u.repository_id = r.id WHERE r.name > $1 ORDER BY r.name "
                        "LIMIT $2",
                        name, limit)
                  : session.query(
                        "SELECT r.name, u.manifests, u.manifest_bytes, u.blobs, u.blob_bytes, "
                        "u.shared_bytes, u.trash_manifests, u.trash_bytes FROM repositories r JOIN "
                        "repository_usage u ON u.repository_id = r.id WHERE r.name >= $1 ORDER BY r.name "
                        "LIMIT $2",
                        name, limit);
  while (rows.next())
    page.push_back({parse_column<RepositoryName>(rows.text(0), "repositories.name"), usage_of(rows, 1)});
  return page;
}

Usage recount_usage(Session& session, RepositoryId repository) {
  Usage usage;
  {
    auto row = session.query(
        "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM manifests WHERE repository_id = $1",
        number(repository));
    row.next();
    usage.manifests = row.integer(0);
    usage.manifest_bytes = row.integer(1);
  }
  {
    auto row = session.query(
        "SELECT COUNT(*), CAST(COALESCE(SUM(b.size), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN EXISTS "
        "(SELECT 1 FROM repository_blobs o WHERE o.blob_id = held.blob_id AND o.repository_id <> "
        "held.repository_id) THEN b.size ELSE 0 END), 0) AS BIGINT) FROM repository_blobs held JOIN blobs b "
        "ON b.id = held.blob_id WHERE held.repository_id = $1",
        number(repository));
    row.next();
    usage.blobs = row.integer(0);
    usage.blob_bytes = row.integer(1);
    usage.shared_bytes = row.integer(2);
  }
  {
    auto row = session.query(
        "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM trash WHERE repository_id = $1 AND "
        "media_type IS NOT NULL",
        number(repository));
    row.next();
    usage.trash_manifests = row.integer(0);
    usage.trash_bytes = row.integer(1);
  }
  return usage;
}

void store_usage(Tx& tx, RepositoryId repository, const Usage& usage) {
  tx.execute(
      "INSERT INTO repository_usage (repository_id, manifests, manifest_bytes, blobs, blob_bytes, "
      "shared_bytes, trash_manifests, trash_bytes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT "
      "(repository_id) DO UPDATE SET manifests = excluded.manifests, manifest_bytes = "
      "excluded.manifest_bytes, blobs = excluded.blobs, blob_bytes = excluded.blob_bytes, shared_bytes = "
      "excluded.shared_bytes, trash_manifests = excluded.trash_manifests, trash_bytes = excluded.trash_bytes",
      number(repository), usage.manifests, usage.manifest_bytes, usage.blobs, usage.blob_bytes,
      usage.shared_bytes, usage.trash_manifests, usage.trash_bytes);
}

void begin_usage(Tx& tx, RepositoryId repository) {
  tx.execute(
      "INSERT INTO repository_usage (repository_id, manifests, manifest_bytes, blobs, blob_bytes, "
      "shared_bytes, trash_manifests, trash_bytes) VALUES ($1, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
      number(repository));
}

void end_usage(Tx& tx, RepositoryId repository) {
  tx.execute("DELETE FROM repository_usage WHERE repository_id = $1", number(repository));
}

void count_manifest(Tx& tx, RepositoryId repository, std::int64_t bytes) {
  tx.execute(
      "UPDATE repository_usage SET manifests = manifests + 1, manifest_bytes = manifest_bytes + $2 WHERE "
      "repository_id = $1",
      number(repository), bytes);
}

void uncount_manifest(Tx& tx, ManifestId manifest) {
  tx.execute(
      "UPDATE repository_usage SET manifests = manifests - 1, manifest_bytes = manifest_bytes - (SELECT size "
      "FROM manifests WHERE id = $1) WHERE repository_id = (SELECT repository_id FROM manifests WHERE id = "
      "$1)",
      number(manifest));
}

void count_link(Tx& tx, RepositoryId repository, const Digest& blob) {
  change_links(tx, repository, blob, 1);
}

void uncount_link(Tx& tx, RepositoryId repository, const Digest& blob) {
  change_links(tx, repository, blob, -1);
}

void count_trash(Tx& tx, std::int64_t trash_id) {
  change_trash(tx, trash_id, 1);
}

void uncount_trash(Tx& tx, std::int64_t trash_id) {
  change_trash(tx, trash_id, -1);
}

}  // namespace stele::catalog
