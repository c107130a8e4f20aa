#pragma once
// Whether a tag may be set or removed, and the words when it may not. Pure functions: what the catalog knows
// comes in, a verdict goes out. What the rules mean: docs/policy.md.

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "base/digest.hpp"
#include "base/error.hpp"
#include "policy/rules.hpp"

namespace stele::policy {

// What forward-only compares. An empty text: the image does not say.
struct Ordering {
  std::string version;
  std::string created;
  // Where each was read, for people: "label of the configuration". Empty: it was written down when the tag
  // was removed.
  std::string version_from = {};
  std::string created_from = {};
};

// What a name points to, or was bound to when its tag was removed.
struct Binding {
  Digest digest;
  bool removed = false;
  std::string pushed_by;
  Timestamp pushed_at;
};

struct TagName {
  std::string_view repository;
  std::string_view tag;
};

// The move of a bound name to another manifest.
struct Move {
  TagName name;
  Match match;
  Binding present;
  Digest offered;
  bool backwards = false;  // a rollback, a restore: forward-only lets it pass
};

// What a rule may have to know of a manifest.
enum class Fact {
  digests,   // of its layers and entries: for the words of a refusal
  content,   // what append-only compares: kept_content.hpp
  ordering,  // what forward-only compares
};

// Of one manifest, what is known; absent: not found out. Lists are in bytewise order.
struct Facts {
  std::optional<std::vector<std::string>> digests;
  std::optional<std::vector<std::string>> content;
  std::optional<Ordering> ordering;
};

// The fact that has to be found out, and of which of the two manifests, before the rule can decide.
struct Needs {
  Fact fact = Fact::digests;
  bool of_present = false;
  bool of_offered = false;
};

// Allowed, refused (refused_by_policy), or open until what it needs is known.
class Decision {
 public:
  static Decision allow() { return Decision(Allowed()); }
  static Decision refuse(Error refusal) { return Decision(std::move(refusal)); }
  static Decision wait_for(Needs needs) { return Decision(needs); }

  bool allowed() const { return std::holds_alternative<Allowed>(outcome_); }
  const Error* refusal() const { return std::get_if<Error>(&outcome_); }
  const Needs* needs() const { return std::get_if<Needs>(&outcome_); }

 private:
  struct Allowed {};
  using Outcome = std::variant<Allowed, Error, Needs>;
  explicit Decision(Outcome outcome) : outcome_(std::move(outcome)) {}
  Outcome outcome_;
};

// May the tag move? The one place where a rule's mutability is decided. A decision names everything that is
// needed at once: with that known, asking again never needs more. Details of a refusal: reason, rule, tag,
// existing, offered, pushed_by and pushed_at, of append-only also lost, of forward-only also present_value,
// present_from, offered_value and offered_from; the sentence names the next step.
Decision decide(const Move&, const Facts& of_present, const Facts& of_offered);

// May the tag be removed?
std::optional<Error> decide_removal(const TagName&, const Match&, const Binding&);

// May lifecycle remove it?
std::optional<Error> decide_expiry(const TagName&, const Match&, const Binding&);

// The words for a pull by a name that moves. `pinned`: immutable tags of the same manifest.
Error refuse_pull(const TagName&, const PullRule&, const Digest& present,
                  const std::vector<std::string>& pinned);

// Semantic Versioning 2.0.0, section 11, with or without a leading "v" and with one to four numbers; build
// metadata is ignored ("+", or "_" as in tags). Negative: a is older. Nothing when one of them is not a
// version.
std::optional<int> compare_versions(std::string_view a, std::string_view b);

}  // namespace stele::policy
