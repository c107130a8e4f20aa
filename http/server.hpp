#pragma once
// Listeners and I/O threads: one io_context per thread, each connection stays on the thread with the fewest.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "base/thread_pool.hpp"
#include "http/exchange.hpp"
#include "http/tls.hpp"

namespace stele::http {

struct ServerOptions {
  unsigned threads = 2;
  std::size_t connections = 10'000;  // over all listeners; one more is answered 503 and closed
  std::size_t header_bytes = 32 * 1024;
  std::size_t memory_bytes = 24 * 1024 * 1024;  // of bodies and answers at once (MemoryBudget)
  // Between two looks at every connection; their limits (Watchdog) count looks as seconds. Shorter in tests.
  std::chrono::milliseconds tick{1000};
  // At each of them, on each I/O thread.
  std::function<void()> on_tick;
  // Called once by stop() when its grace is over, before the connections that are left are ended: whoever
  // feeds response bodies (ArrivingBody) ends them now. On the stopping thread.
  std::function<void()> on_grace_over;
};

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
};

// How a stop() came to its end.
struct Stopped {
  std::size_t cut_off = 0;  // connections that were ended though their requests were not
  bool hurried = false;     // they were because of hurry(), not because the grace was over
};

struct ServerStatistics {
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;  // over the limit
  std::size_t open = 0;
};

// `handler`s, `observer` and `cold_reads` outlive the server.
class Server {
 public:
  Server(ServerOptions options, Observer& observer, ThreadPool& cold_reads);
  ~Server();

  // `host` is an address or a name; port 0 takes a free one. Returns where it listens. Called before start().
  Result<Endpoint> listen_tcp(const std::string& host, std::uint16_t port, Handler& handler,
                              TlsContext* tls = nullptr);
  // A Unix socket, mode 0600; a stale one of the same path is replaced.
  Result<void> listen_unix(const std::string& path, Handler& handler);

  void start();

  // Stops accepting, closes idle connections, lets requests finish for `grace`, then ends the rest. Blocks.
  // Called once.
  Stopped stop(std::chrono::seconds grace);
  // Runs `work` on each I/O thread as soon as it gets to it. Thread-safe; does not wait.
  void run_on_each(const std::function<void()>& work);
  // Makes a running stop() end the grace at once. Async-signal-unsafe; thread-safe.
  void hurry();

  ServerStatistics statistics() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stele::http
