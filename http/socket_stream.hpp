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
  static constexpr unsigned window_seconds =
      30;  // a transfer must move min_window_bytes in each window of waiting
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
  // Once a second: true when the peer has had its time.
  bool expired();

 private:
  Phase phase_ = Phase::head;
  bool waiting_ = false;
  unsigned waited_ = 0;
  std::uint64_t moved_ = 0;
};

class SocketStream {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  // Takes the descriptor. `cold_reads`: where file pages are read that are not in memory.
  SocketStream(boost::asio::io_context& io, int fd, int family, const std::shared_ptr<SSL_CTX>& tls,
               ThreadPool& cold_reads);

  bool is_tls() const { return static_cast<bool>(ssl_); }
  Task<bool> handshake();
  // The common name of the verified client certificate.
  std::string certificate_name() const;

  // 1…out.size() bytes; 0: the peer has closed or the connection failed.
  Task<std::size_t> read_some(ByteSpan out);
  // All of both, in one packet where it fits. `more`: data follows at once.
  Task<bool> write(std::string_view first, std::string_view second, bool more);
  Task<bool> write_file(const FileSlice& slice);

  // Ends every wait with a failure; the descriptor stays open until destruction.
  void abort();
  // No more from us; the peer can still be read.
  void half_close();

  Watchdog watchdog;

 private:
  struct Readiness;
  struct PlainRead;
  Task<bool> write_tls(std::string_view bytes);
  Task<bool> write_file_tls(const FileSlice& slice);
  // Waits for what OpenSSL asked for; false when the connection is over.
  Task<bool> wait_tls(int result);
  // Brings the pages into memory on the pool if they are not.
  Task<void> warm(int fd, std::uint64_t offset, std::uint64_t length);
  Task<void> read_cold(int fd, std::uint64_t offset, std::uint64_t length);

  Socket socket_;
  ThreadPool& cold_reads_;
  std::shared_ptr<SSL_CTX> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
};

}  // namespace stele::http
