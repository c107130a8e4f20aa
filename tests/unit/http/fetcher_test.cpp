// The outbound client against servers that do everything wrong. The limits of time below are far from what a
// loaded machine needs, except where the test waits for the limit itself.
#include "http/fetcher.hpp"

#include "http/address_kind.hpp"
#include "tests/unit/http/scripted_server.hpp"

namespace stele::http {
namespace {

using std::chrono::milliseconds;

FetchRequest get(const Url& url) {
  FetchRequest request(url);
  request.proxy = "none";
  request.limits.connect = request.limits.head = request.limits.window = milliseconds(60'000);
  return request;
}

struct Answer {
  int status = 0;
  std::string body;
  std::optional<Error> error;  // of the head or of the body
  std::string place;           // of the last hop
};

Task<Answer> ask(Fetcher& fetcher, FetchRequest request) {
  Answer answer;
  auto fetched = co_await fetcher.fetch(std::move(request));
  if (!fetched) {
    answer.error = fetched.error();
    co_return answer;
  }
  answer.status = fetched->status();
  answer.place = fetched->url().str();
  std::vector<std::byte> buffer(10'000);
  for (;;) {
    auto got = co_await fetched->read_some(buffer);
    if (!got) answer.error = got.error();
    if (!got || *got == 0) co_return answer;
    answer.body.append(reinterpret_cast<const char*>(buffer.data()), *got);
  }
}

Answer run(FetchRequest request) {
  Fetcher fetcher;
  return sync_wait(ask(fetcher, std::move(request)));
}

std::string response(std::string_view body, std::string_view fields = "") {
  return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

std::string redirect(const std::string& to) {
  return "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nConnection: close\r\nLocation: " + to +
         "\r\n\r\n";
}

const auto follow_all = [](const Url&, const Url&) -> Result<void> { return {}; };

TEST_CASE(
    "a response comes with its status, its fields and every byte, and the request says what was asked for") {
  const std::string body(3'000'000, 'x');
  ScriptedServer server([&](ScriptedPeer& peer) {
    peer.request();
    peer.send(response(body, "X-Some: thing\r\nX-some: other\r\n"));
  });
  Fetcher fetcher;
  FetchRequest request = get(server.url("/v2/a?b=c"));
  request.fields.emplace_back("Accept", "application/json");
  request.authorization = "Bearer t";
  request.from = 7;
  const auto work = [&]() -> Task<void> {
    auto fetched = co_await fetcher.fetch(request);
    REQUIRE(fetched.has_value());
    CHECK(fetched->status() == 200);
    CHECK(fetched->header("x-SOME") == "thing");
    CHECK(fetched->headers("X-Some").size() == 2);
    CHECK(fetched->content_length() == body.size());
    const auto got = co_await fetched->read_all(body.size());
    REQUIRE(got.has_value());
    CHECK(*got == body);
  };
  sync_wait(work());
  REQUIRE(server.requests().size() == 1);
  const std::string seen = server.requests().front();
  CHECK(seen.starts_with("GET /v2/a?b=c HTTP/1.1\r\n"));
  for (const char* line : {"Accept: application/json\r\n", "Accept-Encoding: identity\r\n",
                           "Authorization: Bearer t\r\n", "Range: bytes=7-\r\n"})
    CHECK(seen.find(line) != std::string::npos);
}

TEST_CASE("a body larger than the caller's limit is not taken into memory") {
  ScriptedServer server([&](ScriptedPeer& peer) {
    peer.request();
    peer.send("HTTP/1.1 200 OK\r\n\r\n");
    while (peer.send(std::string(10'000, 'x'))) {
    }
  });
  Fetcher fetcher;
  const auto work = [&]() -> Task<void> {
    auto fetched = co_await fetcher.fetch(get(server.url("/")));
    REQUIRE(fetched.has_value());
    const auto got = co_await fetched->read_all(100'000);
    REQUIRE(!got.has_value());
    CHECK(got.error().code() == Errc::body_too_large);
  };
  sync_wait(work());
}

TEST_CASE("HEAD has no body, POST sends one") {
  ScriptedServer server([](ScriptedPeer& peer) {
    const std::string head = peer.request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
    if (!head.starts_with("HEAD")) peer.send("hello");
  });
  FetchRequest head = get(server.url("/h"));
  head.method = "HEAD";
  const Answer first = run(std::move(head));
  CHECK(!first.error);
  CHECK(first.body.empty());
  FetchRequest post = get(server.url("/p"));
  post.method = "POST";
  post.body = "a=b";
  CHECK(run(std::move(post)).body == "hello");
  const auto seen = server.requests();
  REQUIRE(seen.size() == 2);
  CHECK(seen[1].find("Content-Length: 3\r\n") != std::string::npos);
}

TEST_CASE("I6: a body that breaks off never ends as if it were whole") {
  const std::string half(500'000, 'x');
  const auto cut = GENERATE("length, close", "length, reset", "chunks, close", "chunks, reset");
  INFO(cut);
  const std::string how(cut);
  ScriptedServer server([&](ScriptedPeer& peer) {
    peer.request();
    if (how.starts_with("length")) {
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + half);
    } else {
      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7a120\r\n" + half + "\r\n");
    }
    if (how.ends_with("reset")) peer.reset();
  });
  const Answer answer = run(get(server.url("/")));
  REQUIRE(answer.error);
  CHECK(answer.error->code() == Errc::unavailable);
  CHECK(answer.body.size() <= half.size());
}

TEST_CASE("what does not answer, stands still or drips is given up when its time is over") {
  const auto kind = GENERATE("no head", "half a head", "no body", "drip");
  INFO(kind);
  const std::string how(kind);
  ScriptedServer server([&](ScriptedPeer& peer) {
    peer.request();
    if (how == "half a head") peer.send("HTTP/1.1 200 OK\r\nX-A: ");
    if (how == "no body") peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
    if (how == "drip") {
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
      while (peer.send("x")) std::this_thread::sleep_for(milliseconds(20));  // the drip itself
    }
    peer.wait_for_end();
  });
  FetchRequest request = get(server.url("/"));
  request.limits.head = request.limits.window = milliseconds(200);
  const Answer answer = run(std::move(request));
  REQUIRE(answer.error);
  CHECK(answer.error->code() == Errc::unavailable);
}

TEST_CASE("what drips for ever is given up when the time for all of it is over (I10)") {
  ScriptedServer server([](ScriptedPeer& peer) {
    peer.request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (peer.send("x")) std::this_thread::yield();
  });
  FetchRequest request = get(server.url("/"));
  request.limits.window_bytes = 1;
  request.limits.until = std::chrono::steady_clock::now() + milliseconds(100);
  const Answer answer = run(std::move(request));
  REQUIRE(answer.error);
  CHECK(answer.error->code() == Errc::unavailable);
  CHECK(answer.error->message().find("was not done in the time that there was for it") != std::string::npos);
}

TEST_CASE("a reader that takes its time holds the server up and is not taken for a stalled one (I10)") {
  constexpr std::size_t total = 64 << 20;
  constexpr std::size_t most_ahead = 24 << 20;  // our buffer, libcurl's, and the two of the kernel
  std::atomic<std::size_t> sent{0};
  ScriptedServer server([&](ScriptedPeer& peer) {
    peer.request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(total) + "\r\n\r\n");
    const std::string piece(64 << 10, 'x');
    while (sent < total && peer.send(piece)) sent += piece.size();
  });
  Fetcher fetcher;
  FetchRequest request = get(server.url("/"));
  // Twice as long as it would be given if the time that its reader takes counted.
  request.limits.window = milliseconds(2000);
  request.limits.window_bytes = total;
  const auto work = [&]() -> Task<void> {
    auto fetched = co_await fetcher.fetch(request);
    REQUIRE(fetched.has_value());
    std::vector<std::byte> buffer(64 << 10);
    std::size_t read = 0;
    std::size_t ahead = 0;
    while (read < total) {
      if (read == 0) std::this_thread::sleep_for(2 * request.limits.window);  // a busy reader
      auto got = co_await fetched->read_some(buffer);
      REQUIRE(got.has_value());
      REQUIRE(*got > 0);
      read += *got;
      ahead = std::max(ahead, sent - std::min<std::size_t>(sent, read));
      if (read > (8 << 20)) break;
    }
    CHECK(ahead < most_ahead);
  };
  sync_wait(work());
}

TEST_CASE("a transfer that is ended, by its reader or by a stop, lets its waiting reader go") {
  const bool all = GENERATE(false, true);
  std::atomic<bool> closed{false};
  ScriptedServer server([&](ScriptedPeer& peer) {
    peer.request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
    peer.wait_for_end();
    closed = true;
  });
  {
    Fetcher fetcher;
    std::thread ending;
    const auto work = [&]() -> Task<void> {
      auto fetched = co_await fetcher.fetch(get(server.url("/")));
      REQUIRE(fetched.has_value());
      std::vector<std::byte> buffer(3);
      const auto first = co_await fetched->read_some(buffer);
      REQUIRE(first.has_value());
      ending = std::thread([&] {
        if (all) {
          fetcher.abort_all();
        } else {
          fetched->abort();
        }
      });
      std::size_t read = *first;
      for (;;) {
        const auto got = co_await fetched->read_some(buffer);
        if (!got) break;
        read += *got;
      }
      CHECK(read == 3);
    };
    sync_wait(work());
    ending.join();
    if (all) CHECK(sync_wait(ask(fetcher, get(server.url("/")))).error);
  }
}

TEST_CASE("a head without end and a server that speaks no HTTP are refused") {
  const auto kind = GENERATE("huge head", "endless head", "not HTTP");
  const std::string how(kind);
  ScriptedServer server([&](ScriptedPeer& peer) {
    peer.request();
    if (how == "not HTTP") peer.send("SSH-2.0-OpenSSH\r\n\r\n");
    if (how == "huge head") peer.send("HTTP/1.1 200 OK\r\nX-A: " + std::string(80'000, 'a') + "\r\n\r\n");
    if (how == "endless head") {
      peer.send("HTTP/1.1 200 OK\r\n");
      while (peer.send("X-A: 0123456789\r\n")) {
      }
    }
  });
  const Answer answer = run(get(server.url("/")));
  REQUIRE(answer.error);
  CHECK((answer.error->code() == Errc::unavailable || how == "not HTTP"));
}

TEST_CASE("redirects are followed where the rule says so, with the credentials of the first origin only") {
  ScriptedServer cdn([&](ScriptedPeer& peer) {
    peer.request();
    peer.send(response("layer"));
  });
  ScriptedServer origin([&](ScriptedPeer& peer) {
    const std::string head = peer.request();
    if (head.starts_with("GET /one ")) {
      peer.send(redirect("/two"));
    } else {
      peer.send(redirect(cdn.url("/layer?signature=secret").str()));
    }
  });
  FetchRequest request = get(origin.url("/one"));
  request.authorization = "Bearer secret";

  SECTION("no rule, no redirect") {
    CHECK(run(request).status == 307);
    CHECK(cdn.connections() == 0);
  }
  SECTION("allowed") {
    request.may_follow = follow_all;
    const Answer answer = run(request);
    CHECK(answer.body == "layer");
    CHECK(answer.place == cdn.url("/layer?signature=secret").str());
    const auto at_origin = origin.requests();
    REQUIRE(at_origin.size() == 2);
    for (const std::string& head : at_origin)
      CHECK(head.find("Authorization: Bearer secret\r\n") != std::string::npos);
    REQUIRE(cdn.requests().size() == 1);
    const std::string at_cdn = cdn.requests().front();
    CHECK(at_cdn.find("secret\r\n") == std::string::npos);
    CHECK(at_cdn.find("Authorization") == std::string::npos);
  }
  SECTION("refused by the rule, in words without a signature") {
    request.may_follow = [&](const Url& from, const Url& to) -> Result<void> {
      if (from.same_origin(to)) return {};
      return Error(Errc::forbidden, "not there");
    };
    const Answer answer = run(request);
    REQUIRE(answer.error);
    CHECK(answer.error->code() == Errc::unavailable);
    CHECK(answer.error->message().find("not there") != std::string::npos);
    CHECK(answer.error->message().find("signature") == std::string::npos);
    CHECK(cdn.connections() == 0);
  }
}

TEST_CASE("a redirect loop ends, and a redirect to no http URL is refused") {
  const std::string to =
      GENERATE("/again", "ftp://example.invalid/", "file:///etc/passwd", "http://u:p@127.0.0.1/");
  ScriptedServer server([&](ScriptedPeer& peer) {
    peer.request();
    peer.send(redirect(to));
  });
  FetchRequest request = get(server.url("/"));
  request.may_follow = follow_all;
  const Answer answer = run(request);
  REQUIRE(answer.error);
  CHECK(answer.error->code() == Errc::unavailable);
  CHECK(server.connections() == (to == "/again" ? 6 : 1));
}

TEST_CASE("SSRF: a redirect to an address that may not be connected to makes no connection") {
  ScriptedServer inside([](ScriptedPeer& peer) {
    peer.request();
    peer.send(response("inside"));
  });
  const std::string host = GENERATE("localhost", "127.1", "0x7f000001", "2130706433");
  ScriptedServer server([&](ScriptedPeer& peer) {
    peer.request();
    peer.send(redirect("http://" + host + ":" + std::to_string(inside.url("/").port()) + "/"));
  });
  FetchRequest request = get(server.url("/"));
  request.may_follow = follow_all;
  request.may_connect = [](const Url&, std::string_view address) {
    return kind_of_address(address) == AddressKind::global;
  };
  SECTION("the written target itself is trusted, what it redirects to is not") {
    const Answer answer = run(request);
    REQUIRE(answer.error);
    CHECK(answer.error->code() == Errc::unavailable);
    CHECK(answer.error->message().find("a loopback address") != std::string::npos);
    CHECK(server.connections() == 1);
    CHECK(inside.connections() == 0);
  }
  SECTION("a target that somebody else named is checked as well") {
    request.trusted = false;
    CHECK(run(request).error->code() == Errc::unavailable);
    CHECK(server.connections() == 0);
  }
  SECTION("and is reached when the rule allows it") {
    request.may_connect = [](const Url&, std::string_view) { return true; };
    CHECK(run(request).body == "inside");
  }
}

}  // namespace
}  // namespace stele::http
