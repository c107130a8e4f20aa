#include "http/socket_stream.hpp"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <cerrno>
#include <vector>

#include "http/certificate_name.hpp"
#include "http/tls.hpp"

namespace stele::http {
namespace {

constexpr std::size_t file_step = 1024 * 1024;
constexpr std::size_t tls_step = 64 * 1024;  // stays in the cache between reading and encrypting

// While it lives only full segments leave; its end sends the rest at once. Records of 16 KiB would each be
// sent on their own under TCP_NODELAY. Not for sendfile: its 64 KiB are whole pages, and cut at the segment
// size they cost the receiver half as much again.
class Cork {
 public:
  Cork(int fd, std::uint64_t bytes) : fd_(bytes >= worth_it ? fd : -1) { set(1); }
  ~Cork() { set(0); }
  Cork(const Cork&) = delete;
  Cork& operator=(const Cork&) = delete;

 private:
  static constexpr std::uint64_t worth_it = 64 * 1024;
  void set(int on) const {
    if (fd_ >= 0) ::setsockopt(fd_, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
  }
  const int fd_;
};

constexpr std::size_t max_record = 16 * 1024;  // RFC 8446, 5.1

// What passes through on its way to OpenSSL: one for all connections of a thread, so that nothing is held for
// a peer that lets us wait. Good until the next wait.
char* shared_buffer() {
  thread_local const std::unique_ptr<char[]> buffer(new char[tls_step]);
  return buffer.get();
}

// What a read that must not wait says of pages that are not in memory, or of a file system that cannot tell
// (NFS, FUSE): only a thread that may wait for a disk reads them.
bool may_be_cold(int error) {
  return error == EAGAIN || error == EOPNOTSUPP;
}

}  // namespace

// Waits until the socket is readable or writable.
struct SocketStream::Readiness {
  SocketStream& stream;
  Socket::wait_type type;
  bool failed = false;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiter) {
    stream.watchdog.waiting(true);
    stream.socket_.async_wait(type, [this, awaiter](const boost::system::error_code& error) {
      failed = static_cast<bool>(error);
      stream.watchdog.waiting(false);
      awaiter.resume();
    });
  }
  bool await_resume() const noexcept { return !failed; }
};

// One recv through the reactor: unlike a wait it costs no epoll_ctl.
struct SocketStream::PlainRead {
  SocketStream& stream;
  ByteSpan out;
  std::size_t got = 0;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiter) {
    stream.watchdog.waiting(true);
    stream.socket_.async_read_some(
        boost::asio::buffer(out.data(), out.size()),
        [this, awaiter](const boost::system::error_code& error, std::size_t bytes) {
          got = error ? 0 : bytes;
          stream.watchdog.waiting(false);
          awaiter.resume();
        });
  }
  std::size_t await_resume() const noexcept { return got; }
};

SocketStream::SocketStream(boost::asio::io_context& io, int fd, int family,
                           const std::shared_ptr<SSL_CTX>& tls, ThreadPool& cold_reads)
    : socket_(io), cold_reads_(cold_reads), context_(tls) {
  socket_.assign(boost::asio::generic::stream_protocol(family, 0), fd);
  socket_.native_non_blocking(true);
  if (family != AF_UNIX) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (tls) {
    ssl_.reset(SSL_new(tls.get()));
    SSL_set_fd(ssl_.get(), fd);
    SSL_set_accept_state(ssl_.get());
  }
}

Task<bool> SocketStream::wait_tls(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ) co_return co_await Readiness(*this, Socket::wait_read);
  if (error == SSL_ERROR_WANT_WRITE) co_return co_await Readiness(*this, Socket::wait_write);
  co_return false;
}

Task<bool> SocketStream::handshake() {
  for (;;) {
    const int result = SSL_accept(ssl_.get());
    if (result == 1) co_return true;
    if (!co_await wait_tls(result)) co_return false;
  }
}

std::string SocketStream::certificate_name() const {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl_.get()),
                                                                X509_free);
  if (!certificate) return {};
  return name_in(certificate.get(), TlsContext::name_of(context_.get()));
}

std::optional<std::int64_t> SocketStream::certificate_ends() const {
  return end_of(SSL_get0_verified_chain(ssl_.get()));
}

Task<std::size_t> SocketStream::read_some(ByteSpan out) {
  if (!ssl_) {
    const std::size_t got = co_await PlainRead(*this, out);
    watchdog.moved(got);
    co_return got;
  }
  for (;;) {
    const int result =
        SSL_read(ssl_.get(), out.data(), static_cast<int>(std::min<std::size_t>(out.size(), 1 << 30)));
    if (result > 0) {
      watchdog.moved(static_cast<std::uint64_t>(result));
      co_return static_cast<std::size_t>(result);
    }
    if (!co_await wait_tls(result)) co_return 0;
  }
}

