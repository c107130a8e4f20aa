#pragma once
// The policy file of a running server: read at start, again on SIGHUP and when it changes (also through a
// symbolic link that is pointed elsewhere, as Kubernetes does). A file that is not valid leaves the old
// policy in force and says so.

#include <mutex>
#include <string>

#include "base/result.hpp"
#include "base/watched_file.hpp"
#include "policy/live.hpp"
#include "registry/policies.hpp"

namespace stele {

// Thread-safe after load_first().
class PolicyFile {
 public:
  // `path` empty: the built-in rules hold. All of it outlives this.
  PolicyFile(std::string path, Policies& policies, policy::LivePolicy& live)
      : path_(std::move(path)), policies_(policies), live_(live) {}

  // parameter_invalid with every problem, one per line, when the file cannot be used.
  Result<void> load_first();

  // Looks whether the file is another one than was read last, and has stayed the same since the last look: a
  // file that is being written would be half a policy. Then, or when `asked`, reads it. Logs what comes of
  // it; the problem, as long as there is one. Called about once a second. A policy that cannot be written to
  // the catalog (a full or failing disk) is tried again after a minute, or when `asked`.
  Result<void> renew(bool asked);

 private:
  Result<std::shared_ptr<const policy::Policy>> read() const;
  Result<void> adopt(std::shared_ptr<const policy::Policy>);
  Result<void> use_changed(const FileSignature& now);
  // Whether the catalog may be asked to take a policy down again; counts the looks since it could not.
  bool may_record(bool asked);

  const std::string path_;
  Policies& policies_;
  policy::LivePolicy& live_;
  std::mutex mutex_;
  FileSignature seen_;       // of the file that was read last
  FileSignature looked_at_;  // when it was last looked at
  FileSignature waiting_;    // of a file whose policy the catalog could not take down
  int looks_to_wait_ = 0;    // before that is tried again
  bool recorded_ = false;    // the policy in force is in the catalog
  Result<void> standing_;    // what came of the last time that the file was read
};

}  // namespace stele
