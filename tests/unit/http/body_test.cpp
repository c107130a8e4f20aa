#include "http/chunked_decoder.hpp"
#include "http/message.hpp"
#include "http/socket_stream.hpp"
#include "http/uri.hpp"
#include "tests/support/catch.hpp"

namespace stele::http {
namespace {

struct Decoded {
  std::string text;
  bool done = false;
  bool malformed = false;
  std::string rest;
};

// Feeds `wire` in pieces of `piece` bytes with room for `room` bytes at a time.
Decoded decode(const std::string& wire, std::size_t piece, std::size_t room) {
  ChunkedDecoder decoder;
  Decoded result;
  std::string pending;
  std::vector<std::byte> out(room);
  for (std::size_t at = 0;;) {
    const auto step = decoder.decode(pending, out);
    pending.erase(0, step.consumed);
    result.text.append(reinterpret_cast<const char*>(out.data()), step.produced);
    if (step.malformed || step.done) {
      result.done = step.done;
      result.malformed = step.malformed;
      result.rest = pending + wire.substr(at);
      return result;
    }
    if (step.consumed == 0 && step.produced == 0) {
      if (at == wire.size()) return result;
      pending += wire.substr(at, piece);
      at += std::min(piece, wire.size() - at);
    }
  }
}

TEST_CASE("http: a chunked body is the same however it is cut") {
  const std::string wire =
      "5\r\nhello\r\n1;ext=\"x\"\r\n \r\n0b\r\nworld world\r\n0\r\nTrailer: x\r\n\r\nGET /next";
  for (std::size_t piece = 1; piece <= wire.size(); ++piece) {
    for (const std::size_t room : {std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
      const Decoded decoded = decode(wire, piece, room);
      INFO(piece << " " << room);
      CHECK(decoded.done);
      CHECK(decoded.text == "hello world world");
      CHECK(decoded.rest == "GET /next");
    }
  }
}

TEST_CASE("http: broken chunks are noticed") {
  for (const char* wire : {"x\r\nhello\r\n", "-5\r\nhello\r\n", "5\r\nhelloXX0\r\n\r\n",
                           "ffffffffffffffffff\r\n", " 5\r\nhello\r\n0\r\n\r\n"}) {
    INFO(wire);
    const Decoded decoded = decode(wire, 100, 100);
    CHECK(decoded.malformed);
    CHECK_FALSE(decoded.done);
  }
  CHECK_FALSE(decode("5\r\nhel", 100, 100).done);
}

TEST_CASE("http: percent-encoding is undone once") {
  CHECK(percent_decode("a%2Fb%3a") == "a/b:");
  CHECK(percent_decode("%252e") == "%2e");
  CHECK(percent_decode("a+b") == "a+b");
  for (const char* text : {"%", "%2", "a%", "%zz", "%2z", "%+f", "%-1", "% 1", "%0x41", "a%00b"})
    CHECK_FALSE(percent_decode(text).has_value());
  const QueryParameters query("tag=a&tag=b%2Fc&empty=&=x&bad=%zz&flag");
  CHECK(query.all("tag") == std::vector<std::string_view>{"a", "b/c"});
  CHECK(query.first("empty") == "");
  CHECK(query.first("flag") == "");
  CHECK_FALSE(query.first("bad").has_value());
  CHECK(percent_encode("a/b c") == "a%2Fb%20c");
  CHECK(percent_encode("\xc3\xbc") == "%C3%BC");
}

TEST_CASE("http: a response's fields cannot be split") {
  Response response(404);
  response.header("X", "a\r\nSet-Cookie: b").body("12345", "text/plain");
  CHECK(response.fields().find("\r\nSet-Cookie") == std::string::npos);
  CHECK(response.header_value("x") == "a  Set-Cookie: b");
  CHECK(response.content_length() == 5);
  CHECK(Response(204).bodiless());
  CHECK(Response(304).bodiless());
  CHECK_FALSE(Response(200).bodiless());
}

TEST_CASE("http: the watchdog counts waiting, not working (I10)") {
  Watchdog watchdog;
  std::uint64_t in_kernel = 0;
  const auto kept = [&] { return in_kernel; };
  watchdog.enter(Watchdog::Phase::head);
  for (int second = 0; second < 1000; ++second) CHECK_FALSE(watchdog.expired(kept));  // we are at work
  watchdog.waiting(true);
  for (unsigned second = 0; second < Watchdog::head_seconds; ++second) CHECK_FALSE(watchdog.expired(kept));
  CHECK(watchdog.expired(kept));

  watchdog.enter(Watchdog::Phase::transfer);
  for (int window = 0; window < 10; ++window) {
    watchdog.moved(Watchdog::min_window_bytes);
    for (unsigned second = 0; second < Watchdog::window_seconds; ++second)
      CHECK_FALSE(watchdog.expired(kept));
  }
  watchdog.moved(Watchdog::min_window_bytes - 1);
  for (unsigned second = 1; second < Watchdog::window_seconds; ++second) CHECK_FALSE(watchdog.expired(kept));
  CHECK(watchdog.expired(kept));

  // A reader: the kernel took all of it at once, and what counts is what the peer has acknowledged.
  watchdog.enter(Watchdog::Phase::transfer);
  watchdog.moved(4'000'000);
  in_kernel = 4'000'000;
  for (int window = 0; window < 10; ++window) {
    for (unsigned second = 0; second < Watchdog::window_seconds; ++second) {
      CHECK_FALSE(watchdog.expired(kept));
      in_kernel -= 1000;
    }
  }
  in_kernel -= 500;  // and then no more
  for (unsigned second = 1; second < Watchdog::window_seconds; ++second) CHECK_FALSE(watchdog.expired(kept));
  CHECK(watchdog.expired(kept));

  watchdog.enter(Watchdog::Phase::idle);
  for (unsigned second = 0; second < Watchdog::idle_seconds; ++second) CHECK_FALSE(watchdog.expired(kept));
  CHECK(watchdog.expired(kept));
}

}  // namespace
}  // namespace stele::http
