#pragma once
// Views of raw memory. A span does not own; whoever passes one keeps the memory alive until the call (or the
// awaited operation) has ended.

#include <cstddef>
#include <span>
#include <string_view>

namespace stele {

using ByteView = std::span<const std::byte>;
using ByteSpan = std::span<std::byte>;

inline ByteView as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace stele
