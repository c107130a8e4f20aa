#include "http/request_parser.hpp"

#include <charconv>

#include "base/text.hpp"

namespace stele::http {
namespace {

constexpr std::size_t max_fields = 100;

constexpr bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  for (const char c : text) {
    if (!is_token_char(c)) return false;
  }
  return !text.empty();
}

Method method_of(std::string_view text) {
  if (text == "GET") return Method::get;
  if (text == "HEAD") return Method::head;
  if (text == "PUT") return Method::put;
  if (text == "POST") return Method::post;
  if (text == "PATCH") return Method::patch;
  if (text == "DELETE") return Method::del;
  if (text == "OPTIONS") return Method::options;
  return Method::other;
}

// Does a comma-separated list contain the word?
bool list_has(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (equals_ignoring_case(trimmed(list.substr(0, comma)), word)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

// Splits the target into path and query; refuses what is not origin-form or an absolute http(s) URI.
bool split_target(RequestHead& head) {
  std::string_view target = head.target;
  for (const char c : target) {
    const auto byte = static_cast<unsigned char>(c);  // a plain char's sign is the machine's affair
    if (byte <= 0x20 || byte >= 0x7f) return false;
  }
  if (target == "*") {
    head.path = target;
    return head.method == Method::options;
  }
  if (!target.starts_with('/')) {
    const std::size_t scheme = target.starts_with("http://") ? 7 : target.starts_with("https://") ? 8 : 0;
    if (scheme == 0) return false;
    const std::size_t slash = target.find('/', scheme);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  target = target.substr(0, target.find('#'));
  const std::size_t question = target.find('?');
  head.path = target.substr(0, question);
  head.query = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  return true;
}

// What one field says about framing; returns the reason for a refusal, or empty.
FramingError apply_framing_field(RequestHead& head, const Field& field, int& hosts,
                                 std::string_view& connection) {
  if (equals_ignoring_case(field.name, "host")) {
    if (++hosts > 1) return {400, "the request has more than one Host"};
  } else if (equals_ignoring_case(field.name, "content-length")) {
    if (head.content_length) return {400, "the request has more than one Content-Length"};
    std::uint64_t length = 0;
    const auto [end, failure] =
        std::from_chars(field.value.data(), field.value.data() + field.value.size(), length);
    if (failure != std::errc() || end != field.value.data() + field.value.size() || length > INT64_MAX) {
      return {400, "Content-Length is not a number"};
    }
    head.content_length = length;
  } else if (equals_ignoring_case(field.name, "transfer-encoding")) {
    if (head.chunked) return {400, "the request has more than one Transfer-Encoding"};
    if (!equals_ignoring_case(field.value, "chunked")) return {501, "Transfer-Encoding other than chunked"};
    head.chunked = true;
  } else if (equals_ignoring_case(field.name, "connection")) {
    if (list_has(field.value, "close")) connection = "close";
    if (connection.empty() && list_has(field.value, "keep-alive")) connection = "keep-alive";
  } else if (equals_ignoring_case(field.name, "expect")) {
    if (!equals_ignoring_case(field.value, "100-continue")) return {417, "Expect other than 100-continue"};
    head.expect_continue = true;
  }
  return {};
}

FramingError parse_request_line(std::string_view line, RequestHead& head) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos || line.find(' ', second + 1) != std::string_view::npos) {
    return {400, "the request line is malformed"};
  }
  head.method_text = line.substr(0, first);
  head.target = line.substr(first + 1, second - first - 1);
  const std::string_view version = line.substr(second + 1);
  if (version == "HTTP/1.1") {
    head.minor_version = 1;
  } else if (version == "HTTP/1.0") {
    head.minor_version = 0;
  } else {
    return {version.starts_with("HTTP/") ? 505 : 400, "the HTTP version is not 1.0 or 1.1"};
  }
  if (!is_token(head.method_text)) return {400, "the method is malformed"};
  head.method = method_of(head.method_text);
  if (!split_target(head)) return {400, "the request target is malformed"};
  return {};
}

}  // namespace

std::size_t find_head_end(std::string_view buffer, std::size_t& searched) {
  const std::size_t from = searched > 3 ? searched - 3 : 0;
  const std::size_t found = buffer.find("\r\n\r\n", from);
  searched = buffer.size();
  return found == std::string_view::npos ? 0 : found + 4;
}

ParsedHead parse_head(std::string_view block) {
  ParsedHead parsed;
  const auto fail = [&](int status, std::string_view reason) {
    parsed.error = {status, reason};
    return std::move(parsed);
  };
  // CR and LF only ever together; no other control character but a tab inside a value.
  for (std::size_t i = 0; i < block.size(); ++i) {
    const auto c = static_cast<unsigned char>(block[i]);
    if (c == '\r') {
      if (i + 1 == block.size() || block[i + 1] != '\n') return fail(400, "a bare CR in the head");
      ++i;
    } else if (c == '\n') {
      return fail(400, "a bare LF in the head");
    } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
      return fail(400, "a control character in the head");
    }
  }

  std::size_t end = block.find("\r\n");
  if (end == std::string_view::npos) return fail(400, "the request line is malformed");
  parsed.error = parse_request_line(block.substr(0, end), parsed.head);
  if (!parsed.ok()) return parsed;

  int hosts = 0;
  std::string_view connection;
  RequestHead& head = parsed.head;
  head.fields.reserve(16);
  for (std::string_view rest = block.substr(end + 2);;) {
    end = rest.find("\r\n");
    if (end == std::string_view::npos) return fail(400, "the head does not end with an empty line");
    if (end == 0) break;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    if (line.front() == ' ' || line.front() == '\t') return fail(400, "a folded header line");
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      return fail(400, "a header field name is malformed");
    }
    const Field field{line.substr(0, colon), trimmed(line.substr(colon + 1))};
    parsed.error = apply_framing_field(head, field, hosts, connection);
    if (!parsed.ok()) return parsed;
    if (head.fields.size() == max_fields) return fail(431, "more than 100 header fields");
    head.fields.push_back(field);
  }
  if (hosts == 0 && head.minor_version == 1) return fail(400, "the request has no Host");
  if (head.chunked && head.content_length)
    return fail(400, "the request has both Transfer-Encoding and Content-Length");
  if (head.chunked && head.minor_version == 0) return fail(400, "Transfer-Encoding in HTTP/1.0");
  head.keep_alive = head.minor_version == 1 ? connection != "close" : connection == "keep-alive";
  if (head.minor_version == 0) head.expect_continue = false;  // RFC 9110, 10.1.1
  return parsed;
}

}  // namespace stele::http
