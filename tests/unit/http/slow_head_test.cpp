// Clients that take their time before a request, against the time that a head has.
#include <poll.h>

#include <chrono>
#include <string>

#include "base/thread_pool.hpp"
#include "http/server.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/http/raw_client.hpp"

namespace stele::http::slow_head_test {
namespace {

struct Silent final : Observer {
  void request_finished(const RequestSummary&) override {}
};

struct Answering final : Handler {
  Task<Response> handle(Exchange&) override { co_return std::move(Response(200).text("yes")); }
  Response refuse(int status, std::string_view) override { return Response(status); }
};

// Sends `bytes` again and again, one of the server's seconds apart, until the connection is ended; how often.
int sent_until_ended(std::string_view bytes, int at_most) {
  Silent observer;
  Answering handler;
  ThreadPool disk("test-disk", 1);
  ServerOptions options;
  options.tick = std::chrono::milliseconds(2);
  Server server(options, observer, disk);
  const auto port = server.listen_tcp("127.0.0.1", 0, handler).value().port;
  server.start();
  RawClient client(port);
  for (int count = 0; count < at_most; ++count) {
    if (!client.try_send(bytes)) return count;
    pollfd readable{client.fd(), POLLIN, 0};
    if (::poll(&readable, 1, static_cast<int>(options.tick.count())) > 0) return count;
  }
  return at_most;
}

}  // namespace

TEST_CASE("empty lines before a request win no time, however many come") {
  constexpr int most = 20'000;
  CHECK(sent_until_ended("\r\n", most) < most);
}

TEST_CASE("a head that comes byte by byte has the time of one head") {
  constexpr int most = 20'000;
  CHECK(sent_until_ended("G", most) < most);
}

}  // namespace stele::http::slow_head_test
