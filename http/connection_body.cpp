// The body of a request, as the connection reads it. Nothing is held for a peer that lets us wait: what
// arrives goes where the handler wants it, or through buffers that all connections of a thread share.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "http/connection.hpp"

namespace stele::http {
namespace {

constexpr std::size_t chunk_buffer = 64 * 1024;
constexpr std::size_t longest_chunk_line = 4 * 1024;  // with its extensions; also of a trailer

}  // namespace

// Where bytes go that nobody looks at: one for all connections of a thread.
ByteSpan Connection::discard_buffer() {
  thread_local std::array<std::byte, 16 * 1024> buffer;
  return buffer;
}

// Reads the rest of the body and forgets it. body_done_ says whether all of it came.
Task<void> Connection::read_rest() {
  while (!body_done_ && !body_broken_) {
    auto got = co_await read_some(discard_buffer());
    if (!got || *got == 0) break;
  }
}

void Connection::begin_body(const RequestHead& head, std::size_t head_length) {
  head_ = &head;
  early_at_ = head_length;
  remaining_ = head.content_length.value_or(0);
  body_done_ = !head.has_body();
  body_broken_ = false;
  body_received_ = 0;
  continue_pending_ = head.expect_continue && !body_done_;
  chunk_in_.clear();
  chunks_.reset();
  if (head.chunked) {
    chunks_.emplace();
    chunk_in_.assign(in_.data() + head_length, filled_ - head_length);
    filled_ = head_length;
  }
}

// Moves what came behind this request to the front of the buffer. False: the memory budget has no room for
// it.
bool Connection::end_body(std::size_t head_length) {
  if (chunks_) {
    if (chunk_in_.size() > in_.size()) in_.resize(chunk_in_.size());
    std::memcpy(in_.data(), chunk_in_.data(), chunk_in_.size());
    filled_ = chunk_in_.size();
    std::string().swap(chunk_in_);
    chunks_.reset();
  } else {
    const std::size_t used = std::max(early_at_, head_length);
    std::memmove(in_.data(), in_.data() + used, filled_ - used);
    filled_ -= used;
  }
  head_ = nullptr;
  if (in_.size() <= first_buffer) return true;
  if (filled_ > first_buffer) return count_head(in_.size());
  in_.resize(first_buffer);
  in_.shrink_to_fit();
  large_head_.reset();
  return true;
}

bool Connection::count_head(std::size_t size) {
  if (!large_head_) large_head_.emplace(settings_.memory);
  return large_head_->grow_to(size);
}

// For a larger head than most, as long as it is needed.
bool Connection::grow_head() {
  const std::size_t size = std::min(in_.size() * 2, settings_.header_bytes + first_buffer);
  if (!count_head(size)) return false;
  in_.resize(size);
  return true;
}

Task<Result<std::size_t>> Connection::read_some(ByteSpan out) {
  for (;;) {
    if (!chunks_ && !continue_pending_ && !body_done_ && !body_broken_ && early_at_ >= filled_ &&
        !out.empty()) {
      // The way of nearly all bytes: one read that waits, in one system call less.
      const ByteSpan wanted = out.subspan(0, std::min<std::uint64_t>(out.size(), remaining_));
      const std::size_t got = co_await stream_.read_some(wanted);
      co_return took(got);
    }
    const auto got = read_arrived(out);
    if (!got) co_return got.error();
    if (*got) co_return **got;
    co_await wait();
  }
}

Result<std::optional<std::size_t>> Connection::read_arrived(ByteSpan out) {
  if (body_done_ || out.empty()) return std::optional<std::size_t>(0);
  if (body_broken_) return Error(Errc::body_incomplete, "the request body is broken");
  const bool early = chunks_ ? !chunk_in_.empty() : early_at_ < filled_;
  if (continue_pending_ && !early) return std::optional<std::size_t>();  // wait() asks for it
  continue_pending_ = false;
  if (chunks_) return read_chunks(out);
  std::optional<std::size_t> got;
  if (early) {
    got = std::min({out.size(), filled_ - early_at_, static_cast<std::size_t>(remaining_)});
    std::memcpy(out.data(), in_.data() + early_at_, *got);
    early_at_ += *got;
  } else {
    got = stream_.read_arrived(out.subspan(0, std::min<std::uint64_t>(out.size(), remaining_)));
  }
  if (!got) return got;
  const auto taken = took(*got);
  if (!taken) return taken.error();
  return std::optional<std::size_t>(*taken);
}

Task<void> Connection::wait() {
  if (!continue_pending_) {
    co_await stream_.wait_to_read();
    co_return;
  }
  continue_pending_ = false;
  const bool written = co_await stream_.write("HTTP/1.1 100 Continue\r\n\r\n", {}, false);
  if (!written) body_broken_ = true;
}

// So many bytes of a body whose length was announced have come.
Result<std::size_t> Connection::took(std::size_t got) {
  if (got == 0) {
    body_broken_ = true;
    return Error(Errc::body_incomplete, "the client stopped " + std::to_string(remaining_) +
                                            " bytes before the end that Content-Length announced");
  }
  remaining_ -= got;
  body_received_ += got;
  body_done_ = remaining_ == 0;
  return got;
}

Result<std::optional<std::size_t>> Connection::read_chunks(ByteSpan out) {
  // What arrives is decoded from a buffer that all connections of a thread share; a connection keeps only
  // what is not complete, a line as a rule.
  thread_local const std::unique_ptr<char[]> arrived(new char[chunk_buffer]);
  std::string_view input = chunk_in_;
  for (;;) {
    if (!input.empty()) {
      const ChunkedDecoder::Step step = chunks_->decode(input, out);
      const std::string_view left = input.substr(step.consumed);
      body_received_ += step.produced;
      if (step.malformed || (step.consumed == 0 && step.produced == 0 && left.size() >= longest_chunk_line)) {
        body_broken_ = true;
        return Error(Errc::body_incomplete, "the chunked request body is malformed");
      }
      body_done_ = step.done;
      std::string(left).swap(chunk_in_);  // an assignment would keep the memory of what is done with
      if (step.produced > 0 || step.done) return std::optional<std::size_t>(step.produced);
      input = chunk_in_;
      if (step.consumed > 0 && !input.empty()) continue;
    }
    const std::size_t most = std::min(chunk_buffer, std::max(out.size(), longest_chunk_line));
    const auto got = stream_.read_arrived(std::as_writable_bytes(std::span(arrived.get(), most)));
    if (!got) return got;
    if (*got == 0) {
      body_broken_ = true;
      return Error(Errc::body_incomplete, "the client stopped before the last chunk");
    }
    input = std::string_view(arrived.get(), *got);
    if (!chunk_in_.empty()) input = chunk_in_.append(input);
  }
}

}  // namespace stele::http
