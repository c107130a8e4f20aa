#include "storage/sql/sqlite/sqlite_copy.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/durable_file.hpp"
#include "base/unique_fd.hpp"
#include "storage/sql/sqlite/sqlite_connection.hpp"
#include "storage/sql/sqlite/sqlite_database.hpp"
#include "storage/sql/sqlite/sqlite_error.hpp"

namespace stele::sql {
namespace {

Error system_error(const std::string& doing) {
  const int reason = errno;
  const Errc code = reason == ENOSPC || reason == EDQUOT ? Errc::no_space : Errc::io;
  return Error(code, doing + " failed: " + std::strerror(reason));
}

// A copy has no log beside it; SQLite may open it as a file that nobody changes, also where it cannot write.
std::string immutable_uri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      char escaped[4];
      std::snprintf(escaped, sizeof escaped, "%%%02X", static_cast<unsigned>(c));
      uri += escaped;
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

// Thrown out of a copy.
struct Stopped {};

bool has_log(const std::string& path) {
  struct stat info{};
  return ::stat((path + "-wal").c_str(), &info) == 0 && info.st_size > 0;
}

// All pages of one snapshot of `from`, held by a transaction from before the first page to after the last.
void copy_pages(const std::string& from, const std::string& to, const std::string& vfs,
                const std::stop_token& stop) {
  SqliteConnection source(from, SQLITE_OPEN_READONLY, vfs);
  source.leave_log_on_close();
  source.run("PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-512; BEGIN");
  source.value_of("SELECT count(*) FROM sqlite_master");
  SqliteConnection copy(to, SQLITE_OPEN_READWRITE, vfs);
  copy.run("PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY; PRAGMA cache_size=-512");
  sqlite3_backup* backup = sqlite3_backup_init(copy.handle(), "main", source.handle(), "main");
  if (!backup) throw sqlite_failure(copy.handle(), sqlite3_errcode(copy.handle()), "starting the copy");
  int code = SQLITE_OK;
  for (int busy = 0; code == SQLITE_OK || ((code == SQLITE_BUSY || code == SQLITE_LOCKED) && busy < 100);) {
    errno = 0;
    code = stop.stop_requested() ? SQLITE_INTERRUPT : sqlite3_backup_step(backup, 1024);
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
      ++busy;
      sqlite3_sleep(50);
    }
  }
  const int finished = sqlite3_backup_finish(backup);
  if (stop.stop_requested()) throw Stopped();
  if (code != SQLITE_DONE) throw sqlite_failure(copy.handle(), code, "copying the catalog");
  if (finished != SQLITE_OK) throw sqlite_failure(copy.handle(), finished, "ending the copy");
}

// The header says "use with a log" (bytes 18 and 19, "File format version numbers"): a copy is one plain
// file.
bool mark_as_plain_file(int fd) {
  return ::pwrite(fd, "\x01\x01", 2, 18) == 2 && ::fsync(fd) == 0;
}

Result<void> verify(const std::string& path, const std::stop_token& stop);

Result<void> make_copy(const std::string& from, const std::string& to, const std::string& vfs,
                       const std::stop_token& stop) {
  const UniqueFd file(::open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file || ::fchmod(file.get(), 0600) != 0) return system_error("creating " + to);
  try {
    copy_pages(from, to, vfs, stop);
    if (!mark_as_plain_file(file.get())) return system_error("syncing " + to);
    return verify(to, stop);
  } catch (const Failure& failure) {
    return failure.to_error();
  } catch (const Stopped&) {
    return Error(Errc::unavailable, "the copy of the catalog was given up: the server is stopping");
  }
}

// Of SQLite's steps, between two looks at the token.
constexpr int steps_between_looks = 100'000;

Result<void> verify(const std::string& path, const std::stop_token& stop) {
  const auto damaged = [&](const std::string& what) {
    return Error(Errc::corrupt, path + " is not a sound catalog: " + what + "; do not restore from it");
  };
  try {
    const bool logged = has_log(path);
    SqliteConnection connection(logged ? path : immutable_uri(path),
                                SQLITE_OPEN_READONLY | (logged ? 0 : SQLITE_OPEN_URI), {});
    connection.leave_log_on_close();
    const auto asked = [](void* token) -> int {
      return static_cast<const std::stop_token*>(token)->stop_requested();
    };
    sqlite3_progress_handler(connection.handle(), steps_between_looks, asked,
                             const_cast<std::stop_token*>(&stop));  // SQLite's callback takes no const
    if (const auto found = connection.value_of("PRAGMA integrity_check(1)"); found != "ok")
      return damaged(found);
    if (const auto table = connection.value_of("PRAGMA foreign_key_check"); !table.empty()) {
      return damaged("a row of table " + table + " refers to one that is missing");
    }
    return {};
  } catch (const Failure& failure) {
    if (stop.stop_requested()) throw Stopped();
    if (failure.kind() == Failure::Kind::corrupt) return damaged(failure.what());
    return failure.to_error();
  }
}

}  // namespace

Result<void> copy_sqlite(const std::string& from, const std::string& to, const std::string& vfs,
                         const std::stop_token& stop) {
  struct stat info{};
  if (::lstat(to.c_str(), &info) == 0) {
    return Error(Errc::parameter_invalid,
                 to + " exists already; a backup does not overwrite, name another file");
  }
  const std::string unfinished = to + ".tmp";
  ::unlink(unfinished.c_str());  // of a copy that was interrupted
  auto made = make_copy(from, unfinished, vfs, stop);
  if (made && ::rename(unfinished.c_str(), to.c_str()) != 0) made = system_error("renaming " + unfinished);
  if (!made) {
    ::unlink(unfinished.c_str());
    return made.error();
  }
  return sync_directory_of(to);
}

Result<void> verify_sqlite(const std::string& path) {
  return verify(path, {});
}

}  // namespace stele::sql
