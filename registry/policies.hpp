#pragma once
// The policy in force and the ones before it, and what it says of a tag with what the catalog knows of it.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "audit/event_log.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "policy/decide.hpp"
#include "policy/rules.hpp"
#include "registry/context.hpp"
#include "storage/catalog/departures.hpp"
#include "storage/catalog/protection.hpp"

namespace stele {

struct TagExplanation {
  std::shared_ptr<const policy::Policy> policy;
  policy::Match match;                     // in `policy`
  std::optional<Timestamp> loaded;         // when the policy came into force
  std::optional<policy::Binding> binding;  // what the tag points to, or stays bound to after its deletion
  std::optional<catalog::LockRow> lock;    // that keeps the tag where it is
  std::optional<catalog::TagRemoval> released;  // when the name was last freed from what a rule kept it for
};

// Thread-safe.
class Policies {
 public:
  explicit Policies(const RegistryContext& context) : context_(context) {}

  // Puts the policy in force, between two writes. Its text and hash are kept, with who loaded it. When that
  // cannot be written, the old policy stays. Then the names that it decides no longer as they were bound are
  // released, each with its record, some hundreds in one write; one that somebody asks for before its turn,
  // or that could not be released, is released then (TagRules), or when the policy is adopted again.
  // Continues on the caller's executor.
  Task<Result<void>> adopt(std::shared_ptr<const policy::Policy>, audit::Actor) const;

  std::shared_ptr<const policy::Policy> current() const { return context_.policy.current(); }
  // Every version that was ever put in force, newest first, at most `limit`.
  Result<std::vector<catalog::PolicyVersion>> versions(std::int64_t limit) const;

  // Also for a repository or a tag that is not there.
  Result<TagExplanation> explain(const RepositoryName&, const Tag&) const;

 private:
  // What stays bound for a failure is looked at again by whoever asks for the name.
  Task<void> release_names(const policy::Policy&, const audit::Actor&) const;
  void free_name(sql::Tx&, const policy::Policy&, const catalog::RemovedNameKey&, const audit::Actor&) const;

  RegistryContext context_;
};

}  // namespace stele
