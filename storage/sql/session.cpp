#include "storage/sql/session.hpp"

namespace stele::sql {

Error Failure::to_error() const {
  const std::string reason = what();
  switch (kind_) {
    case Kind::full:
      return Error(
          Errc::no_space,
          "the catalog's disk has no room: " + reason +
              "; nothing was written. Free space on the file system of the data directory, then try again");
    case Kind::io:
      return Error(Errc::io, "the catalog cannot be read or written: " + reason);
    case Kind::sync:
      return Error(Errc::read_only,
                   "the catalog could not be synced to its disk: " + reason +
                       "; the store is read-only until the disk was checked and stele restarted");
    case Kind::corrupt:
      return Error(Errc::corrupt, "the catalog is damaged: " + reason);
    case Kind::retry:
      return Error(Errc::unavailable, "the catalog is busy: " + reason + "; try again");
    case Kind::constraint:
    case Kind::other:
      break;
  }
  return Error(Errc::internal, "the catalog refused a statement: " + reason);
}

}  // namespace stele::sql
