#include "http/connection.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/hex.hpp"
#include "base/random.hpp"

namespace stele::http {
namespace {

constexpr std::size_t first_buffer = 2 * 1024;  // most heads fit, also with a token
constexpr std::size_t chunk_buffer = 64 * 1024;
constexpr std::size_t longest_chunk_line = 4 * 1024;            // with its extensions; also of a trailer
constexpr std::uint64_t drain_and_go_on = 1024 * 1024;          // worth keeping the connection for
constexpr std::uint64_t drain_before_close = 64 * 1024 * 1024;  // then the client gets its reset after all

std::int64_t now_microseconds() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

// A process-wide random part and a counter per thread: unique without a system call per request.
std::string next_request_id() {
  thread_local const std::string prefix = random_hex(6);
  thread_local std::uint64_t counter = 0;
  std::string id = prefix;
  const std::uint64_t number = counter++;
  for (int shift = 24; shift >= 0; shift -= 8) append_hex(id, static_cast<unsigned char>(number >> shift));
  return id;
}

// IMF-fixdate (RFC 9110, 5.6.7), made once a second.
const std::string& http_date() {
  thread_local std::time_t made_at = 0;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != made_at) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    char buffer[64];
    text.assign(buffer, std::strftime(buffer, sizeof buffer, "%a, %d %b %Y %H:%M:%S GMT", &parts));
    made_at = now;
  }
  return text;
}

std::string response_head(const RequestHead& request, const Response& response, bool close) {
  std::string head;
  head.reserve(256 + response.fields().size());
  head += "HTTP/1.1 ";
  head += std::to_string(response.status());
  head += ' ';
  head += response.reason().empty() ? reason_phrase(response.status()) : std::string_view(response.reason());
  head += "\r\nDate: ";
  head += http_date();
  head += "\r\n";
  head += response.fields();
  if (response.length_unknown()) {
    if (request.minor_version > 0) head += "Transfer-Encoding: chunked\r\n";
  } else if (!response.bodiless()) {
    head += "Content-Length: ";
    head += std::to_string(response.content_length());
    head += "\r\n";
  }
  if (close) {
    head += "Connection: close\r\n";
  } else if (request.minor_version == 0) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  return head;
}

// Where bytes go that nobody looks at: one for all connections of a thread.
ByteSpan forgotten() {
  thread_local std::array<std::byte, 16 * 1024> buffer;
  return buffer;
}

}  // namespace

Connection::Connection(SocketStream stream, Peer peer, const ConnectionSettings& settings)
    : stream_(std::move(stream)), peer_(std::move(peer)), settings_(settings) {}

Task<void> Connection::run() {
  if (stream_.is_tls()) {
    stream_.watchdog.enter(Watchdog::Phase::head);
    if (!co_await stream_.handshake()) co_return;
    peer_.tls = true;
    peer_.certificate = stream_.certificate_name();
    peer_.certificate_ends = stream_.certificate_ends();
  }
  in_.resize(first_buffer);
  for (;;) {
    const std::size_t head_length = co_await read_head();
    if (head_length == 0) co_return;
    if (!co_await serve(head_length)) co_return;
  }
}

Task<std::size_t> Connection::read_head() {
  searched_ = 0;
  // Once for each request: empty lines before it win no time.
  bool begun = filled_ != 0;
  stream_.watchdog.enter(begun ? Watchdog::Phase::head : Watchdog::Phase::idle);
  for (;;) {
    // Empty lines before a request are skipped (RFC 9112, 2.2).
    while (filled_ >= 2 && in_[0] == '\r' && in_[1] == '\n') {
      std::memmove(in_.data(), in_.data() + 2, filled_ -= 2);
      searched_ = 0;
    }
    if (const std::size_t end = find_head_end(buffered(), searched_)) {
      if (end <= settings_.header_bytes) co_return end;
      co_await refuse(431, "the request head is larger than limits.header_bytes");
      co_return 0;
    }
    if (filled_ >= settings_.header_bytes) {
      co_await refuse(431, "the request head is larger than limits.header_bytes");
      co_return 0;
    }
    if (settings_.draining.load(std::memory_order_relaxed) && filled_ == 0) co_return 0;
    if (filled_ == in_.size() && !grow_head()) {
      co_await refuse(503, "the server holds as many requests and answers in memory as it may; try again");
      co_return 0;
    }
    const ByteSpan room = std::as_writable_bytes(std::span(in_.data() + filled_, in_.size() - filled_));
    const std::size_t got = co_await stream_.read_some(room);
    if (got == 0) co_return 0;
    if (!std::exchange(begun, true)) stream_.watchdog.enter(Watchdog::Phase::head);
    filled_ += got;
    // What cannot begin a request is answered at once: clients that try TLS on a plain port would wait for
    // their time-out.
    if (const char first = in_[0];
        !(first >= 'A' && first <= 'Z') && !(first >= 'a' && first <= 'z') && first != '\r') {
      constexpr char tls_handshake = 0x16;
      co_await refuse(400,
                      first == tls_handshake
                          ? "a TLS handshake came to a plain HTTP port; use http:// here, or configure tls"
                          : "this is not an HTTP request");
      co_return 0;
    }
  }
}

