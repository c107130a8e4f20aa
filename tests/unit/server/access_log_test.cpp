#include "server/access_log.hpp"

#include <nlohmann/json.hpp>

#include "server/diagnostic_log.hpp"
#include "tests/support/catch.hpp"

namespace stele {
namespace {

constexpr auto text = Config::LogFormat::text;
constexpr auto json = Config::LogFormat::json;

struct Request {
  std::string method = "GET";
  std::string target = "/v2/a/manifests/1.0";
  http::Exchange::Note note;
  Identity identity;
  http::Peer peer{"192.0.2.1", false, {}, std::nullopt};
  std::string id = "0123456789ab00000001";
  int status = 200;
  bool complete = true;

  Request() {
    note.repository = "a";
    note.reference = "1.0";
  }
  std::string line(Config::LogFormat format) const {
    const http::RequestSummary summary{method, target, note, peer, &identity, id,
                                       status, 12,     345,  6789, complete};
    return access_line(summary, format, "2026-11-23T06:00:00.000Z");
  }
};

TEST_CASE("access log: the line of a request") {
  Request request;
  CHECK(request.line(text) ==
        "2026-11-23T06:00:00.000Z 0123456789ab00000001 192.0.2.1 \"anonymous\" GET \"/v2/a/manifests/1.0\" "
        "200 in=12 "
        "out=345 ms=6.7 repository=a reference=\"1.0\"");
  const auto object = nlohmann::json::parse(request.line(json));
  CHECK(object.at("time") == "2026-11-23T06:00:00.000Z");
  CHECK(object.at("request_id") == request.id);
  CHECK(object.at("client") == "192.0.2.1");
  CHECK(object.at("principal") == "anonymous");
  CHECK(object.at("method") == "GET");
  CHECK(object.at("target") == request.target);
  CHECK(object.at("repository") == "a");
  CHECK(object.at("reference") == "1.0");
  CHECK(object.at("status") == 200);
  CHECK(object.at("bytes_received") == 12);
  CHECK(object.at("bytes_sent") == 345);
  CHECK(object.at("duration_ms") == 6.789);
  CHECK(object.at("complete") == true);
  CHECK_FALSE(object.contains("error"));

  request.note.client = "198.51.100.7";
  request.complete = false;
  request.note.error = "it \"broke\"";
  CHECK(request.line(text).find(" 198.51.100.7 ") != std::string::npos);
  CHECK(request.line(text).ends_with("reference=\"1.0\" broken error=\"it \\\"broke\\\"\""));
}

TEST_CASE("access log: nothing that a client sends begins a line or leaves its quotes") {
  for (int byte = 0; byte < 256; ++byte) {
    for (const bool in_target : {true, false}) {
      Request request;
      const std::string hostile = std::string("x") + static_cast<char>(byte) + "\" 200 in=0";
      (in_target ? request.target : request.note.reference) = hostile;
      request.note.error = hostile;
      const std::string line = request.line(text);
      INFO(byte);
      for (const char c : line) {
        const auto code = static_cast<unsigned char>(c);
        CHECK((code >= 0x20 && code != 0x7f));
      }
      // Each quote within is escaped: unescaped ones come in the pairs that the line itself writes.
      std::size_t quotes = 0;
      for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\') {
          ++i;
        } else if (line[i] == '"') {
          ++quotes;
        }
      }
      CHECK(quotes == 8);
      const std::string object = request.line(json);
      CHECK(object.find('\n') == std::string::npos);
      CHECK_NOTHROW(nlohmann::json::parse(object));
    }
  }
  Request request;
  request.target = "/" + std::string(1'000'000, 'a');
  CHECK(request.line(text).size() < 10'000);
}

TEST_CASE("diagnostic log: a message stays on its line and inside its string") {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string hostile = std::string("x\"}\n") + static_cast<char>(byte);
    CHECK(escaped_message(hostile, text).find('\n') == std::string::npos);
    const std::string line = R"({"message":")" + escaped_message(hostile, json) + R"("})";
    INFO(line);
    CHECK(nlohmann::json::parse(line).size() == 1);
  }
}

}  // namespace
}  // namespace stele
