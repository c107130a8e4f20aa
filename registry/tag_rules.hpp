#pragma once
// Internal to registry/: the one place where tags are set and removed, each under its rule, inside the write
// transaction. Whoever moves a tag (push, ?tag=, delete, retag, rollback, promote, lifecycle, restore)
// comes through here. A manifest that loses its last tag is noted with the time.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audit/event_log.hpp"
#include "base/reference.hpp"
#include "policy/decide.hpp"
#include "policy/rules.hpp"
#include "registry/parts.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {

// What forward-only compares, read before the transaction: by digest of the manifest.
using Orderings = std::map<std::string, policy::Ordering>;

// Which road a binding takes, for its record.
struct Road {
  std::string_view action =
      "tag.set";  // of the event: also "tag.rollback", "tag.retag", "tag.promote", "tag.restore"
  std::string_view reason = {};  // that was given, or where the manifest came from
  bool backwards = false;        // a rollback, a restore: forward-only lets it pass
};

// What lifecycle removes a tag by, for its record.
struct Expiry {
  std::int64_t run;         // lifecycle_runs.id
  std::string_view rule;    // of lifecycle_rules
  std::string_view reason;  // as in the plan
};

// One transaction's view. Lives inside a write closure.
class TagRules {
 public:
  TagRules(sql::Tx& tx, const RegistryParts& parts, catalog::RepositoryId id,
           const RepositoryName& repository, const audit::Actor& actor, const Orderings& orderings)
      : tx_(tx),
        policy_(parts.policy.deciding()),
        id_(id),
        repository_(repository),
        actor_(actor),
        now_(parts.clock.now()),
        release_time_(parts.release_clock.now()),
        orderings_(orderings) {}

  // Binds or moves; nothing happens when the tag points there already. refused_by_policy, with the refusal's
  // record made; unavailable, and missing() longer by what has to be read before it can be decided.
  Result<void> bind(const Tag&, catalog::ManifestId, const Digest&, const Road& road = {});

  // Removes the tag if its rule, its locks and holds let it; under a rule the name stays bound. Errors as for
  // bind().
  Result<void> remove(const Tag&, const catalog::TagBinding&);

  // The same for lifecycle: the tag's rule is asked for `lifecycle`, not for `delete`. Errors as for bind().
  Result<void> remove_expired(const Tag&, const catalog::TagBinding&, const Expiry&);

  // Manifests whose orderings are needed and were not read: a call has failed for them, and the transaction
  // is to be tried again with them.
  const std::vector<Digest>& missing() const { return missing_; }

 private:
  struct Target;
  Result<std::optional<Target>> target(const Tag&, const std::optional<catalog::TagBinding>&,
                                       const policy::Match&);
  std::optional<Error> decide(const policy::TagName&, const policy::Match&, const Target&,
                              catalog::ManifestId, const Digest& offered, const Road&);
  Error record(Error refusal, const Tag&, const std::optional<Digest>& existing,
               const std::optional<Digest>& offered, const policy::Match&);
  // How a tag goes, for its record.
  struct Departure {
    std::string_view action;
    std::string_view rule;
    std::string_view reason;
  };
  // Locks and holds are asked, the rule has been.
  Result<void> take_away(const Tag&, const catalog::TagBinding&, const policy::Match&, const Departure&);
  // The rule's lock, on what the tag points to from now on.
  void stamp(const Tag&, const Digest&, const policy::TagRule&);
  // Absent: not read; missing() says which.
  const policy::Ordering* ordering(const Digest&);

  sql::Tx& tx_;
  const std::shared_ptr<const policy::Policy> policy_;
  const catalog::RepositoryId id_;
  const RepositoryName& repository_;
  const audit::Actor& actor_;
  const Timestamp now_;
  const Timestamp release_time_;
  const Orderings& orderings_;
  std::vector<Digest> missing_;
};

// Registers the record of a refusal, to be written when the closure has been rolled back (I4).
void record_refusal(sql::Tx&, std::string action, const RepositoryName&, std::string tag,
                    const std::optional<Digest>& existing, const std::optional<Digest>& offered, const Error&,
                    const audit::Actor&, Timestamp now);

}  // namespace stele
