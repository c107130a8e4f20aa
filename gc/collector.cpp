#include "gc/collector.hpp"

#include <algorithm>
#include <set>

#include "audit/event_log.hpp"
#include "registry/protection.hpp"
#include "storage/catalog/trash.hpp"

namespace stele::gc {
namespace {

const audit::Actor collector{Principal::system(), "gc"};

}  // namespace

Collected& Collected::operator+=(const Collected& other) {
  reviews += other.reviews;
  links_removed += other.links_removed;
  blobs_removed += other.blobs_removed;
  bytes_freed += other.bytes_freed;
  postponed += other.postponed;
  failed += other.failed;
  return *this;
}

Task<Result<Collected>> Collector::step() {
  if (context_.leases.settling()) co_return Collected();
  const Timestamp now = context_.clock.now();
  auto due = context_.database.read([&](sql::Session& session) -> Result<std::vector<catalog::Review>> {
    return catalog::due_reviews(session, now, settings_.batch);
  });
  if (!due) co_return due.error();
  if (due->empty()) co_return Collected();

  std::set<std::string> digests;  // in order: two who take several locks never wait for each other
  for (const catalog::Review& item : *due) digests.insert(item.digest.str());
  std::vector<KeyedMutex::Guard> guards;
  guards.reserve(digests.size());
  sql::Keys keys;
  for (const std::string& digest : digests) {
    guards.push_back(co_await context_.digest_locks.lock(digest));
    keys.push_back("digest:" + digest);
  }

  std::vector<Doomed> doomed;
  Result<Collected> outcome;
  {
    Leases::Removal removal(context_.leases);  // until the commit: from then on the rows say it
    auto pending = context_.writer.write(std::move(keys), [&](sql::Tx& tx) {
      removal.clear();
      doomed.clear();
      return review_all(tx, *due, removal, doomed);
    });
    outcome = co_await pending;
  }
  if (!outcome || doomed.empty()) co_return outcome;
  const Result<void> removed = co_await remove_files(doomed, *outcome);
  if (!removed) co_return removed.error();
  co_return outcome;
}

Result<Collected> Collector::review_all(sql::Tx& tx, const std::vector<catalog::Review>& due,
                                        Leases::Removal& removal, std::vector<Doomed>& doomed) const {
  Collected collected;
  for (const catalog::Review& item : due) {
    // Queued anew since it was read: its time has not come.
    if (!catalog::review_stands(tx, item)) continue;
    ++collected.reviews;
    if (auto reviewed = review(tx, item, removal, collected, doomed); !reviewed) return reviewed.error();
  }
  return collected;
}

Result<void> Collector::review(sql::Tx& tx, const catalog::Review& item, Leases::Removal& removal,
                               Collected& collected, std::vector<Doomed>& doomed) const {
  const Timestamp now = context_.clock.now();
  const auto postpone = [&](std::int64_t microseconds) {
    catalog::postpone_review(tx, item, now + microseconds);
    ++collected.postponed;
  };
  const auto link = item.repository ? catalog::find_link(tx, *item.repository, item.blob) : std::nullopt;
  if (link) {
    if (catalog::manifest_needing_blob(tx, *item.repository, item.digest) ||
        catalog::trash_needing_blob(tx, *item.repository, item.digest)) {
      catalog::end_review(tx, item);  // queued again by whatever removes that manifest, or erases it
      return {};
    }
    const auto name = catalog::repository_name(tx, *item.repository);
    const auto repository = RepositoryName::parse(name.value_or(""));
    if (!repository) return repository.error();
    const Protection protection(tx, *item.repository, *repository, context_.release_clock.now());
    const bool young = link->linked_at + context_.leases.microseconds() > now;
    if (young || protection.of_content(item.digest) || !removal.mark(*repository, item.digest)) {
      postpone(context_.leases.microseconds());
      return {};
    }
    catalog::unlink_blob(tx, *item.repository, item.digest);
    audit::append(tx, audit::Event{"blob.unlink", repository->str(), {}, item.digest, std::nullopt},
                  collector, now);
    ++collected.links_removed;
  }
  const auto state = catalog::blob_state(tx, item.blob);
  // One blob can be in a batch through several repositories.
  const bool taken = std::any_of(doomed.begin(), doomed.end(),
                                 [&](const Doomed& other) { return other.digest == item.digest; });
  if (!state || taken || catalog::any_link(tx, item.blob)) {
    catalog::end_review(tx, item);
    return {};
  }
  if (*state == catalog::BlobState::live) {
    // Nobody finds it any more: every way to it was a link.
    if (context_.leases.leased(item.digest)) {
      postpone(context_.leases.microseconds());
      return {};
    }
    catalog::begin_blob_removal(tx, item.blob);
    audit::append(tx, audit::Event{"blob.collect", {}, {}, item.digest, std::nullopt}, collector, now);
  }
  // It stays queued until its row is gone: whoever finds it in deleting goes on from here.
  catalog::postpone_review(tx, item, now + settings_.retry_seconds * 1'000'000);
  doomed.push_back({item.digest, item.size});
  return {};
}

Task<Result<void>> Collector::remove_files(const std::vector<Doomed>& doomed, Collected& collected) {
  auto removing = context_.disk.start([&] {
    std::vector<Doomed> gone;
    for (const Doomed& blob : doomed) {
      if (context_.blobs.remove(blob.digest)) gone.push_back(blob);
    }
    return gone;
  });
  const std::vector<Doomed> gone = co_await removing;
  auto pending = context_.writer.write({}, [&](sql::Tx& tx) -> Result<void> {
    for (const Doomed& blob : gone) {
      const auto row = catalog::find_blob(tx, blob.digest);
      if (row && row->state == catalog::BlobState::deleting) catalog::remove_blob(tx, blob.digest);
    }
    return {};
  });
  const Result<void> written = co_await pending;
  if (!written) co_return written;
  collected.failed += doomed.size() - gone.size();
  collected.blobs_removed += gone.size();
  for (const Doomed& blob : gone) {
    collected.bytes_freed += blob.size;
    context_.quarantine.remove(blob.digest);  // its row went with the blob's
  }
  co_return Result<void>();
}

}  // namespace stele::gc
