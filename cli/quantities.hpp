#pragma once
// Sizes and times as people read them.

#include <cstdint>
#include <string>

namespace stele {

std::string size_text(std::int64_t bytes);   // "1.4 GiB"; "-" for what is not known, below 0
std::string age_text(std::int64_t seconds);  // "3d", "4h", "20s": the largest unit alone

}  // namespace stele
