#pragma once
// The secret of a robot: "stele_", forty hexadecimal digits of the kernel's random numbers (160 bits), and
// eight that check the rest, so that what scans for lost secrets can be sure: stele_[0-9a-f]{48}.

#include <string>
#include <string_view>

namespace stele::auth {

std::string make_api_token();

// Whether it has the form, its check included: then it is no user's password.
bool is_api_token(std::string_view text);

// Whether it is what is left of one that was cut off, mistyped or put in quotes: "stele_" and 16 of its
// digits or more. It is then no user's password either, and goes to no directory.
bool resembles_api_token(std::string_view text);

// What is stored of it. Without salt and at once: there is nothing to guess in 160 random bits.
std::string api_token_hash(std::string_view token);

}  // namespace stele::auth
