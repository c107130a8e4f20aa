#pragma once
// The htpasswd file of a running server: read at start, and again as soon as it is another one (also through
// a symbolic link that is pointed elsewhere, as Kubernetes does). A file that cannot be used leaves the users
// of the old one in force.

#include <memory>
#include <mutex>
#include <string>

#include "auth/htpasswd.hpp"
#include "base/watched_file.hpp"

namespace stele::auth {

// Thread-safe after load_first().
class HtpasswdFile {
 public:
  explicit HtpasswdFile(std::string path) : path_(std::move(path)) {}

  // unavailable, or parameter_invalid naming the file and the line.
  Result<void> load_first();

  // Whether the file is another one than was read last. One stat(2): cheap enough for each request.
  bool is_other() const;

  // Reads the file again if it is another one. What is wrong with the file as it stands, if something is;
  // otherwise whether other users hold now. Blocks.
  Result<bool> renew();

  // The users in force. Another pointer: another file.
  std::shared_ptr<const Htpasswd> users() const;
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  std::mutex reading_;        // one reader at a time
  mutable std::mutex mutex_;  // of the rest
  FileSignature seen_;        // of the file that was read last
  std::string text_;          // in force
  std::shared_ptr<const Htpasswd> users_;
  Result<void> standing_;  // what came of the last time that the file was read
};

}  // namespace stele::auth
