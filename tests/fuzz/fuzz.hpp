#pragma once
// What the fuzz targets share. Each defines LLVMFuzzerTestOneInput and states with FUZZ_CHECK what must hold
// for any input.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"

// Unlike assert() it is there in every build.
#define FUZZ_CHECK(condition)                                                      \
  do {                                                                             \
    if (!(condition)) {                                                            \
      std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                \
    }                                                                              \
  } while (false)

namespace stele::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// The input up to the first newline, which is taken off `rest`: for a second, short value beside the main
// one.
inline std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return line;
}

// Messages reach clients and logs: something is said, and a hostile input cannot make it long.
inline void check_error(const Error& error, Errc expected) {
  FUZZ_CHECK(error.code() == expected);
  FUZZ_CHECK(!error.message().empty());
  FUZZ_CHECK(error.message().size() < 2000);
}

}  // namespace stele::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
