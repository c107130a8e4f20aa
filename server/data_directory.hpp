#pragma once
// The directory that one server owns: created, checked and locked before anything in it is opened.

#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace stele {

// Holds the lock on `DIR/lock` for as long as it lives.
class DataDirectory {
 public:
  // Creates an absent directory (or uses an empty one) unless `require_existing`. Refused, each with what to
  // do: a directory with files that are not Stele's, one whose catalog is missing although blobs are there,
  // one that another server holds.
  static Result<DataDirectory> open(const std::string& path, bool require_existing);

  const std::string& path() const { return path_; }
  std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  DataDirectory(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  UniqueFd lock_;
};

}  // namespace stele
