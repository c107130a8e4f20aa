// Handlers that answer without having read the body, over real connections.
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "base/thread_pool.hpp"
#include "http/server.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/http/raw_client.hpp"

namespace stele::http {
namespace {

struct Received final : Observer {
  void request_finished(const RequestSummary& summary) override {
    const std::lock_guard lock(mutex);
    bytes.push_back(summary.bytes_received);
  }
  std::mutex mutex;
  std::vector<std::uint64_t> bytes;
};

// Refuses at once, and says when it did.
struct Refusing final : Handler {
  std::promise<void> first;
  std::once_flag once;
  Task<Response> handle(Exchange&) override {
    std::call_once(once, [this] { first.set_value(); });
    co_return std::move(Response(403).text("no"));
  }
  Response refuse(int status, std::string_view) override { return Response(status); }
};

TEST_CASE(
    "an early answer waits for a small body, so that no proxy sends its next request in the body's place") {
  Received observer;
  Refusing handler;
  ThreadPool disk("test-disk", 1);
  Server server(ServerOptions{}, observer, disk);
  const auto port = server.listen_tcp("127.0.0.1", 0, handler).value().port;
  server.start();

  RawClient client(port);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\n");
  handler.first.get_future().wait();
  client.send("{\"reason\":\"x\"}GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const std::string all = client.read_all();
  const std::size_t first = all.find("HTTP/1.1 403"), second = all.find("HTTP/1.1 403", first + 1);
  CHECK(first == 0);
  CHECK(second != std::string::npos);
  CHECK(all.find("HTTP/1.1 400") == std::string::npos);
  const std::lock_guard lock(observer.mutex);
  CHECK(observer.bytes == std::vector<std::uint64_t>{14, 0});
}

}  // namespace
}  // namespace stele::http
