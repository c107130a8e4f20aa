#pragma once
// Lists of patterns compared by their texts, for what is pointed out to those who write a policy. A "yes" is
// certain; a "no" may be wrong.

#include <string>
#include <vector>

namespace stele::policy {

enum class PatternsOf { repositories, tags };  // a tag has no "/": for it "*" is everything

// The first list matches whatever the second matches.
bool surely_covers(const std::vector<std::string>& wide, const std::vector<std::string>& narrow, PatternsOf);

// Nothing matches both. Exclusions are not looked at.
bool surely_apart(const std::vector<std::string>& a, const std::vector<std::string>& b);

}  // namespace stele::policy
