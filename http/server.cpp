#include "http/server.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"
#include "http/connection.hpp"

namespace stele::http {

namespace asio = boost::asio;

namespace {

// So many beyond limits.connections are told so; whoever comes then finds the connection closed.
constexpr std::size_t refusals_at_once = 64;

std::string address_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &v6, text, sizeof text);
    }
  }
  return text;
}

bool is_loopback(const addrinfo& found) {
  if (found.ai_family == AF_INET) {
    const auto& v4 = *reinterpret_cast<const sockaddr_in*>(found.ai_addr);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
  }
  return found.ai_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(found.ai_addr)->sin6_addr);
}

Error listen_error(const std::string& where, const std::string& why) {
  return Error(Errc::unavailable, "cannot listen on " + where + ": " + why);
}

}  // namespace

struct Server::Impl {
  // Answers whoever comes beyond limits.connections, so that the client can say why.
  class Refusal final : public Handler {
   public:
    explicit Refusal(Handler& handler) : handler_(handler) {}
    Task<Response> handle(Exchange&) override {
      Response response = handler_.refuse(503, "limits.connections is reached; try again");
      response.close();
      co_return response;
    }
    Response refuse(int status, std::string_view why) override { return handler_.refuse(status, why); }

   private:
    Handler& handler_;
  };

  struct Listener {
    UniqueFd fd;
    Handler& handler;
    TlsContext* tls;
    bool local;
    Refusal refusal{handler};
  };

  // One thread with its io_context and its connections.
  class IoThread final : public Executor {
   public:
    explicit IoThread(Impl& server) : server_(server), work_(io.get_executor()), tick_(io) {}

    void post(std::coroutine_handle<> handle) override {
      asio::post(io, [handle] { handle.resume(); });
    }

    void run() {
      thread_ = std::thread([this] {
        const Scope scope(*this);
        schedule_tick();
        run_loop();
      });
      pthread_setname_np(thread_.native_handle(), "stele-io");
    }

    void finish() {
      asio::post(io, [this] {
        tick_.cancel();
        stopped_ = true;
      });
      work_.reset();
      if (thread_.joinable()) thread_.join();
    }

    void adopt(int fd, const Listener& listener, Handler& handler, Peer peer, int family) {
      asio::post(io, [this, fd, &listener, &handler, peer = std::move(peer), family]() mutable {
        const std::shared_ptr<SSL_CTX> context = listener.tls ? listener.tls->current() : nullptr;
        SocketStream stream(io, fd, family, context, server_.cold_reads);
        spawn(serve(std::move(stream), std::move(peer), handler));
      });
    }

    // Ends the connections that wait for a next request, or all.
    void close_connections(bool all) {
      asio::post(io, [this, all] {
        for (Connection* connection : connections_) {
          if (all || connection->stream().watchdog.phase() == Watchdog::Phase::idle)
            connection->stream().abort();
        }
      });
    }

    void run_soon(const std::function<void()>& work) { asio::post(io, work); }

    asio::io_context io{1};
    std::atomic<std::size_t> load{0};

   private:
    // With more connections than one turn can answer, a loop that only leaves the processor when it has to
    // would keep the other I/O thread waiting behind it for a whole tick of the scheduler, 4 ms and more.
    // Offered after each turn, it costs 0.2 µs when nobody waits.
    void run_loop() {
      constexpr int turn = 32;
      while (io.run_one() > 0) {
        for (int done = 1; done < turn && io.poll_one() > 0; ++done) {
        }
        std::this_thread::yield();
      }
    }

    Task<void> serve(SocketStream stream, Peer peer, Handler& handler) {
      const ConnectionSettings settings{server_.options.header_bytes, handler, server_.observer,
                                        server_.memory, server_.draining};
      {
        Connection connection(std::move(stream), std::move(peer), settings);
        const auto place = connections_.insert(connections_.end(), &connection);
        co_await connection.run();
        connections_.erase(place);
      }
      load.fetch_sub(1, std::memory_order_relaxed);
      server_.connection_ended();
    }

