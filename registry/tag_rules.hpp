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
#include "registry/context.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {

// What forward-only compares, by manifest, as far as it was read before the transaction. One thread at a
// time.
class Orderings {
 public:
  // Absent: not read, and from now on in unread().
  std::optional<policy::Ordering> find(const Digest& manifest) {
    const auto found = known_.find(manifest.str());
    if (found != known_.end()) return found->second;
    unread_.push_back(manifest);
    return std::nullopt;
  }

  // Asked for in vain: whatever was decided meanwhile is to be decided again.
  const std::vector<Digest>& unread() const { return unread_; }
  void forget_unread() { unread_.clear(); }

  void put(const Digest& manifest, policy::Ordering ordering) {
    known_.insert_or_assign(manifest.str(), std::move(ordering));
  }

 private:
  std::map<std::string, policy::Ordering> known_;
  std::vector<Digest> unread_;
};

// Why a tag is bound, for its record.
struct Cause {
  std::string_view action = "tag.set";  // of the event: also "tag.rollback", "tag.retag", "tag.promote",
                                        // "tag.approve", "tag.restore"
  std::string_view reason = {};         // that was given, or where the manifest came from
  bool backwards = false;               // a rollback, a restore: forward-only lets it pass
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
  TagRules(sql::Tx& tx, const RegistryContext& context, catalog::RepositoryId id,
           const RepositoryName& repository, const audit::Actor& actor, Orderings& orderings)
      : tx_(tx),
        policy_(context.policy.deciding()),
        id_(id),
        repository_(repository),
        actor_(actor),
        now_(context.clock.now()),
        release_time_(context.release_clock.now()),
        deletion_(context.deletion),
        orderings_(orderings) {}

  // Binds or moves; nothing happens when the tag points there already. refused_by_policy, with the refusal's
  // record made; unavailable when orderings have to be read before it can be decided.
  Result<void> bind(const Tag&, catalog::ManifestId, const Digest&, const Cause& = {});

  // All of these tags to one manifest, full versions first: they tell forward-only which version it is.
  Result<void> bind_all(const std::vector<Tag>& tags, catalog::ManifestId, const Digest&, const Cause& = {});

  // Removes the tag if its rule, its locks and holds let it; under a rule the name stays bound. Errors as for
  // bind().
  Result<void> remove(const Tag&, const catalog::TagBinding&);

  // Removes the tag whatever its rule says, if its locks and holds let it, and leaves the name free; the
  // rule's name. The reason goes into its record. Errors as for bind().
  Result<std::string> release(const Tag&, const catalog::TagBinding&, std::string_view reason);

  // The same for lifecycle: the tag's rule is asked for `lifecycle`, not for `delete`. Errors as for bind().
  Result<void> remove_expired(const Tag&, const catalog::TagBinding&, const Expiry&);

 private:
  struct Target;
  Result<std::optional<Target>> target(const Tag&, const std::optional<catalog::TagBinding>&,
                                       const policy::Match&);
  // What policy::decide() says, with the facts that it needs: the refusal, or why they cannot be had (I8).
  std::optional<Error> decide(const policy::Move&, const Target&, catalog::ManifestId offered);
  Result<policy::Facts> find_out(policy::Fact, const Digest&, catalog::ManifestId);
  // Absent: it is still to be read.
  std::optional<policy::Ordering> ordering_of(const Digest&, catalog::ManifestId);
  Error record(Error refusal, const Tag&, const std::optional<Digest>& existing,
               const std::optional<Digest>& offered);
  // How a tag goes, for its record.
  struct Departure {
    std::string_view action;
    std::string_view rule;
    std::string_view reason;
    bool frees_name = false;
  };
  // Locks and holds are asked, the rule has been.
  Result<void> take_away(const Tag&, const catalog::TagBinding&, const policy::Match&, const Departure&);
  // The rule's lock, on what the tag points to from now on.
  void stamp(const Tag&, const Digest&, const policy::TagRule&);

  sql::Tx& tx_;
  const std::shared_ptr<const policy::Policy> policy_;
  const catalog::RepositoryId id_;
  const RepositoryName& repository_;
  const audit::Actor& actor_;
  const Timestamp now_;
  const Timestamp release_time_;
  const bool deletion_;
  Orderings& orderings_;
};

// Registers the record of a refusal, to be written when the closure has been rolled back (I4).
void record_refusal(sql::Tx&, std::string action, const RepositoryName&, std::string tag,
                    const std::optional<Digest>& existing, const std::optional<Digest>& offered, const Error&,
                    const audit::Actor&, Timestamp now);

}  // namespace stele
