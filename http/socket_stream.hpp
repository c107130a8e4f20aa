#pragma once
// Internal to http/: a connected socket, plain or TLS, with the watchdog's view of it. Everything runs on the
// connection's I/O thread. TLS works on the descriptor itself (SSL_set_fd) and waits for readiness, so that
// kTLS and SSL_sendfile stay possible.

#include <openssl/ssl.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.hpp"
#include "base/task.hpp"
#include "base/thread_pool.hpp"
#include "http/message.hpp"

namespace stele::http {

// How long the peer may keep us waiting. Only time spent waiting for the peer counts, never our own work, and
// there is no deadline for a whole transfer: a 20 GB push over a slow line is normal.
class Watchdog {
 public:
  static constexpr unsigned idle_seconds = 120;   // between requests
  static constexpr unsigned head_seconds = 30;    // for a TLS handshake and for a head, from its first wait
  static constexpr unsigned closing_seconds = 5;  // for the peer to close after our last byte
  // In each window of waiting the peer must have sent, or acknowledged, so many bytes of a transfer.
  static constexpr unsigned window_seconds = 30;
  static constexpr std::uint64_t min_window_bytes = 16 * 1024;

  enum class Phase { idle, head, transfer, closing };
  void enter(Phase phase) {
    phase_ = phase;
    waited_ = 0;
    moved_ = 0;
  }
  Phase phase() const { return phase_; }
  void waiting(bool on) { waiting_ = on; }
  void moved(std::uint64_t bytes) { moved_ += bytes; }
  // Once a second: true when the peer has had its time. `unacknowledged`: how many bytes the kernel keeps for
  // it. What we wrote went into a buffer of megabytes and says nothing of a peer that does not read.
  template <class Unacknowledged>
  bool expired(Unacknowledged unacknowledged);

 private:
  Phase phase_ = Phase::head;
  bool waiting_ = false;
  unsigned waited_ = 0;
  std::uint64_t moved_ = 0;
  std::uint64_t kept_before_ = 0;  // by the kernel, when the window began
};

template <class Unacknowledged>
bool Watchdog::expired(Unacknowledged unacknowledged) {
  if (!waiting_) return false;
  ++waited_;
  switch (phase_) {
    case Phase::idle:
      return waited_ > idle_seconds;
    case Phase::head:
      return waited_ > head_seconds;
    case Phase::closing:
      return waited_ > closing_seconds;
    case Phase::transfer:
      if (waited_ == 1) kept_before_ = unacknowledged();
      if (waited_ < window_seconds) return false;
      const bool too_slow = moved_ + kept_before_ < min_window_bytes + unacknowledged();
      waited_ = 0;
      moved_ = 0;
      return too_slow;
  }
  return false;
}

class SocketStream {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  // Takes the descriptor. `cold_reads`: where file pages are read that are not in memory.
  SocketStream(boost::asio::io_context& io, int fd, int family, const std::shared_ptr<SSL_CTX>& tls,
               ThreadPool& cold_reads);

  bool is_tls() const { return static_cast<bool>(ssl_); }
  Task<bool> handshake();
  // What the verified client certificate calls its owner; empty when there is none, or no such name.
  std::string certificate_name() const;
  // When the first of the certificates is over by which it was verified: seconds of the epoch.
  std::optional<std::int64_t> certificate_ends() const;

  // 1…out.size() bytes; 0: the peer has closed or the connection failed.
  Task<std::size_t> read_some(ByteSpan out);
  // What has arrived: 1…out.size() bytes, 0: as above; none: nothing yet.
  std::optional<std::size_t> read_arrived(ByteSpan out);
  // Until read_arrived() may have something. Holds no memory meanwhile, unlike read_some() with its `out`.
  Task<void> wait_to_read();
  // All of both, in one packet where it fits. `more`: data follows at once.
  Task<bool> write(std::string_view first, std::string_view second, bool more);
  Task<bool> write_file(const FileSlice& slice);

  // Once a second: ends the connection when its peer has had its time.
  void watch();
  // Ends every wait with a failure; the descriptor stays open until destruction.
  void abort();
  // From now on the end of this object is a reset for the peer and not an end: what it has is not the whole.
  void reset();
  // No more from us; the peer can still be read.
  void half_close();

  Watchdog watchdog;

 private:
  struct Readiness;
  struct PlainRead;
  Task<bool> write_tls(std::string_view first, std::string_view second);
  Task<bool> write_file_tls(const FileSlice& slice);
  // Waits for what OpenSSL asked for; false when the connection is over.
  Task<bool> wait_tls(int result);
  // Brings the pages into memory on the pool if they are not, or may not be.
  Task<void> warm(int fd, std::uint64_t offset, std::uint64_t length);
  // One pread on the pool.
  Task<ssize_t> read_cold(int fd, std::uint64_t offset, std::span<char> into);

  Socket socket_;
  ThreadPool& cold_reads_;
  std::shared_ptr<SSL_CTX> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
  bool reads_when_writable_ = false;  // what read_arrived() waits for, over TLS
};

}  // namespace stele::http
