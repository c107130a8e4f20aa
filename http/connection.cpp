#include "http/connection.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/hex.hpp"
#include "base/random.hpp"

namespace stele::http {
namespace {

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
      co_await refuse(503, MemoryBudget::spent);
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
    exchange.note.error = MemoryBudget::spent;
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

// Ends the connection. Closing while bytes of the client are on their way would answer them with a reset,
// which takes our answer with it.
Task<void> Connection::linger() {
  stream_.half_close();
  stream_.watchdog.enter(body_done_ ? Watchdog::Phase::closing : Watchdog::Phase::head);
  for (std::uint64_t drained = 0; drained < drain_before_close;) {
    const std::size_t got = co_await stream_.read_some(discard_buffer());
    if (got == 0) break;
    drained += got;
  }
}

}  // namespace stele::http