std::optional<std::size_t> SocketStream::read_arrived(ByteSpan out) {
  if (ssl_) {
    const int result =
        SSL_read(ssl_.get(), out.data(), static_cast<int>(std::min<std::size_t>(out.size(), 1 << 30)));
    if (result > 0) {
      watchdog.moved(static_cast<std::uint64_t>(result));
      return static_cast<std::size_t>(result);
    }
    const int error = SSL_get_error(ssl_.get(), result);
    ERR_clear_error();
    reads_when_writable_ = error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return std::nullopt;
    return 0;
  }
  ssize_t got = 0;
  do {
    got = ::recv(socket_.native_handle(), out.data(), out.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno == EAGAIN ? std::nullopt : std::optional<std::size_t>(0);
  watchdog.moved(static_cast<std::uint64_t>(got));
  return static_cast<std::size_t>(got);
}

Task<void> SocketStream::wait_to_read() {
  const auto type = reads_when_writable_ ? Socket::wait_write : Socket::wait_read;
  [[maybe_unused]] const bool ready = co_await Readiness(*this, type);  // if not, the next read says so
}

Task<bool> SocketStream::write(std::string_view first, std::string_view second, bool more) {
  if (ssl_) co_return co_await write_tls(first, second);
  const int fd = socket_.native_handle();
  while (!first.empty() || !second.empty()) {
    iovec parts[2] = {{const_cast<char*>(first.data()), first.size()},
                      {const_cast<char*>(second.data()), second.size()}};
    msghdr message{};
    message.msg_iov = first.empty() ? parts + 1 : parts;
    message.msg_iovlen = first.empty() || second.empty() ? 1 : 2;
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) co_return false;
      if (!co_await Readiness(*this, Socket::wait_write)) co_return false;
      continue;
    }
    const auto moved = static_cast<std::size_t>(sent);
    watchdog.moved(moved);
    const std::size_t of_first = std::min(moved, first.size());
    first.remove_prefix(of_first);
    second.remove_prefix(moved - of_first);
  }
  co_return true;
}

Task<bool> SocketStream::write_tls(std::string_view first, std::string_view second) {
  while (!first.empty() || !second.empty()) {
    std::string_view next = first.empty() ? second : first;
    // One record instead of two where that costs little. Joined anew for each attempt: OpenSSL keeps the
    // record that it could not send and asks only for the same bytes again
    // (SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER).
    if (!first.empty() && !second.empty() && first.size() + second.size() <= max_record) {
      char* const joined = shared_buffer();
      std::memcpy(joined, first.data(), first.size());
      std::memcpy(joined + first.size(), second.data(), second.size());
      next = std::string_view(joined, first.size() + second.size());
    }
    const int result =
        SSL_write(ssl_.get(), next.data(), static_cast<int>(std::min<std::size_t>(next.size(), 1 << 30)));
    if (result > 0) {
      const auto moved = static_cast<std::size_t>(result);
      watchdog.moved(moved);
      const std::size_t of_first = std::min(moved, first.size());
      first.remove_prefix(of_first);
      second.remove_prefix(moved - of_first);
      continue;
    }
    if (!co_await wait_tls(result)) co_return false;
  }
  co_return true;
}

Task<void> SocketStream::warm(int fd, std::uint64_t offset, std::uint64_t length) {
  // Reading the last byte without waiting tells whether a disk would be waited for; readahead works forward,
  // so the last page is the one that is missing when any is.
  char probe = 0;
  iovec part{&probe, 1};
  const ssize_t there = ::preadv2(fd, &part, 1, static_cast<off_t>(offset + length - 1), RWF_NOWAIT);
  if (there >= 0 || !may_be_cold(errno)) co_return;
  co_await cold_reads_.start([fd, offset, length] {
    std::vector<char> scratch(std::min<std::uint64_t>(length, 128 * 1024));
    for (std::uint64_t at = 0; at < length; at += scratch.size()) {
      const ssize_t got = ::pread(fd, scratch.data(), std::min<std::uint64_t>(scratch.size(), length - at),
                                  static_cast<off_t>(offset + at));
      if (got <= 0) break;  // the send will find out and end the connection
    }
  });
}

Task<ssize_t> SocketStream::read_cold(int fd, std::uint64_t offset, std::span<char> into) {
  co_return co_await cold_reads_.start([fd, offset, into] {
    ssize_t got = 0;
    do {
      got = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    } while (got < 0 && errno == EINTR);
    return got;
  });
}

