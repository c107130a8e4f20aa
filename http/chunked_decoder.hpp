#pragma once
// The chunked transfer coding (RFC 9112, 7.1), decoded by Beast.

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/bytes.hpp"

namespace stele::http {

// One request body. Not thread-safe.
class ChunkedDecoder {
 public:
  ChunkedDecoder();
  ~ChunkedDecoder();

  struct Step {
    std::size_t consumed = 0;  // bytes of the input that are done with
    std::size_t produced = 0;  // bytes written to the output
    bool done = false;         // the last chunk and the trailer have been read
    bool malformed = false;
  };
  // Decodes as far as input and output allow. Neither consumed nor produced: more input is needed behind what
  // is there.
  Step decode(std::string_view input, ByteSpan output);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stele::http
