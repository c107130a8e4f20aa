#pragma once
// The rules of one policy, and which of them decides a tag. The first rule whose repositories and tags match
// decides; when none does, the default.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stele::policy {

class AccessRules;  // access_rules.hpp
class Lifecycle;    // lifecycle_rules.hpp
class Quotas;       // quotas.hpp

enum class Mutability { free, immutable, forward_only, append_only };  // free: "mutable" is a keyword
enum class ForwardBy { version, created };

// As policy.yaml writes them.
std::string_view to_string(Mutability);
std::string_view to_string(ForwardBy);

// A retention lock, stamped on what a tag reaches when it is set (docs/policy.md, "Locks and holds").
enum class LockMode { governance, compliance };
std::string_view to_string(LockMode);
struct Lock {
  std::int64_t seconds = 0;
  LockMode mode = LockMode::governance;
  friend bool operator==(const Lock&, const Lock&) = default;
};

struct TagRule {
  std::string name;
  std::vector<std::string> repositories{"**"};
  std::vector<std::string> tags{"**"};
  Mutability mutability = Mutability::free;
  ForwardBy forward_by = ForwardBy::version;
  bool may_delete = true;
  bool lifecycle_protects = false;
  std::optional<Lock> lock;
};

// These principals pull from these repositories only by digest or by an immutable tag. Anonymous pulls are
// bound by every rule that matches the repository: nobody gets around it by not saying who he is.
struct PullRule {
  std::string name;
  std::vector<std::string> principals;
  std::vector<std::string> repositories;
};

struct Rules {
  std::vector<TagRule> tag_rules;
  TagRule otherwise;
  std::vector<PullRule> pull_rules;
  std::shared_ptr<const Lifecycle> lifecycle;      // null: the default settings and no rules
  std::shared_ptr<const AccessRules> access = {};  // null: no section access_rules
  std::shared_ptr<const Quotas> quotas = {};       // null: none
};

// Which rule decides, and through which of its patterns.
struct Match {
  const TagRule* rule;  // lives as long as the Policy
  std::string_view repository_pattern;
  std::string_view tag_pattern;
};

// A rule that speaks of a tag almost: `why` says what keeps it from deciding.
struct NearMiss {
  const TagRule* rule;  // lives as long as the Policy
  std::string why;
};

// Immutable; thread-safe.
class Policy {
 public:
  // Patterns are taken as checked (PatternList::compile, as load_policy() does); a bad one throws
  // std::invalid_argument. `source`: the text the rules were read from, empty for the built-in ones.
  Policy(Rules rules, std::string source);
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;
  ~Policy();

  // What holds without a file: signatures are append-only, full versions and commits immutable, all else
  // mutable, snapshots of versions too.
  static std::shared_ptr<const Policy> built_in();

  Match tag_rule(std::string_view repository, std::string_view tag) const;

  // Rules that do not decide the tag although one of their two lists matches, or all but an exclusion does,
  // or only a rule before them is in the way: in their order, at most `most`. For people.
  std::vector<NearMiss> near_misses(std::string_view repository, std::string_view tag,
                                    std::size_t most = 5) const;

  // The first pull rule that binds this principal there; null when none does.
  const PullRule* pull_rule(std::string_view repository, std::string_view principal) const;
  bool has_pull_rules() const { return !rules_.pull_rules.empty(); }

  // What may be removed of what is no longer needed. Never null: without its sections it has the default
  // settings and no rules, and removes nothing.
  const std::shared_ptr<const Lifecycle>& lifecycle() const { return rules_.lifecycle; }

  // Who may do what where. Null: the policy has no such section, and access is not limited by rules.
  const std::shared_ptr<const AccessRules>& access() const { return rules_.access; }

  // How much a repository may hold. Never null: without its section nothing is limited.
  const std::shared_ptr<const Quotas>& quotas() const { return rules_.quotas; }

  // Whether a pull by this principal, with a program that calls itself so, counts as use of what it pulled
  // (`lifecycle.ignore_pulls_by`), and whether everybody's does.
  bool counts_pulls_of(std::string_view principal, std::string_view agent = {}) const;
  bool counts_every_pull() const;

  const std::vector<TagRule>& rules() const { return rules_.tag_rules; }
  const TagRule& otherwise() const { return rules_.otherwise; }
  const std::string& source() const { return source_; }
  const std::string& hash() const { return hash_; }  // "sha256:…" of the source

 private:
  struct Index;
  const Rules rules_;
  const std::string source_;
  const std::string hash_;
  std::unique_ptr<const Index> index_;
};

// The defaults of a mutability that a rule does not state itself.
bool deletes_by_default(Mutability);
bool protects_by_default(Mutability);

std::vector<TagRule> built_in_rules();
TagRule built_in_default();

}  // namespace stele::policy