Task<bool> Connection::serve(std::size_t head_length) {
  const std::int64_t started = now_microseconds();
  const ParsedHead parsed = parse_head(buffered().substr(0, head_length));
  if (!parsed.ok()) {
    co_await refuse(parsed.error.status, parsed.error.reason);
    co_return false;
  }
  const RequestHead& head = parsed.head;
  begin_body(head, head_length);
  stream_.watchdog.enter(Watchdog::Phase::transfer);

  Exchange exchange(head, peer_, next_request_id(), *this, settings_.memory);
  Response response = co_await call_handler(exchange);
  MemoryBudget::Part reserved(settings_.memory);  // until the last byte has left
  if (const std::size_t bytes = response.bytes_in_memory();
      bytes > MemoryBudget::too_small_to_count && !reserved.grow_to(bytes)) {
    exchange.note.error = "the server holds as many requests and answers in memory as it may; try again";
    response = settings_.handler.refuse(503, exchange.note.error);
  }
  response.header("X-Request-Id", exchange.id());

  bool close = !head.keep_alive || response.closes() || body_broken_ ||
               (response.length_unknown() && head.minor_version == 0) ||
               settings_.draining.load(std::memory_order_relaxed);
  // What is left of a body is read before the answer, not after it: HAProxy 2.6, when it is answered early,
  // forgets the rest of the body and sends the next request in its place on the same connection.
  const bool little_left = head.content_length && remaining_ <= drain_and_go_on && !continue_pending_;
  if (!close && !body_done_ && little_left) co_await read_rest();
  close = close || !body_done_ || body_broken_;
  body_sent_ = 0;
  const bool sent = co_await send(head, response, close);
  if (!response_broke_.empty()) exchange.note.error = std::exchange(response_broke_, {});
  settings_.observer.request_finished(RequestSummary{head.method_text, head.target, exchange.note, peer_,
                                                     exchange.identified() ? &exchange.identity() : nullptr,
                                                     exchange.id(), response.status(), body_received_,
                                                     body_sent_, now_microseconds() - started, sent});
  if (!sent) co_return false;
  if (close) co_await linger();
  co_return end_body(head_length) && !close;
}

Task<Response> Connection::call_handler(Exchange& exchange) {
  std::string failure;
  try {
    co_return co_await settings_.handler.handle(exchange);
  } catch (const std::exception& e) {
    failure = e.what();
  }
  exchange.note.error = "exception: " + failure;
  co_return settings_.handler.refuse(500, "an internal error; the log has the details under this request id");
}

Task<bool> Connection::refuse(int status, std::string_view why) {
  const RequestHead none;
  Exchange exchange(none, peer_, next_request_id(), *this, settings_.memory);
  exchange.note.error = why;
  Response response = settings_.handler.refuse(status, why);
  response.header("X-Request-Id", exchange.id());
  body_sent_ = 0;
  body_received_ = 0;
  stream_.watchdog.enter(Watchdog::Phase::head);
  const bool sent = co_await send(none, response, true);
  settings_.observer.request_finished(
      RequestSummary{"-", "-", exchange.note, peer_, nullptr, exchange.id(), status, 0, body_sent_, 0, sent});
  head_ = nullptr;
  body_done_ = false;
  co_await linger();
  co_return false;
}