Task<bool> SocketStream::write_file(const FileSlice& slice) {
  if (ssl_) co_return co_await write_file_tls(slice);
  const int fd = socket_.native_handle();
  auto offset = static_cast<off_t>(slice.offset);
  std::uint64_t left = slice.length;
  std::uint64_t warm_until = slice.offset;
  while (left > 0) {
    const auto at = static_cast<std::uint64_t>(offset);
    if (at == warm_until) {
      const std::uint64_t step = std::min<std::uint64_t>(left, file_step);
      co_await warm(slice.fd, at, step);
      warm_until = at + step;
    }
    const ssize_t sent = ::sendfile(fd, slice.fd, &offset, warm_until - at);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) co_return false;
      if (!co_await Readiness(*this, Socket::wait_write)) co_return false;
      continue;
    }
    if (sent == 0)
      co_return false;  // the file is shorter than announced: the answer must not look complete (I6)
    watchdog.moved(static_cast<std::uint64_t>(sent));
    left -= static_cast<std::uint64_t>(sent);
  }
  co_return true;
}

Task<bool> SocketStream::write_file_tls(const FileSlice& slice) {
  const Cork cork(socket_.native_handle(), slice.length);
  std::uint64_t offset = slice.offset;
  std::uint64_t left = slice.length;
  if (BIO_get_ktls_send(SSL_get_wbio(ssl_.get()))) {
    while (left > 0) {
      const std::size_t step = std::min<std::uint64_t>(left, file_step);
      co_await warm(slice.fd, offset, step);
      const ossl_ssize_t sent = SSL_sendfile(ssl_.get(), slice.fd, static_cast<off_t>(offset), step, 0);
      if (sent > 0) {
        watchdog.moved(static_cast<std::uint64_t>(sent));
        offset += static_cast<std::uint64_t>(sent);
        left -= static_cast<std::uint64_t>(sent);
        continue;
      }
      if (sent == 0 || !co_await wait_tls(static_cast<int>(sent))) co_return false;
    }
    co_return true;
  }
  // What was not taken is read again, from memory as a rule.
  std::uint64_t warmed = UINT64_MAX;
  std::size_t held = 0;  // how much of it OpenSSL has in a record that it could not send: no less may follow
  while (left > 0) {
    const std::size_t step = std::min<std::uint64_t>(left, tls_step);
    std::unique_ptr<char[]> own;
    char* bytes = shared_buffer();
    iovec part{bytes, step};
    ssize_t got = ::preadv2(slice.fd, &part, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    if (got < 0 && errno == EINTR) continue;
    const bool is_cold =
        got < 0 ? may_be_cold(errno) : got > 0 && static_cast<std::size_t>(got) < std::min(held, step);
    if (is_cold && warmed != offset) {
      co_await warm(slice.fd, offset, step);
      warmed = offset;
      continue;
    }
    if (is_cold) {  // a file system that cannot tell, or a machine without memory for it
      own = std::make_unique<char[]>(step);
      bytes = own.get();
      got = co_await read_cold(slice.fd, offset, std::span<char>(bytes, step));
    }
    if (got <= 0) co_return false;
    std::string_view rest(bytes, static_cast<std::size_t>(got));
    int result = 1;
    while (!rest.empty() && (result = SSL_write(ssl_.get(), rest.data(), static_cast<int>(rest.size()))) > 0)
      rest.remove_prefix(static_cast<std::size_t>(result));
    const std::size_t sent = static_cast<std::size_t>(got) - rest.size();
    watchdog.moved(sent);
    offset += sent;
    left -= sent;
    held = std::min(rest.size(), max_record);
    own.reset();
    if (!rest.empty() && !co_await wait_tls(result)) co_return false;
  }
  co_return true;
}

void SocketStream::watch() {
  const int fd = socket_.native_handle();
  const bool expired = watchdog.expired([fd] {
    int bytes = 0;
    return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 ? static_cast<std::uint64_t>(bytes) : 0;
  });
  if (!expired) return;
  // What a peer does not take is not kept for it: the close is a reset.
  const linger reset{1, 0};
  if (watchdog.phase() == Watchdog::Phase::transfer)
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  abort();
}

void SocketStream::reset() {
  const linger none{1, 0};
  ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

void SocketStream::abort() {
  ::shutdown(socket_.native_handle(), SHUT_RDWR);
}

void SocketStream::half_close() {
  if (ssl_) {
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  ::shutdown(socket_.native_handle(), SHUT_WR);
}

}  // namespace stele::http
