#pragma once
// What a client says about the state that it wants to change (RFC 9110, 13): decided inside the write
// transaction, so that of two clients who both say "only if there is none" exactly one writes.

#include <optional>
#include <string>
#include <vector>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"

namespace stele {

namespace sql {
class Session;
}

// One field: `*`, or digests. `any` holds when there is a manifest at all.
struct EntityCondition {
  bool any = false;
  std::vector<std::string> digests;  // as the client wrote them; those that are none match nothing

  bool matches(const std::optional<Digest>& present) const;
};

struct Preconditions {
  std::optional<EntityCondition> if_match;       // If-Match: strong comparison, weak tags are left out
  std::optional<EntityCondition> if_none_match;  // If-None-Match: weak comparison

  // `present`: what the reference leads to now; absent: nothing. In the order of RFC 9110, 13.2.2: If-Match,
  // then If-None-Match. The refusal, or nothing.
  std::optional<Error> unmet(const std::optional<Digest>& present) const;
};

// What the reference leads to in this transaction. corrupt.
Result<std::optional<Digest>> present_digest(sql::Session&, const RepositoryName&, const Reference&);

// Whether the error is unmet()'s: answered by 412, and no event, for no rule of the registry refused.
bool is_unmet_precondition(const Error&);

}  // namespace stele