Task<bool> Connection::send(const RequestHead& request, const Response& response, bool close) {
  const std::string head = response_head(request, response, close);
  const bool with_body = request.method != Method::head && !response.bodiless();
  if (!with_body) co_return co_await stream_.write(head, {}, false);
  const bool chunked = response.length_unknown() && request.minor_version > 0;
  // What is still arriving may let us wait: the head goes ahead of it.
  const bool more = !response.segments().empty() && !response.segments().front().arriving;
  const std::string_view text = chunked ? std::string_view() : response.text();
  if (!co_await stream_.write(head, text, more)) co_return false;
  body_sent_ += text.size();
  co_return co_await send_body(response, chunked);
}

Task<bool> Connection::send_body(const Response& response, bool chunked) {
  if (chunked && !co_await send_piece(response.text(), FileSlice(), chunked, false)) co_return false;
  for (const Segment& segment : response.segments()) {
    if (!co_await send_piece(segment.text, segment.file, chunked, false)) co_return false;
    if (segment.arriving && !co_await send_arriving(segment, chunked)) co_return false;
  }
  if (chunked) co_return co_await stream_.write("0\r\n\r\n", {}, false);
  co_return true;
}

Task<bool> Connection::send_piece(std::string_view text, const FileSlice& file, bool chunked, bool more) {
  const std::uint64_t length = text.size() + file.length;
  if (length == 0) co_return true;
  std::string frame;
  if (chunked) {
    char digits[20];
    const auto written = std::to_chars(digits, digits + sizeof digits, length, 16);
    frame.assign(digits, written.ptr).append("\r\n");
  }
  const bool file_follows = file.length > 0;
  if (!(frame.empty() && text.empty()) &&
      !co_await stream_.write(frame, text, file_follows || chunked || more))
    co_return false;
  body_sent_ += text.size();
  if (file_follows) {
    if (!co_await stream_.write_file(file)) co_return false;
    body_sent_ += file.length;
  }
  if (chunked) co_return co_await stream_.write("\r\n", {}, more);
  co_return true;
}

Task<bool> Connection::send_arriving(const Segment& segment, bool chunked) {
  std::uint64_t sent = 0;
  try {
    for (;;) {
      const auto piece = co_await segment.arriving->next();
      if (!piece) {
        response_broke_ = piece.error().message();
        break;
      }
      const std::uint64_t length = piece->text.size() + piece->file.length;
      const bool end = length == 0;
      const std::uint64_t expected = segment.arriving_length.value_or(end ? sent : UINT64_MAX);
      if (end && sent == expected) co_return true;
      if (end || length > expected - sent) {
        response_broke_ =
            "the body does not have the " + std::to_string(expected) + " bytes that were announced";
        break;
      }
      if (!co_await send_piece(piece->text, piece->file, chunked, false)) co_return false;
      sent += length;
    }
  } catch (const std::exception& e) {
    response_broke_ = std::string("exception: ") + e.what();
  }
  stream_.reset();
  co_return false;
}

// Reads the rest of the body and forgets it. body_done_ says whether all of it came.
Task<void> Connection::read_rest() {
  while (!body_done_ && !body_broken_) {
    auto got = co_await read_some(forgotten());
    if (!got || *got == 0) break;
  }
}

// Ends the connection. Closing while bytes of the client are on their way would answer them with a reset,
// which takes our answer with it.
Task<void> Connection::linger() {
  stream_.half_close();
  stream_.watchdog.enter(body_done_ ? Watchdog::Phase::closing : Watchdog::Phase::head);
  for (std::uint64_t drained = 0; drained < drain_before_close;) {
    const std::size_t got = co_await stream_.read_some(forgotten());
    if (got == 0) break;
    drained += got;
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
      co_return took(
          co_await stream_.read_some(out.subspan(0, std::min<std::uint64_t>(out.size(), remaining_))));
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
  if (!std::exchange(continue_pending_, false)) {
    co_await stream_.wait_to_read();
  } else if (!co_await stream_.write("HTTP/1.1 100 Continue\r\n\r\n", {}, false)) {
    body_broken_ = true;
  }
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
