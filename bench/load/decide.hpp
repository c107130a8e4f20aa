#pragma once
// What it costs to find the rule of a tag.

#include <string>

namespace stele::load {

// A policy file of so many rules, each with patterns of its own: the tags "stable-N-*" of "team-N/**" are
// immutable by the rule "rule-N", N from 0.
std::string policy_text(unsigned rules);

// Asks that policy for names that the first, a middle, the last and no rule decides. Returns the report as
// JSON: nanoseconds of one decision, for each.
std::string decide(unsigned rules, double seconds);

}  // namespace stele::load
