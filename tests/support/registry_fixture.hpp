#pragma once
// A registry over a real catalog and a real store in a directory of its own, with a clock that the test sets.

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "registry/uploads.hpp"
#include "storage/catalog/schema.hpp"
#include "storage/fs/fs_blob_store.hpp"
#include "storage/sql/sqlite/sqlite_database.hpp"
#include "tests/support/catch.hpp"

namespace stele {

class SettableClock final : public Clock {
 public:
  Timestamp now() const override { return {at_.load()}; }
  void advance(std::int64_t seconds) { at_ += seconds * 1'000'000; }

 private:
  std::atomic<std::int64_t> at_{1'800'000'000'000'000};
};

// A request body that is at hand, perhaps breaking off, perhaps of unknown length.
class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string text, bool announced = true, bool breaks = false)
      : text_(std::move(text)), announced_(announced), breaks_(breaks) {}
  Task<Result<std::size_t>> read_full(ByteSpan out) override {
    const std::size_t got = std::min(out.size(), text_.size() - at_);
    std::memcpy(out.data(), text_.data() + at_, got);
    at_ += got;
    if (breaks_ && got == 0) co_return Error(Errc::body_incomplete, "the client left");
    co_return got;
  }
  std::optional<std::uint64_t> length() const override {
    if (!announced_) return std::nullopt;
    return text_.size() + (breaks_ ? 1'000'000 : 0);
  }

 private:
  const std::string text_;
  const bool announced_;
  const bool breaks_;
  std::size_t at_ = 0;
};

// A directory in memory where that is possible, gone with its object.
class TestDirectory {
 public:
  TestDirectory() {
    std::string pattern =
        (::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + std::string("/stele-registry-XXXXXX");
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  std::string path;
};

// Where a registry lives, if not in a directory of its own, and through what it reaches its files.
struct RegistryPlace {
  std::string path = {};
  fs::FileLayer* layer = &fs::FileLayer::system();
  sql::SqliteOptions database = {};
  std::int64_t lease_seconds = Leases::default_seconds;
};

class RegistryFixture {
 public:
  explicit RegistryFixture(ReferenceMode mode = ReferenceMode::strict, UploadsSettings settings = {},
                           const RegistryPlace& place = {})
      : place_(place), settings_(settings), references_(ReferenceRules::compile({{{"**"}, mode}}).value()) {
    if (place_.path.empty()) place_.path = own_directory_.emplace().path;
    path = place_.path;
    leases_.emplace(clock, place_.lease_seconds);
    open();
  }
  ~RegistryFixture() { close(); }

  // As after a stop, or a crash: nothing is written down before.
  void restart() {
    close();
    open();
  }

  // As after a crash and for longer: nobody knows any more who looked at what.
  void restart_without_leases() {
    close();
    leases_.emplace(clock, place_.lease_seconds);
    open();
  }

  RegistryContext context() {
    return {*blobs,      *database,    *writer, disk,          bulk,   db,          clock,         *leases_,
            references_, digest_locks, policy,  release_clock, *pulls, *quarantine, quota_refusals};
  }

  // A blob pushed whole; its digest.
  Digest push_blob(const std::string& repository, const std::string& content) {
    const auto name = RepositoryName::parse(repository).value();
    const Digest digest = Digest::of(DigestAlgorithm::sha256, content);
    const auto id = uploads->start(name, actor, DigestAlgorithm::sha256).value();
    TextSource source(content);
    const auto finished = sync_wait(uploads->finish(name, id, source, std::nullopt, digest, actor));
    INFO((finished ? std::string() : finished.error().message()));
    REQUIRE(finished.has_value());
    return digest;
  }

  std::int64_t count(const std::string& table) {
    return database
        ->read([&](sql::Session& session) -> Result<std::int64_t> {
          auto rows = session.query("SELECT count(*) FROM " + table);
          rows.next();
          return rows.integer(0);
        })
        .value();
  }

  std::size_t files(const std::string& below) {
    std::size_t found = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path + "/" + below))
      found += entry.is_regular_file();
    return found;
  }

  std::string path;
  SettableClock clock;
  StoreLatch latch;
  ThreadPool disk{"disk", 4};
  ThreadPool bulk{"bulk", 4};
  ThreadPool db{"db", 2};
  KeyedMutex digest_locks;
  std::atomic<std::uint64_t> quota_refusals{0};
  policy::LivePolicy policy{policy::Policy::built_in()};
  SettableClock boot;
  ReleaseClock release_clock{clock, boot};
  std::unique_ptr<sql::Database> database;
  std::unique_ptr<BlobStore> blobs;
  std::unique_ptr<sql::Writer> writer;
  std::unique_ptr<PullTimes> pulls;  // in memory, and nothing flushes it by itself
  std::unique_ptr<Quarantine> quarantine;
  std::unique_ptr<Registry> registry;
  std::unique_ptr<Uploads> uploads;
  const audit::Actor actor{Principal("tester"), "request-1"};

 private:
  void open() {
    auto opened_database = sql::open_sqlite(path + "/stele.db", place_.database);
    REQUIRE(opened_database.has_value());
    database = std::move(*opened_database);
    REQUIRE(catalog::migrate(*database).has_value());
    auto opened_blobs = fs::open_blob_store(path, latch, *place_.layer);
    REQUIRE(opened_blobs.has_value());
    blobs = std::move(*opened_blobs);
    writer = std::make_unique<sql::Writer>(*database, latch);
    auto opened_pulls = PullTimes::open({{}, PullTable::block_words, {}}, *database, *writer, clock);
    REQUIRE(opened_pulls.has_value());
    pulls = std::move(*opened_pulls);
    quarantine = std::make_unique<Quarantine>();
    REQUIRE(quarantine->load(*database).has_value());
    registry = std::make_unique<Registry>(context());
    uploads = std::make_unique<Uploads>(context(), settings_);
  }
  void close() {
    uploads.reset();
    registry.reset();
    pulls.reset();
    writer.reset();
    blobs.reset();
    database.reset();
  }
  std::optional<TestDirectory> own_directory_;
  std::optional<Leases> leases_;
  RegistryPlace place_;
  const UploadsSettings settings_;
  const ReferenceRules references_;
};

}  // namespace stele
