#pragma once
// Where a list goes on, in a form that tells nothing: lists that show only what the caller may see may have
// stopped at a name that he may not.

#include <array>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele::api {

// Thread-safe. What one object sealed no other opens: positions end with the process.
class SealedPositions {
 public:
  SealedPositions();

  // "~" and hexadecimal digits, which begins no repository's name; the same length for all names.
  std::string seal(std::string_view name) const;
  // What was sealed; a text that does not begin with "~" is returned as it is. parameter_invalid for one that
  // this object did not make.
  Result<std::string> open(std::string_view position) const;

 private:
  std::array<unsigned char, 32> key_;
};

}  // namespace stele::api
