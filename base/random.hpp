#pragma once
#include <cstddef>
#include <string>

namespace stele {

// `bytes` bytes from the kernel's generator, as lower-case hex. Throws when the kernel has none to give.
std::string random_hex(std::size_t bytes);

}  // namespace stele