    void schedule_tick() {
      tick_.expires_after(server_.options.tick);
      tick_.async_wait([this](const boost::system::error_code& error) {
        if (error || stopped_) return;
        for (Connection* connection : connections_) connection->stream().watch();
        if (server_.options.on_tick) server_.options.on_tick();
        schedule_tick();
      });
    }

    Impl& server_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    asio::steady_timer tick_;
    std::list<Connection*> connections_;
    bool stopped_ = false;
    std::thread thread_;
  };

  Impl(ServerOptions chosen, Observer& watching, ThreadPool& pool)
      : options(std::move(chosen)), memory(options.memory_bytes), observer(watching), cold_reads(pool) {
    for (unsigned i = 0; i < std::max(1U, options.threads); ++i)
      threads.push_back(std::make_unique<IoThread>(*this));
  }

  void accept_on(Listener& listener) {
    auto descriptor =
        std::make_shared<asio::posix::stream_descriptor>(threads.front()->io, ::dup(listener.fd.get()));
    descriptors.push_back(descriptor);
    wait_for_clients(descriptor, listener);
  }

  void wait_for_clients(const std::shared_ptr<asio::posix::stream_descriptor>& descriptor,
                        Listener& listener) {
    descriptor->async_wait(asio::posix::stream_descriptor::wait_read,
                           [this, descriptor, &listener](const boost::system::error_code& error) {
                             if (error || draining) return;
                             if (accept_waiting(listener)) {
                               wait_for_clients(descriptor, listener);
                             } else {
                               retry_later(descriptor, listener);
                             }
                           });
  }

  // Out of descriptors or memory: clients wait in the backlog for a moment.
  void retry_later(const std::shared_ptr<asio::posix::stream_descriptor>& descriptor, Listener& listener) {
    auto timer = std::make_shared<asio::steady_timer>(threads.front()->io, std::chrono::milliseconds(100));
    timer->async_wait([this, timer, descriptor, &listener](const boost::system::error_code&) {
      if (!draining) wait_for_clients(descriptor, listener);
    });
  }

  // False when accepting failed for want of resources.
  bool accept_waiting(Listener& listener) {
    for (int i = 0; i < 64; ++i) {
      sockaddr_storage address{};
      socklen_t length = sizeof address;
      const int fd = ::accept4(listener.fd.get(), reinterpret_cast<sockaddr*>(&address), &length,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED || errno == EPROTO;
      Peer peer;
      if (listener.local) {
        ucred credentials{};
        socklen_t size = sizeof credentials;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) peer.uid = credentials.uid;
        peer.address = "local";
      } else {
        peer.address = address_text(address);
      }
      const std::size_t before = open.fetch_add(1);
      const bool over = before >= options.connections;
      ++(over ? refused : accepted);
      if (before >= options.connections + refusals_at_once) {
        ::close(fd);
        connection_ended();
        continue;
      }
      IoThread* least = threads.front().get();
      for (const auto& thread : threads) {
        if (thread->load.load(std::memory_order_relaxed) < least->load.load(std::memory_order_relaxed))
          least = thread.get();
      }
      least->load.fetch_add(1, std::memory_order_relaxed);
      least->adopt(fd, listener, over ? listener.refusal : listener.handler, std::move(peer),
                   listener.local ? AF_UNIX : address.ss_family);
    }
    return true;
  }

  void connection_ended() {
    if (open.fetch_sub(1) == 1 && draining) {
      const std::lock_guard lock(mutex);
      changed.notify_all();
    }
  }

  const ServerOptions options;
  MemoryBudget memory;
  Observer& observer;
  ThreadPool& cold_reads;
  std::vector<std::unique_ptr<IoThread>> threads;
  std::list<Listener> listeners;
  std::vector<std::shared_ptr<asio::posix::stream_descriptor>> descriptors;
  std::vector<std::string> socket_paths;
  std::atomic<bool> draining{false};
  std::atomic<std::size_t> open{0};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::mutex mutex;
  std::condition_variable changed;
  bool hurried = false;
  bool started = false;
};

