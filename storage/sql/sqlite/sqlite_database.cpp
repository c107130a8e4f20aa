#include "storage/sql/sqlite/sqlite_database.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/durable_file.hpp"
#include "base/unique_fd.hpp"
#include "storage/sql/sqlite/sqlite_copy.hpp"
#include "storage/sql/sqlite/sqlite_sessions.hpp"

namespace stele::sql {
namespace {

class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(const std::string& path, const SqliteOptions& options)
      : path_(path),
        vfs_(options.vfs),
        writer_(path, options, commits_),
        readers_(std::make_shared<ReaderPool>(path, options.vfs)) {}

  void renew_kept_snapshot() noexcept override {
    if (SqliteReader* reader = readers_->existing()) reader->renew_kept();
  }
  void release_kept_snapshot() noexcept override {
    if (SqliteReader* reader = readers_->existing()) reader->release_kept();
  }
  void committed() noexcept override { commits_.fetch_add(1, std::memory_order_acq_rel); }
  WriteConnection& writer() override { return writer_; }
  using Database::copy_to;
  Result<void> copy_to(const std::string& path, const std::stop_token& stop) override {
    return copy_sqlite(path_, path, vfs_, stop);
  }

  std::uint64_t size_bytes() const override {
    std::uint64_t size = 0;
    for (const char* suffix : {"", "-wal"}) {
      struct stat info{};
      if (::stat((path_ + suffix).c_str(), &info) == 0) size += static_cast<std::uint64_t>(info.st_size);
    }
    return size;
  }

 protected:
  Session& begin_read() override {
    // The count first: the snapshot is then at least as new as it says.
    const std::uint64_t count = commits_.load(std::memory_order_acquire);
    SqliteReader& reader = readers_->of_this_thread();
    reader.begin_read(count);
    return reader;
  }
  void end_read() noexcept override { readers_->existing()->end_read(); }

 private:
  const std::string path_;
  const std::string vfs_;
  CommitCounter commits_{0};
  SqliteWriter writer_;                  // closed last: its close folds the log
  std::shared_ptr<ReaderPool> readers_;  // threads hold it weakly
};

Error unusable(const std::string& path, const std::string& what) {
  const Errc code = errno == ENOSPC || errno == EDQUOT ? Errc::no_space : Errc::io;
  return Error(code, what + " " + path + " failed: " + std::strerror(errno));
}

// With the mode that it keeps, whatever the umask; the log and its index take theirs from it. The directory
// entry is durable.
Result<void> create_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) {
    if (errno == EEXIST) return {};
    return unusable(path, "creating the catalog");
  }
  if (::fchmod(file.get(), 0600) != 0) return unusable(path, "creating the catalog");
  return sync_directory_of(path);
}

Error damaged(const std::string& path, const std::string& reason) {
  return Error(Errc::corrupt,
               "the catalog " + path + " is damaged: " + reason +
                   ". Nothing was changed. To go on: with `stele serve` stopped, move " + path + ", " + path +
                   "-wal and " + path +
                   "-shm aside (keep them), copy the newest snapshot from the data directory's backups/ to " +
                   path +
                   ", and start again. What was pushed after that snapshot is missing from it and has to be "
                   "pushed again");
}

// Reads the header and the schema. SQLite itself does not notice when less than a page is missing.
void check_whole(WriteConnection& connection, const std::string& path) {
  connection.tables();
  const auto number = [&](std::string_view pragma) {
    auto row = connection.query(pragma);
    return row.next() ? row.integer(0) : 0;
  };
  const std::int64_t expected = number("PRAGMA page_count") * number("PRAGMA page_size");
  struct stat info{};
  struct stat log{};
  if (::stat((path + "-wal").c_str(), &log) == 0 && log.st_size > 0) return;  // the rest may be in the log
  if (::stat(path.c_str(), &info) == 0 && info.st_size < expected) {
    throw Failure(Failure::Kind::corrupt, "the file has " + std::to_string(info.st_size) +
                                              " bytes, its header says " + std::to_string(expected));
  }
}

}  // namespace

Result<std::unique_ptr<Database>> open_sqlite(const std::string& path, const SqliteOptions& options) {
  if (auto created = create_file(path); !created) return created.error();
  try {
    auto database = std::make_unique<SqliteDatabase>(path, options);
    check_whole(database->writer(), path);
    return std::unique_ptr<Database>(std::move(database));
  } catch (const Failure& failure) {
    if (failure.kind() == Failure::Kind::corrupt) return damaged(path, failure.what());
    return failure.to_error();
  }
}

}  // namespace stele::sql
