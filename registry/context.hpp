#pragma once
// What everything in registry/ works with; put together by server/ and by test fixtures.

#include <atomic>
#include <cstdint>

#include "base/clock.hpp"
#include "base/keyed_mutex.hpp"
#include "base/thread_pool.hpp"
#include "policy/live.hpp"
#include "registry/leases.hpp"
#include "registry/pull_times.hpp"
#include "registry/quarantine.hpp"
#include "registry/reference_rules.hpp"
#include "registry/release_clock.hpp"
#include "storage/blob_store.hpp"
#include "storage/sql/writer.hpp"

namespace stele {

// All of it outlives whoever holds these references.
struct RegistryContext {
  BlobStore& blobs;
  sql::Database& database;
  sql::Writer& writer;
  ThreadPool& disk;  // file work
  ThreadPool& bulk;  // hashing and copying megabytes: nicer than whoever answers
  ThreadPool& db;    // reads of the catalog that are too long for an I/O thread
  const Clock& clock;
  Leases& leases;
  const ReferenceRules& references;
  KeyedMutex& digest_locks;  // rename+row and unlink+row of one digest, one at a time
  policy::LivePolicy& policy;
  ReleaseClock& release_clock;
  PullTimes& pulls;
  Quarantine& quarantine;
  std::atomic<std::uint64_t>& quota_refusals;  // counted for /metrics
  bool deletion = true;  // whether clients may delete at all (`delete` of the configuration)
};

}  // namespace stele
