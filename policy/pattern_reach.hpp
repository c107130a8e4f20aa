#pragma once
// Patterns that can match nothing, since no repository and no tag is spelled so: for what is pointed out to
// those who write a policy.

#include <string>
#include <string_view>

#include "policy/pattern_texts.hpp"

namespace stele::policy {

// Why a pattern (with or without its `!`) matches no name, or one of its {alternatives} does not, and what
// was likely meant; empty when it may match. What it says is certain; regular expressions and presets are not
// looked into.
std::string why_it_never_matches(std::string_view pattern, PatternsOf);

}  // namespace stele::policy
