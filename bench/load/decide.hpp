#pragma once
// What it costs to find the rule of a tag.

#include <string>

namespace stele::load {

// Builds a policy of so many rules, each with patterns of its own, and asks it for names that the first, a
// middle, the last and no rule decides. Returns the report as JSON: nanoseconds of one decision, for each.
std::string decide(unsigned rules, double seconds);

}  // namespace stele::load
