#include "storage/sql/sqlite/sqlite_error.hpp"

#include <sqlite3.h>

#include <cerrno>

namespace stele::sql {
namespace {

Failure::Kind kind_of(int code, int system_errno) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return Failure::Kind::full;
    case SQLITE_IOERR:
      if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) return Failure::Kind::sync;
      [[fallthrough]];
    case SQLITE_CANTOPEN:
      // SQLite itself reports SQLITE_FULL only for ENOSPC in write(); quotas and the shared-memory file come
      // this way.
      return system_errno == ENOSPC || system_errno == EDQUOT ? Failure::Kind::full : Failure::Kind::io;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Failure::Kind::io;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Failure::Kind::corrupt;
    case SQLITE_CONSTRAINT:
      return Failure::Kind::constraint;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return Failure::Kind::retry;
    default:
      return Failure::Kind::other;
  }
}

}  // namespace

Failure sqlite_failure(sqlite3* db, int code, std::string_view doing) {
  // SQLite 3.40 forgets the system's error when a COMMIT fails; errno still has it, since calls that succeed
  // leave it alone.
  const int last_errno = errno;
  const int extended = db ? sqlite3_extended_errcode(db) : code;
  // The connection's own code is more exact, when it is about the same error.
  if ((extended & 0xff) == (code & 0xff)) code = extended;
  const int system_errno = last_errno != 0 || !db ? last_errno : sqlite3_system_errno(db);
  std::string message(doing);
  message += ": ";
  message += db && (extended & 0xff) == (code & 0xff) ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  message += " (SQLite " + std::to_string(code);
  if (((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN) && system_errno != 0) {
    message += ", errno " + std::to_string(system_errno);
  }
  message += ')';
  return Failure(kind_of(code, system_errno), message);
}

}  // namespace stele::sql
