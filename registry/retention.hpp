#pragma once
// What people do about locks and holds: set and release a legal hold, extend or release a lock. What they
// protect: protection.hpp.

#include <optional>
#include <string>
#include <vector>

#include "audit/event_log.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "registry/context.hpp"
#include "storage/catalog/protection.hpp"

namespace stele {

struct NewHold {
  std::string name;  // of the hold, as people speak of it
  std::string case_number;
  std::string reason;
  RepositoryName repository;
  std::optional<Reference> reference;  // absent: the whole repository
  audit::Actor actor;
};

// A lock is named by the tag that stamped it; the digest tells which, should the tag have moved since.
struct LockName {
  RepositoryName repository;
  Tag tag;
  std::optional<Digest> digest;  // absent: what the tag points to
};

// Thread-safe. Calls that return a Task continue on the caller's executor.
class Retention {
 public:
  explicit Retention(const RegistryContext& context) : context_(context) {}

  // A hold on a tag holds the tag and what it points to now. The hold's id. name_unknown, manifest_unknown.
  Task<Result<catalog::HoldRow>> set_hold(NewHold) const;
  // not_found; parameter_invalid when it is released already.
  Task<Result<catalog::HoldRow>> release_hold(std::int64_t id, std::string reason, audit::Actor) const;
  Result<std::vector<catalog::HoldRow>> holds(std::int64_t after, bool released, std::int64_t limit) const;

  Result<std::vector<catalog::LockRow>> locks(const RepositoryName&, const std::string& after_digest,
                                              const std::string& after_tag, std::int64_t limit) const;
  // Only ever to a later time, and at most 100 years of 365 days from now: parameter_invalid otherwise.
  // not_found.
  Task<Result<catalog::LockRow>> extend_lock(LockName, Timestamp until, audit::Actor) const;
  // Before its time, with a reason: governance only; refused_by_policy for compliance. not_found.
  Task<Result<void>> release_lock(LockName, std::string reason, audit::Actor) const;

  // The machine's time is right after a jump that was found at start.
  Task<Result<void>> confirm_clock(audit::Actor) const;
  // Writes the release time down; for housekeeping.
  Task<Result<void>> store_clock() const;

 private:
  Result<catalog::LockRow> find_lock(sql::Session&, const LockName&) const;
  RegistryContext context_;
};

}  // namespace stele
