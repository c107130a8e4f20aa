#include "http/request_parser.hpp"
#include "tests/support/catch.hpp"

namespace stele::http {
namespace {

int status_of(const std::string& head) {
  const ParsedHead parsed = parse_head(head);
  return parsed.ok() ? 200 : parsed.error.status;
}

TEST_CASE("http: a request head") {
  const std::string text =
      "PUT /v2/a/manifests/x?tag=1&tag=2 HTTP/1.1\r\nHost: h\r\nAccept: a\r\naccept:b\r\nContent-Length: "
      "12\r\n\r\n";
  const ParsedHead parsed = parse_head(text);
  REQUIRE(parsed.ok());
  const RequestHead& head = parsed.head;
  CHECK(head.method == Method::put);
  CHECK(head.path == "/v2/a/manifests/x");
  CHECK(head.query == "tag=1&tag=2");
  CHECK(head.joined_header("ACCEPT") == "a, b");
  CHECK(head.content_length == 12);
  CHECK(head.keep_alive);
  CHECK(parse_head("GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n").head.path == "/x");
  CHECK_FALSE(parse_head("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
  CHECK(parse_head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head.keep_alive);
  CHECK_FALSE(parse_head("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n").head.keep_alive);
  CHECK(parse_head("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n")
            .head.expect_continue);
}

TEST_CASE("http: a target of other bytes than printable ASCII is refused, on every machine") {
  for (const char c : {'\x01', ' ', '\x7f', '\x80', '\xff'})
    CHECK(status_of("GET /a" + std::string(1, c) + "b HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
}

TEST_CASE("http: what two parties could frame differently is refused") {
  const std::string start = "POST /v2/ HTTP/1.1\r\nHost: h\r\n";
  CHECK(status_of(start + "\r\n") == 200);
  CHECK(status_of(start + "Transfer-Encoding: chunked\r\n\r\n") == 200);
  CHECK(status_of(start + "Transfer-Encoding: Chunked\r\n\r\n") == 200);
  for (const std::string& fields :
       {std::string("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        std::string("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        std::string("Transfer-Encoding: chunked, chunked\r\n"),
        std::string("Transfer-Encoding: gzip\r\n"),
        std::string("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"),
        std::string("Transfer-Encoding: chunked, gzip\r\n"),
        std::string("Transfer-Encoding: xchunked\r\n"),
        std::string("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        std::string("Transfer-Encoding : chunked\r\n"),
        std::string("Transfer-Encoding:\r\n chunked\r\n"),
        std::string("Transfer-Encoding: \x0b"
                    "chunked\r\n"),
        std::string("Transfer\xff-Encoding: chunked\r\n"),
        std::string("Content-Length: 5\r\nContent-Length: 5\r\n"),
        std::string("Content-Length: 5, 5\r\n"),
        std::string("Content-Length: +5\r\n"),
        std::string("Content-Length: -5\r\n"),
        std::string("Content-Length: 0x5\r\n"),
        std::string("Content-Length: 5 5\r\n"),
        std::string("Content-Length: \r\n"),
        std::string("Content-Length: 99999999999999999999\r\n"),
        std::string("Content-Length : 5\r\n"),
        std::string("Host: other\r\n"),
        std::string(" folded: x\r\n"),
        std::string("X: a\r\n b\r\n"),
        std::string("X: a\nY: b\r\n"),
        std::string("X: a\rY: b\r\n"),
        std::string("X: a\0b\r\n", 8),
        std::string("no colon\r\n"),
        std::string(": empty\r\n"),
        std::string("Expect: 200-maybe\r\n")}) {
    INFO(fields);
    const int status = status_of(start + fields + "\r\n");
    CHECK(status >= 400);
  }
  for (const std::string& head :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
        std::string("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"), std::string("GET /\r\nHost: h\r\n\r\n"),
        std::string("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), std::string("GET / http/1.1\r\nHost: h\r\n\r\n"),
        std::string("GET / HTTP/1.10\r\nHost: h\r\n\r\n"), std::string("G{T / HTTP/1.1\r\nHost: h\r\n\r\n"),
        std::string("GET x HTTP/1.1\r\nHost: h\r\n\r\n"), std::string("GET /\tx HTTP/1.1\r\nHost: h\r\n\r\n"),
        std::string("GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        std::string("GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
        std::string("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")}) {
    INFO(head);
    CHECK(status_of(head) >= 400);
  }
}

TEST_CASE("http: heads are bounded (I10)") {
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 99; ++i) many += "X: y\r\n";
  CHECK(status_of(many + "\r\n") == 200);
  CHECK(status_of(many + "X: y\r\n\r\n") == 431);
}

TEST_CASE("http: the end of a head is found however it arrives") {
  const std::string text = "GET / HTTP/1.1\r\nHost: h\r\n\r\nrest";
  std::size_t searched = 0;
  for (std::size_t length = 1; length <= text.size(); ++length) {
    const std::size_t end = find_head_end(std::string_view(text).substr(0, length), searched);
    CHECK(end == (length >= text.size() - 4 ? text.size() - 4 : 0));
    if (end != 0) break;
  }
}

}  // namespace
}  // namespace stele::http
