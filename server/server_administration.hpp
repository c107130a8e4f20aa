#pragma once
// What administration asks of the server as a whole: copies of the catalog, the sweep, how it stands.

#include <string>

#include "api/admin/admin_handler.hpp"
#include "base/thread_pool.hpp"
#include "server/backups.hpp"
#include "server/data_directory.hpp"
#include "server/jobs.hpp"
#include "server/restored_catalog.hpp"
#include "storage/store_latch.hpp"

namespace stele {

// Thread-safe.
class ServerAdministration final : public api::Administration {
 public:
  // All of it outlives this.
  struct Context {
    const std::string& version;
    const DataDirectory& directory;
    const RegistryContext& registry;
    Uploads& uploads;
    Backups& backups;
    RestoredCatalog& restored_catalog;
    const StoreLatch& latch;
    const Jobs& jobs;
  };
  explicit ServerAdministration(const Context& context)
      : context_(context), started_(context.registry.clock.now()) {}

  Task<Result<http::FileSlice>> copy_catalog() override;
  Task<Result<gc::SweepReport>> sweep(gc::SweepLimits limits) override;
  Result<UniqueFd> scratch_file() override;
  api::ServerStatus status() const override { return {context_.version, started_, context_.latch.check()}; }
  std::vector<JobStatus> jobs() const override { return context_.jobs.status(); }

 private:
  const Context context_;
  const Timestamp started_;
  ThreadPool copies_{"stele-copies",
                     1};  // of the catalog: minutes, which nobody waits for on the catalog's pool
};

}  // namespace stele
