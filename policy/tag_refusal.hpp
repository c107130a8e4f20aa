#pragma once
// Internal to policy/: a refusal that is about a tag, with the details that all of them have. Pure.

#include <string>
#include <string_view>

#include "policy/decide.hpp"

namespace stele::policy {

// "tag "1.4" in prod/app", as sentences about it begin.
std::string place(const TagName&);

// refused_by_policy. `brief`: for the status line, after the tag ("is immutable"). `offered`: null for a
// removal. Details: reason, rule, tag, existing, offered, pushed_by, pushed_at.
Error refuse_tag(const TagName&, const Match&, const Binding&, const Digest* offered, std::string_view reason,
                 std::string_view brief, std::string message);

}  // namespace stele::policy
