#include "server/access_log.hpp"

#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "base/hex.hpp"
#include "base/printable.hpp"

namespace stele {
namespace {

std::string_view or_dash(std::string_view text) {
  return text.empty() ? "-" : text;
}

// What clients send stays on its line and inside its quotes.
std::string escaped_in_quotes(std::string_view text) {
  constexpr std::size_t longest = 2000;
  std::string out = "\"";
  for (const char c : text.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      append_hex(out, byte);
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + '"';
}

std::string_view client_of(const http::RequestSummary& summary) {
  return summary.note.client.empty() ? std::string_view(summary.peer.address)
                                     : std::string_view(summary.note.client);
}

std::string principal_of(const http::RequestSummary& summary) {
  return summary.identity ? summary.identity->principal.name() : std::string();
}

std::string text_line(const http::RequestSummary& summary, const std::string& time) {
  std::string line = time;
  const auto add = [&](std::string_view word) {
    line += ' ';
    line += word;
  };
  add(summary.id);
  add(or_dash(client_of(summary)));
  add(escaped_in_quotes(or_dash(principal_of(summary))));
  add(summary.method);
  add(escaped_in_quotes(summary.target));
  add(std::to_string(summary.status));
  add("in=" + std::to_string(summary.bytes_received));
  add("out=" + std::to_string(summary.bytes_sent));
  add("ms=" + std::to_string(summary.microseconds / 1000) + '.' +
      std::to_string(summary.microseconds % 1000 / 100));
  if (!summary.note.repository.empty()) add("repository=" + summary.note.repository);
  if (!summary.note.reference.empty()) add("reference=" + escaped_in_quotes(summary.note.reference));
  if (!summary.complete) add("broken");
  if (!summary.note.error.empty()) add("error=" + escaped_in_quotes(summary.note.error));
  return line;
}

std::string json_line(const http::RequestSummary& summary, const std::string& time) {
  nlohmann::ordered_json line{{"time", time},
                              {"request_id", summary.id},
                              {"client", client_of(summary)},
                              {"principal", principal_of(summary)},
                              {"method", summary.method},
                              {"target", summary.target},
                              {"repository", summary.note.repository},
                              {"reference", summary.note.reference},
                              {"status", summary.status},
                              {"bytes_received", summary.bytes_received},
                              {"bytes_sent", summary.bytes_sent},
                              {"duration_ms", static_cast<double>(summary.microseconds) / 1000.0},
                              {"complete", summary.complete}};
  if (!summary.note.error.empty()) line["error"] = summary.note.error;
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

std::string access_line(const http::RequestSummary& summary, Config::LogFormat format,
                        const std::string& time) {
  return format == Config::LogFormat::json ? json_line(summary, time) : text_line(summary, time);
}

std::string lost_line(std::uint64_t lost, Config::LogFormat format, const std::string& time) {
  const std::string message = std::to_string(lost) +
                              " lines of requests were lost before this one: who reads standard "
                              "output did not keep up, or it could not be written";
  if (format == Config::LogFormat::text) return time + " - " + message;
  return nlohmann::ordered_json{{"time", time}, {"lost_lines", lost}, {"message", message}}.dump();
}

AccessLog::AccessLog(Config::LogFormat format, int fd)
    : format_(format),
      lines_(fd,
             [format](std::uint64_t lost) { return lost_line(lost, format, to_string(SystemClock().now())); },
             {}) {}

void AccessLog::write(const http::RequestSummary& summary) {
  lines_.write(access_line(summary, format_, to_string(SystemClock().now())));
}

}  // namespace stele
