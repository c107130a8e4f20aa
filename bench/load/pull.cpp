#include "bench/load/pull.hpp"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "bench/load/latencies.hpp"

namespace stele::load {
namespace {

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// One keep-alive connection that always has a request under way.
class Puller {
 public:
  Puller(const PullOptions& options, unsigned seed, SSL_CTX* tls)
      : options_(options), random_(seed), fd_(connect_to(options.target)), head_(16 * 1024) {
    if (tls) {
      ssl_.reset(SSL_new(tls));
      SSL_set_fd(ssl_.get(), fd_.get());
      if (SSL_connect(ssl_.get()) != 1) throw std::runtime_error("the TLS handshake failed");
    }
    ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
  }

  int fd() const { return fd_.get(); }

  void ask() {
    if (options_.random > 0 || options_.range_of > 0 || request_.empty()) request_ = request();
    started_ = SteadyClock::now();
    const auto size = static_cast<int>(request_.size());
    const ssize_t sent = ssl_ ? SSL_write(ssl_.get(), request_.data(), size)
                              : ::send(fd_.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
    // The socket's buffer is empty before a request: it always fits.
    if (sent != size) throw std::runtime_error("the request could not be sent");
  }

  // Takes what there is, but lets other connections have their turn.
  void on_readable(Latencies& latencies, std::uint64_t& bytes) {
    for (int turns = 0; turns < 32 || pending(); ++turns) {
      const std::size_t got = left_ > 0 ? discard() : read_head();
      if (got == 0) return;
      bytes += got;
      if (left_ > 0 || filled_ > 0) continue;
      latencies.add(SteadyClock::now() - started_);
      ask();
    }
  }

 private:
  std::string request() {
    std::string path = options_.path;
    if (const auto place = path.find("{}"); options_.random > 0 && place != std::string::npos)
      path.replace(place, 2, std::to_string(random_() % options_.random));
    return options_.method + " " + path + " HTTP/1.1\r\nHost: " + options_.target.str() + "\r\n" + range() +
           "\r\n";
  }

  std::string range() {
    if (options_.range_of == 0) return {};
    const std::uint64_t first = random_() % (options_.range_of - options_.bytes + 1);
    return "Range: bytes=" + std::to_string(first) + "-" + std::to_string(first + options_.bytes - 1) +
           "\r\n";
  }

  // TLS may hold bytes back that epoll knows nothing of.
  bool pending() const { return ssl_ && SSL_pending(ssl_.get()) > 0; }

  // 0 when nothing is there yet.
  std::size_t receive(char* into, std::size_t size, int flags) {
    const ssize_t got =
        ssl_ ? SSL_read(ssl_.get(), into, static_cast<int>(size)) : ::recv(fd_.get(), into, size, flags);
    if (got > 0) return static_cast<std::size_t>(got);
    const bool later = ssl_ ? SSL_get_error(ssl_.get(), static_cast<int>(got)) == SSL_ERROR_WANT_READ
                            : got < 0 && errno == EAGAIN;
    if (!later) throw std::runtime_error("the server closed the connection in the middle of an answer");
    return 0;
  }

  // Counts the body's bytes that came along.
  std::size_t read_head() {
    const std::size_t got = receive(head_.data() + filled_, head_.size() - filled_, 0);
    filled_ += got;
    const std::string_view text(head_.data(), filled_);
    const std::size_t end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) {
      if (filled_ == head_.size()) throw std::runtime_error("the head of the answer is larger than 16 KiB");
      return got;
    }
    const Answer answer = parse_answer(text.substr(0, end + 4));
    if (answer.status != (options_.range_of > 0 ? 206 : 200))
      throw std::runtime_error("answered " + std::to_string(answer.status));
    if (answer.content_length != options_.bytes) {
      throw std::runtime_error("Content-Length is " + std::to_string(answer.content_length));
    }
    left_ = options_.method == "HEAD" ? 0 : answer.content_length;
    const std::size_t early = filled_ - end - 4;
    if (early > left_) throw std::runtime_error("more body than Content-Length");
    left_ -= early;
    filled_ = 0;
    return got;
  }

  std::size_t discard() {
    constexpr std::size_t step = 1024 * 1024;
    static std::array<char, 64 * 1024> scratch;
    const std::size_t size = std::min<std::uint64_t>(left_, ssl_ ? scratch.size() : step);
    const std::size_t got = receive(scratch.data(), size, MSG_TRUNC);
    left_ -= got;
    return got;
  }

  const PullOptions& options_;
  std::mt19937_64 random_;
  std::string request_;
  UniqueFd fd_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  std::vector<char> head_;
  std::size_t filled_ = 0;
  std::uint64_t left_ = 0;
  SteadyClock::time_point started_;
};

}  // namespace

std::string pull(const PullOptions& options) {
  if (options.range_of > 0 && options.range_of < options.bytes) {
    throw std::runtime_error("the range is larger than what it is taken from");
  }
  std::unique_ptr<SSL_CTX, FreeSsl> tls;
  // The certificate is the run's own, on loopback: it is not verified.
  if (options.tls) tls.reset(SSL_CTX_new(TLS_client_method()));
  const UniqueFd poll(::epoll_create1(EPOLL_CLOEXEC));
  std::vector<std::unique_ptr<Puller>> pullers;
  for (unsigned i = 0; i < options.clients; ++i) {
    pullers.push_back(std::make_unique<Puller>(options, i, tls.get()));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = pullers.back().get();
    if (::epoll_ctl(poll.get(), EPOLL_CTL_ADD, pullers.back()->fd(), &event) != 0) {
      throw std::runtime_error("epoll_ctl failed");
    }
  }

  Latencies latencies;
  std::uint64_t bytes = 0;
  const auto started = SteadyClock::now();
  const auto until = started + std::chrono::duration_cast<SteadyClock::duration>(
                                   std::chrono::duration<double>(options.seconds));
  for (const auto& puller : pullers) puller->ask();
  std::array<epoll_event, 64> events;
  auto now = started;
  while (now < until) {
    const int ready = ::epoll_wait(poll.get(), events.data(), events.size(), 1000);
    for (int i = 0; i < ready; ++i) {
      static_cast<Puller*>(events[static_cast<std::size_t>(i)].data.ptr)->on_readable(latencies, bytes);
    }
    now = SteadyClock::now();
  }
  return report(std::chrono::duration<double>(now - started).count(), bytes, latencies);
}

}  // namespace stele::load
