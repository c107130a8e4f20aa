#pragma once
// Internal to http/: one connection, from accept to close, on one I/O thread.

#include <atomic>
#include <string>
#include <vector>

#include "http/chunked_decoder.hpp"
#include "http/exchange.hpp"
#include "http/request_parser.hpp"
#include "http/socket_stream.hpp"

namespace stele::http {

struct ConnectionSettings {
  std::size_t header_bytes;
  Handler& handler;
  Observer& observer;
  MemoryBudget& memory;
  const std::atomic<bool>& draining;  // set at shutdown: no further request is read
};

class Connection final : private BodySource {
 public:
  Connection(SocketStream stream, Peer peer, const ConnectionSettings& settings);

  // Serves requests until the connection is over. Called once.
  Task<void> run();

  SocketStream& stream() { return stream_; }

 private:
  // Reads until a complete head is in the buffer; its length, or 0 when the connection is over.
  Task<std::size_t> read_head();
  Task<bool> serve(std::size_t head_length);
  Task<bool> refuse(int status, std::string_view why);
  Task<Response> call_handler(Exchange& exchange);
  Task<bool> send(const RequestHead& request, const Response& response, bool close);
  Task<bool> send_body(const Response& response, bool chunked);
  Task<bool> send_piece(std::string_view text, const FileSlice& file, bool chunked, bool more);
  Task<bool> send_arriving(const Segment& segment, bool chunked);
  Task<void> read_rest();
  // Reads what the client still sends after the last answer, so that it sees the answer and not a reset.
  Task<void> linger();

  Task<Result<std::size_t>> read_some(ByteSpan out) override;
  Result<std::optional<std::size_t>> read_arrived(ByteSpan out) override;
  Task<void> wait() override;
  Result<std::optional<std::size_t>> read_chunks(ByteSpan out);
  Result<std::size_t> took(std::size_t got);
  static constexpr std::size_t first_buffer = 2 * 1024;  // most heads fit, also with a token
  static ByteSpan discard_buffer();
  bool grow_head();  // false: the memory budget has no room for it
  bool count_head(std::size_t size);
  void begin_body(const RequestHead& head, std::size_t head_length);
  bool end_body(std::size_t head_length);

  std::string_view buffered() const { return std::string_view(in_.data(), filled_); }

  SocketStream stream_;
  Peer peer_;
  const ConnectionSettings settings_;

  std::vector<char> in_;  // received and not done with: the head, and whatever came behind it
  std::size_t filled_ = 0;
  std::size_t searched_ = 0;
  std::optional<MemoryBudget::Part> large_head_;  // what in_ has beyond its first size

  // The body of the current request.
  const RequestHead* head_ = nullptr;
  std::uint64_t remaining_ = 0;  // of a body with Content-Length
  std::size_t early_at_ = 0;     // where in in_ the next body byte stands, if any came with the head
  std::optional<ChunkedDecoder> chunks_;
  std::string chunk_in_;  // received, not yet decoded: as a rule nothing
  bool body_done_ = true;
  bool body_broken_ = false;
  bool continue_pending_ = false;
  std::uint64_t body_received_ = 0;
  std::uint64_t body_sent_ = 0;
  std::string response_broke_;  // why the response's own body could not be sent to its end
};

}  // namespace stele::http
