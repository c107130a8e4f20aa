#include "gc/sweep.hpp"

#include <algorithm>

namespace stele::gc {
namespace {

constexpr std::size_t most_foreign = 100;
constexpr std::size_t most_orphans = 20;

struct Candidates {
  std::vector<BlobStore::UploadFile> uploads;
  std::vector<BlobStore::BlobFile> blobs;
};

Task<Result<bool>> remove_if_orphan(RegistryContext& context, const Digest& digest, bool report_only) {
  const auto guard = co_await context.digest_locks.lock(digest.str());
  auto pending = context.disk.start([&]() -> Result<bool> {
    const auto row = context.database.read([&](sql::Session& session) -> Result<bool> {
      return catalog::find_blob(session, digest).has_value();
    });
    if (!row) return row.error();
    if (*row) return false;
    const auto file = context.blobs.open(digest);
    if (!file && file.error().code() == Errc::blob_unknown) return false;  // collected since it was listed
    if (report_only) return true;
    auto removed = context.blobs.remove(digest);
    if (!removed) return removed.error();
    return true;
  });
  co_return co_await pending;
}

}  // namespace

Task<Result<SweepReport>> sweep(RegistryContext context, Uploads& uploads, SweepLimits limits) {
  SweepReport report;
  // By the clock that nobody can set forward: a file does not become old because the machine's time jumped.
  const Timestamp now = std::min(context.clock.now(), context.release_clock.now());
  const Timestamp limit = now + -limits.grace_seconds * 1'000'000;
  const auto foreign = [&](const std::string& path) {
    if (report.foreign.size() < most_foreign) report.foreign.push_back(path);
  };
  const auto orphan = [&](std::string path) {
    if (report.orphans.size() < most_orphans) report.orphans.push_back(std::move(path));
  };

  Candidates candidates;
  std::uint64_t blob_files = 0;
  auto listing = context.disk.start([&]() -> Result<void> {
    auto listed = context.blobs.list_uploads(
        [&](const BlobStore::UploadFile& file) {
          if (!limits.stop.stop_requested() && file.modified <= limit && !uploads.known(file.id))
            candidates.uploads.push_back(file);
        },
        foreign);
    if (!listed) return listed;
    // Only files without a row are kept in memory, so that the pass costs memory for debris alone.
    return context.blobs.list_blobs(
        [&](const BlobStore::BlobFile& file) {
          ++blob_files;
          if (file.modified > limit || limits.stop.stop_requested()) return;
          const auto row = context.database.read([&](sql::Session& session) -> Result<bool> {
            return catalog::find_blob(session, file.digest).has_value();
          });
          if (row && !*row) candidates.blobs.push_back(file);
        },
        foreign);
  });
  const Result<void> listed = co_await listing;
  if (!listed) co_return listed.error();

  for (const auto& file : candidates.uploads) {
    if (limits.stop.stop_requested()) co_return report;
    // A session that began since is known by now: ids are never used twice.
    if (uploads.known(file.id)) continue;
    auto removing = context.disk.start([&]() -> Result<void> {
      if (limits.report_only) return {};
      return context.blobs.discard(file.id);
    });
    const auto removed = co_await removing;
    orphan("uploads/" + file.id.str());
    if (removed) {
      ++report.uploads_removed;
      report.bytes_removed += file.size;
    } else {
      ++report.failed;
    }
  }
  const bool many = candidates.blobs.size() > std::max(limits.plausible_orphans, blob_files / 10);
  if ((many || limits.older_catalog) && !limits.remove_many) {
    report.withheld = candidates.blobs.size();
    for (const auto& file : candidates.blobs) orphan(file.digest.str());
    co_return report;
  }
  for (const auto& file : candidates.blobs) {
    if (limits.stop.stop_requested()) co_return report;
    const auto removed = co_await remove_if_orphan(context, file.digest, limits.report_only);
    if (!removed || *removed) orphan(file.digest.str());
    if (!removed) {
      ++report.failed;
    } else if (*removed) {
      ++report.blobs_removed;
      report.bytes_removed += file.size;
    }
  }
  co_return report;
}

}  // namespace stele::gc
