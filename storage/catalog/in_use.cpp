#include "storage/catalog/in_use.hpp"

#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

// Columns: cluster, reported_at, reported_by, lease_seconds, images, protected, unknown.
InUseReport report_row(const sql::Query& row) {
  return InUseReport{parse_column<ClusterName>(row.text(0), "in_use_reports.cluster"),
                     Timestamp{row.integer(1)},
                     std::string(row.text(2)),
                     row.integer(3),
                     row.integer(4),
                     row.integer(5),
                     row.integer(6)};
}

std::vector<std::pair<std::string, std::string>> text_pairs(sql::Query rows) {
  std::vector<std::pair<std::string, std::string>> pairs;
  while (rows.next()) pairs.emplace_back(rows.text(0), rows.text(1));
  return pairs;
}

}  // namespace

std::vector<std::string> clusters_using(Session& session, const RepositoryName& repository,
                                        const Digest& digest) {
  return text_rows(
      session.query("SELECT cluster FROM in_use WHERE repository = $1 AND digest = $2 ORDER BY cluster",
                    repository.str(), digest.str()));
}

std::vector<Digest> digests_in_use(Session& session, const RepositoryName& repository,
                                   const std::string& after, std::int64_t limit) {
  std::vector<Digest> digests;
  auto rows = session.query(
      "SELECT DISTINCT digest FROM in_use WHERE repository = $1 AND digest > $2 ORDER BY digest LIMIT $3",
      repository.str(), after, limit);
  while (rows.next()) digests.push_back(parse_column<Digest>(rows.text(0), "in_use.digest"));
  return digests;
}

std::optional<InUseReport> find_in_use_report(Session& session, const ClusterName& cluster) {
  auto row = session.query(
      "SELECT cluster, reported_at, reported_by, lease_seconds, images, protected, unknown FROM "
      "in_use_reports WHERE cluster = $1",
      cluster.str());
  if (!row.next()) return std::nullopt;
  return report_row(row);
}

std::vector<InUseReport> list_in_use_reports(Session& session, const std::string& after, std::int64_t limit) {
  std::vector<InUseReport> reports;
  auto rows = session.query(
      "SELECT cluster, reported_at, reported_by, lease_seconds, images, protected, unknown FROM "
      "in_use_reports WHERE cluster > $1 ORDER BY cluster LIMIT $2",
      after, limit);
  while (rows.next()) reports.push_back(report_row(rows));
  return reports;
}

void put_in_use_report(Tx& tx, const InUseReport& report) {
  tx.execute(
      "INSERT INTO in_use_reports (cluster, reported_at, reported_by, lease_seconds, images, protected, "
      "unknown) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (cluster) DO UPDATE SET reported_at = "
      "excluded.reported_at, reported_by = excluded.reported_by, lease_seconds = excluded.lease_seconds, "
      "images = excluded.images, protected = excluded.protected, unknown = excluded.unknown",
      report.cluster.str(), report.reported_at.microseconds, report.reported_by, report.lease_seconds,
      report.images, report.protected_manifests, report.unknown);
}

void remove_in_use_report(Tx& tx, const ClusterName& cluster) {
  tx.execute("DELETE FROM in_use WHERE cluster = $1", cluster.str());
  tx.execute("DELETE FROM in_use_unknown WHERE cluster = $1", cluster.str());
  tx.execute("DELETE FROM in_use_reports WHERE cluster = $1", cluster.str());
}

std::vector<InUseManifest> list_in_use(Session& session, const ClusterName& cluster,
                                       const std::string& repository, const std::string& digest,
                                       std::int64_t limit) {
  std::vector<InUseManifest> manifests;
  auto rows = session.query(
      "SELECT u.repository, u.digest, u.seen_since, m.id FROM in_use u LEFT JOIN repositories r ON r.name = "
      "u.repository LEFT JOIN manifests m ON m.repository_id = r.id AND m.digest = u.digest WHERE u.cluster "
      "= $1 AND (u.repository, u.digest) > ($2, $3) ORDER BY u.repository, u.digest LIMIT $4",
      cluster.str(), repository, digest, limit);
  while (rows.next()) {
    manifests.push_back({parse_column<RepositoryName>(rows.text(0), "in_use.repository"),
                         parse_column<Digest>(rows.text(1), "in_use.digest"), Timestamp{rows.integer(2)},
                         !rows.is_null(3)});
  }
  return manifests;
}

std::vector<std::pair<std::string, std::string>> list_in_use_keys(Session& session,
                                                                  const ClusterName& cluster) {
  return text_pairs(session.query(
      "SELECT repository, digest FROM in_use WHERE cluster = $1 ORDER BY repository, digest", cluster.str()));
}

void add_in_use(Tx& tx, const ClusterName& cluster, const RepositoryName& repository, const Digest& digest,
                Timestamp since) {
  tx.execute("INSERT INTO in_use (cluster, repository, digest, seen_since) VALUES ($1, $2, $3, $4)",
             cluster.str(), repository.str(), digest.str(), since.microseconds);
}

void remove_in_use(Tx& tx, const ClusterName& cluster, const RepositoryName& repository,
                   const Digest& digest) {
  tx.execute("DELETE FROM in_use WHERE cluster = $1 AND repository = $2 AND digest = $3", cluster.str(),
             repository.str(), digest.str());
}

std::vector<std::string> list_in_use_unknown(Session& session, const ClusterName& cluster) {
  return text_rows(session.query("SELECT reference FROM in_use_unknown WHERE cluster = $1 ORDER BY reference",
                                 cluster.str()));
}

void put_in_use_unknown(Tx& tx, const ClusterName& cluster, const std::vector<std::string>& references) {
  tx.execute("DELETE FROM in_use_unknown WHERE cluster = $1", cluster.str());
  for (const std::string& reference : references) {
    tx.execute("INSERT INTO in_use_unknown (cluster, reference) VALUES ($1, $2)", cluster.str(), reference);
  }
}

bool has_manifest(Session& session, RepositoryId repository, const Digest& digest) {
  return session
      .query("SELECT 1 FROM manifests WHERE repository_id = $1 AND digest = $2", number(repository),
             digest.str())
      .next();
}

std::vector<std::string> repositories_with_manifest(Session& session, const Digest& digest,
                                                    std::int64_t limit) {
  return text_rows(
      session.query("SELECT r.name FROM manifests m JOIN repositories r ON r.id = m.repository_id WHERE "
                    "m.digest = $1 LIMIT $2",
                    digest.str(), limit));
}

std::vector<std::pair<std::string, std::string>> manifests_configured_by(Session& session,
                                                                         const Digest& config,
                                                                         std::int64_t limit) {
  return text_pairs(
      session.query("SELECT r.name, m.digest FROM manifest_references f JOIN manifests m ON m.id = "
                    "f.manifest_id JOIN repositories r ON r.id = m.repository_id WHERE f.kind = 'config' AND "
                    "f.digest = $1 LIMIT $2",
                    config.str(), limit));
}

std::vector<std::string> manifests_configured_by(Session& session, RepositoryId repository,
                                                 const Digest& config, std::int64_t limit) {
  return text_rows(session.query(
      "SELECT m.digest FROM manifest_references f JOIN manifests m ON m.id = f.manifest_id WHERE "
      "f.repository_id = $1 AND f.digest = $2 AND f.kind = 'config' LIMIT $3",
      number(repository), config.str(), limit));
}

}  // namespace stele::catalog
