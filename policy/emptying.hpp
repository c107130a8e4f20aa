#pragma once
// A move that leaves nothing under a tag: to a manifest with neither layers nor entries. Clients make it
// where deletion is off (they overwrite the tag with such a one and delete that), so that it is judged as a
// removal. Pure.

#include "policy/decide.hpp"

namespace stele::policy {

// The legal hold that reaches the tag.
struct TagHold {
  std::string name;
  std::string case_number;
};

// May the tag move to `offered`? The caller knows that it has neither layers nor entries, and that what the
// tag points to has some. `deletion`: nothing is deleted here otherwise. TAG_DELETE_DENIED, or HELD with the
// details "hold" and "case".
std::optional<Error> decide_emptying(const TagName&, const Match&, const Binding&, const Digest& offered,
                                     const std::optional<TagHold>&, bool deletion);

}  // namespace stele::policy
