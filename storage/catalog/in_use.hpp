#pragma once
// The catalog's queries about what clusters run. Conventions: catalog.hpp. A row protects from the moment of
// its commit until the cluster reports without it, or is removed by name; no time ends it.

#include <utility>

#include "base/cluster_name.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

// --- what protects

// The clusters that use this manifest of this repository, in bytewise order. For blockers: call it inside
// the transaction that removes.
std::vector<std::string> clusters_using(Session&, const RepositoryName&, const Digest&);
// The digests of this repository that any cluster uses, in bytewise order after `after`, at most `limit`.
// Some may not be there (any more).
std::vector<Digest> digests_in_use(Session&, const RepositoryName&, const std::string& after,
                                   std::int64_t limit);

// --- reports

struct InUseReport {
  ClusterName cluster;
  Timestamp reported_at;
  std::string reported_by;
  std::int64_t lease_seconds = 0;
  std::int64_t images = 0;               // references that were reported
  std::int64_t protected_manifests = 0;  // those that were there then
  std::int64_t unknown = 0;              // references that named nothing here

  Timestamp until() const { return reported_at + lease_seconds * 1'000'000; }
  // It protects all the same.
  bool stale(Timestamp now) const { return now > until(); }
};
std::optional<InUseReport> find_in_use_report(Session&, const ClusterName&);
// In bytewise order after `after`, at most `limit`.
std::vector<InUseReport> list_in_use_reports(Session&, const std::string& after, std::int64_t limit);
// Inserts, or replaces what it says of itself; its manifests stay as they are.
void put_in_use_report(Tx&, const InUseReport&);
// With all that it protects.
void remove_in_use_report(Tx&, const ClusterName&);

struct InUseManifest {
  RepositoryName repository;
  Digest digest;
  Timestamp since;
  bool present;  // the repository has it
};
// In bytewise order after (repository, digest), at most `limit`.
std::vector<InUseManifest> list_in_use(Session&, const ClusterName&, const std::string& repository,
                                       const std::string& digest, std::int64_t limit);
// All of a cluster's (repository, digest), in bytewise order.
std::vector<std::pair<std::string, std::string>> list_in_use_keys(Session&, const ClusterName&);
void add_in_use(Tx&, const ClusterName&, const RepositoryName&, const Digest&, Timestamp since);
void remove_in_use(Tx&, const ClusterName&, const RepositoryName&, const Digest&);

// The first of a report's unknown references, in bytewise order.
std::vector<std::string> list_in_use_unknown(Session&, const ClusterName&);
void put_in_use_unknown(Tx&, const ClusterName&, const std::vector<std::string>&);

// --- what a reference names

bool has_manifest(Session&, RepositoryId, const Digest&);
// Repositories that have this manifest, at most `limit`.
std::vector<std::string> repositories_with_manifest(Session&, const Digest&, std::int64_t limit);
// (repository, digest) of manifests whose configuration is `config`, at most `limit`: in all repositories, or
// in one.
std::vector<std::pair<std::string, std::string>> manifests_configured_by(Session&, const Digest& config,
                                                                         std::int64_t limit);
std::vector<std::string> manifests_configured_by(Session&, RepositoryId, const Digest& config,
                                                 std::int64_t limit);

}  // namespace stele::catalog
