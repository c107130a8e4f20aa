#pragma once
// What a token is limited to, in the words of the distribution project's token specification:
// "repository:<name>:<action>,<action>" with "*" for all, and "registry:catalog:*" for the list of
// repositories; and in a word of ours "registry:*:*" for all that there is, which a token's reader takes for
// no limit.

#include <span>
#include <string>
#include <string_view>

#include "policy/right.hpp"

namespace stele::auth {

// Whether the scopes leave the caller this right there; `repository` empty: over the whole server, for which
// no scope of a repository speaks. A scope is split at its first and its last colon; one that is not
// understood leaves nothing.
bool scopes_leave(std::span<const std::string> scopes, policy::Right right, std::string_view repository);

// The same for some repository, or for the list of them.
bool scopes_leave_somewhere(std::span<const std::string> scopes, policy::Right right);

// Whether they limit nothing: the token is good for all that its owner may do.
bool scopes_leave_everything(std::span<const std::string> scopes);

// Whether they are for the list of repositories.
bool scopes_leave_the_list(std::span<const std::string> scopes);

}  // namespace stele::auth
