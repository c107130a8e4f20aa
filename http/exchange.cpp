#include "http/exchange.hpp"

#include <algorithm>

namespace stele::http {

Task<Result<std::size_t>> Exchange::read_full(ByteSpan out) {
  std::size_t filled = 0;
  while (filled < out.size()) {
    auto got = co_await read_some(out.subspan(filled));
    if (!got && filled == 0) co_return got;
    if (!got || *got == 0) break;  // a broken body stays broken: the next read says so
    filled += *got;
  }
  co_return filled;
}

Task<Result<std::string>> Exchange::read_body(std::uint64_t limit) {
  const auto too_large = [&] {
    return Error(Errc::body_too_large,
                 "the request body is larger than the limit of " + std::to_string(limit) + " bytes");
  };
  const std::uint64_t announced = request_.content_length.value_or(0);
  if (announced > limit) co_return too_large();
  std::string body;
  // Memory grows with what arrives, not with what a header promises (I10).
  constexpr std::size_t step = 64 * 1024;
  for (;;) {
    const std::size_t filled = body.size();
    const std::size_t room = request_.content_length ? std::min<std::size_t>(step, announced - filled) : step;
    if (room == 0) break;
    if (filled + room > body.capacity()) {
      const std::uint64_t most = request_.content_length ? announced : limit + step;
      const std::size_t capacity = std::max<std::size_t>(
          filled + room, std::min<std::uint64_t>(std::max(2 * body.capacity(), step), most));
      if (!reserved_.grow_to(capacity)) {
        co_return Error(Errc::unavailable, std::string(MemoryBudget::spent));
      }
      body.reserve(capacity);
    }
    body.resize(filled + room);
    const ByteSpan free_space = std::as_writable_bytes(std::span(body.data() + filled, room));
    auto got = co_await read_some(free_space);
    if (!got) co_return got.error();
    body.resize(filled + *got);
    if (*got == 0) break;
    if (body.size() > limit) co_return too_large();
  }
  co_return body;
}

}  // namespace stele::http