Server::Server(ServerOptions options, Observer& observer, ThreadPool& cold_reads)
    : impl_(std::make_unique<Impl>(std::move(options), observer, cold_reads)) {}

Server::~Server() {
  if (impl_->started) stop(std::chrono::seconds(0));
}

Result<Endpoint> Server::listen_tcp(const std::string& host, std::uint16_t port, Handler& handler,
                                    TlsContext* tls) {
  const std::string where =
      (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failure =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failure != 0) return listen_error(where, gai_strerror(failure));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (is_loopback(*found)) {
    // Where BBR is the system's default it paces each 64 KiB segment with a timer, also where there is no
    // network to spare: large blobs cost a proxy on this host twice as much. Reno is in every kernel and does
    // not pace. Connections inherit it only from the listener; set on one later, the pacing stays.
    constexpr std::string_view unpaced = "reno";
    setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, unpaced.data(), unpaced.size());
  }
  if (!fd || ::bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd.get(), 4096) != 0) {
    const int error = errno;
    return listen_error(
        where,
        std::string(std::strerror(error)) +
            (error == EADDRINUSE ? "; another program listens there, choose another with --listen" : ""));
  }
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &length);
  const std::uint16_t bound_port = bound.ss_family == AF_INET6
                                       ? ntohs(reinterpret_cast<sockaddr_in6&>(bound).sin6_port)
                                       : ntohs(reinterpret_cast<sockaddr_in&>(bound).sin_port);
  impl_->listeners.push_back({std::move(fd), handler, tls, false});
  return Endpoint{host, bound_port};
}

Result<void> Server::listen_unix(const std::string& path, Handler& handler) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return listen_error(path, "the path is longer than " + std::to_string(sizeof address.sun_path - 1) +
                                  " bytes; choose a shorter data directory");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  ::unlink(path.c_str());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // The mode must be right from the first moment: the umask counts for bind.
  const mode_t before = ::umask(0177);
  const bool bound = fd && ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  const int error = errno;
  ::umask(before);
  if (!bound || ::listen(fd.get(), 64) != 0) return listen_error(path, std::strerror(error));
  impl_->socket_paths.push_back(path);
  impl_->listeners.push_back({std::move(fd), handler, nullptr, true});
  return {};
}

void Server::start() {
  impl_->started = true;
  for (auto& listener : impl_->listeners) impl_->accept_on(listener);
  for (auto& thread : impl_->threads) thread->run();
}

Stopped Server::stop(std::chrono::seconds grace) {
  Impl& server = *impl_;
  if (!std::exchange(server.started, false)) return {};
  std::unique_lock lock(server.mutex);
  server.draining = true;
  lock.unlock();
  asio::post(server.threads.front()->io, [&server] {
    for (auto& descriptor : server.descriptors) descriptor->close();
    server.descriptors.clear();
    for (auto& listener : server.listeners) listener.fd.reset();
  });
  for (auto& thread : server.threads) thread->close_connections(false);
  lock.lock();
  const auto ended = [&] { return server.open == 0; };
  const bool in_time = server.changed.wait_for(lock, grace, [&] { return ended() || server.hurried; });
  const std::size_t left = server.open;
  if (!ended() && server.options.on_grace_over) {
    lock.unlock();
    server.options.on_grace_over();
    lock.lock();
  }
  // A connection that is being accepted right now may come late: repeat until none is left.
  while (!ended()) {
    for (auto& thread : server.threads) thread->close_connections(true);
    server.changed.wait_for(lock, std::chrono::milliseconds(100), ended);
  }
  lock.unlock();
  for (auto& thread : server.threads) thread->finish();
  for (const auto& path : server.socket_paths) ::unlink(path.c_str());
  return {left, in_time && left > 0};
}

void Server::run_on_each(const std::function<void()>& work) {
  for (auto& thread : impl_->threads) thread->run_soon(work);
}

void Server::hurry() {
  const std::lock_guard lock(impl_->mutex);
  impl_->hurried = true;
  impl_->changed.notify_all();
}

ServerStatistics Server::statistics() const {
  return {impl_->accepted, impl_->refused, impl_->open};
}

}  // namespace stele::http
