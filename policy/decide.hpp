#pragma once
// Whether a tag may be set or removed, and the words when it may not. Pure functions: what the catalog knows
// comes in, a verdict goes out. What the rules mean: docs/policy.md.

#include <optional>
#include <string>
#include <string_view>
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
};

// What a name points to, or was bound to when its tag was removed.
struct Held {
  Digest digest;
  bool removed = false;
  std::string pushed_by;
  Timestamp pushed_at;
};

struct TagName {
  std::string_view repository;
  std::string_view tag;
};

// refused_by_policy with reason, rule, tag, existing, offered, pushed_by and pushed_at as details; the
// sentence names the next step.
Error refuse_move(const TagName&, const Match&, const Held&, const Digest& offered, std::string_view reason,
                  const std::string& because);

// May the name be bound to `offered`? Nothing: yes. Not asked when the tag points there already. append-only
// and forward-only need more than digests and are decided by the two below.
std::optional<Error> decide_immutable(const TagName&, const Match&, const Held&, const Digest& offered);

// `lost`: what the old manifest names (layers, entries) and the new one does not.
std::optional<Error> decide_append_only(const TagName&, const Match&, const Held&, const Digest& offered,
                                        const std::vector<std::string>& lost);

// Older is refused; equal and newer pass. Without a comparable value on the present target anything passes.
std::optional<Error> decide_forward_only(const TagName&, const Match&, const Held&, const Digest& offered,
                                         const Ordering& present, const Ordering& next);

// May the tag be removed?
std::optional<Error> decide_removal(const TagName&, const Match&, const Held&);

// May lifecycle remove it?
std::optional<Error> decide_expiry(const TagName&, const Match&, const Held&);

// The words for a pull by a name that moves. `pinned`: immutable tags of the same manifest.
Error refuse_pull(const TagName&, const PullRule&, const Digest& present,
                  const std::vector<std::string>& pinned);

// Semantic Versioning 2.0.0, section 11, with or without a leading "v" and with one to four numbers; build
// metadata is ignored ("+", or "_" as in tags). Negative: a is older. Nothing when one of them is not a
// version.
std::optional<int> compare_versions(std::string_view a, std::string_view b);

}  // namespace stele::policy
