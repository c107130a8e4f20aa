// Handlers that answer without having read the body, over real connections.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "base/thread_pool.hpp"
#include "base/unique_fd.hpp"
#include "http/server.hpp"
#include "tests/support/catch.hpp"

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

  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const auto send = [&](std::string_view text) {
    REQUIRE(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  };
  send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\n");
  handler.first.get_future().wait();
  send("{\"reason\":\"x\"}GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  std::string all;
  char buffer[4096];
  for (ssize_t got; (got = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
    all.append(buffer, static_cast<std::size_t>(got));
  const std::size_t first = all.find("HTTP/1.1 403"), second = all.find("HTTP/1.1 403", first + 1);
  CHECK(first == 0);
  CHECK(second != std::string::npos);
  CHECK(all.find("HTTP/1.1 400") == std::string::npos);
  const std::lock_guard lock(observer.mutex);
  CHECK(observer.bytes == std::vector<std::uint64_t>{14, 0});
}

}  // namespace
}  // namespace stele::http
