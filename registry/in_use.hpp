#pragma once
// What clusters run is never removed: each cluster reports its images, and what a report names is a root for
// lifecycle until the cluster reports without it or is removed by name. A report that is older than its lease
// is stale: it goes on protecting, and a metric says so.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/event_log.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "registry/context.hpp"
#include "storage/catalog/in_use.hpp"

namespace stele {

struct NewInUseReport {
  ClusterName cluster;
  // As clusters write them (image_reference.hpp). What cannot be read, or names nothing here, is counted and
  // listed; it is no error.
  std::vector<std::string> images;
  std::int64_t lease_seconds = 0;
  bool allow_empty = false;
  // Hosts, with their ports, under which this registry is known to be reached; lower case.
  std::vector<std::string> own_hosts;
  // They are all there are: a tag of another host is another registry's. Otherwise any host may be ours.
  bool hosts_are_known = false;
  audit::Actor actor;
};

struct TakenInUseReport {
  catalog::InUseReport report;
  std::vector<std::string> unknown;  // the first of them
  std::size_t added = 0;             // manifests that the cluster did not use before
  std::size_t gone = 0;
};

struct InUseDetails {
  catalog::InUseReport report;
  std::vector<std::string> unknown;
  std::vector<catalog::InUseManifest> manifests;  // a page of them
};

// For metrics.
struct InUseSummary {
  struct Age {
    std::string cluster;
    double seconds = 0;  // since its report
  };
  std::size_t reports = 0;
  std::size_t stale = 0;
  std::int64_t images = 0;  // manifests that are protected, counted once per cluster
  std::vector<Age> ages;    // of the first clusters by name
};

// Thread-safe. Calls that return a Task continue on the caller's executor.
class InUse {
 public:
  static constexpr std::size_t most_images = 100'000;  // in one report
  static constexpr std::size_t most_clusters = 1000;
  static constexpr std::size_t unknown_shown = 100;
  static constexpr std::size_t ages_shown = 100;
  static constexpr std::int64_t shortest_lease = 60;
  static constexpr std::int64_t longest_lease = 365LL * 24 * 3600;
  static constexpr std::int64_t default_lease = 24LL * 3600;

  explicit InUse(const RegistryContext& context) : context_(context) {}

  // Replaces the cluster's report, all or nothing. Tags are looked up at the moment of the commit. A report
  // like the one before writes only its time, and no event. parameter_invalid: a limit is passed; or the
  // report would end all of the cluster's protection without `allow_empty`.
  Task<Result<TakenInUseReport>> report(NewInUseReport) const;

  // The cluster is no more: the one way to end protection besides reporting without. not_found.
  Task<Result<void>> remove(ClusterName, std::string reason, audit::Actor) const;

  Result<std::vector<catalog::InUseReport>> reports() const;
  // With the manifests after (repository, digest), at most `limit`. not_found.
  Task<Result<InUseDetails>> find(ClusterName, std::string repository, std::string digest,
                                  std::int64_t limit) const;
  // Zeros when the catalog cannot be read.
  InUseSummary summary() const;

 private:
  RegistryContext context_;
};

}  // namespace stele
