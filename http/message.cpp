#include "http/message.hpp"

#include <algorithm>

namespace stele::http {

std::string_view to_string(Method method) {
  switch (method) {
    case Method::get:
      return "GET";
    case Method::head:
      return "HEAD";
    case Method::put:
      return "PUT";
    case Method::post:
      return "POST";
    case Method::patch:
      return "PATCH";
    case Method::del:
      return "DELETE";
    case Method::options:
      return "OPTIONS";
    case Method::other:
      break;
  }
  return "other";
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string_view RequestHead::header(std::string_view name) const {
  for (const Field& field : fields) {
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return {};
}

std::string RequestHead::joined_header(std::string_view name) const {
  std::string joined;
  bool first = true;
  for (const Field& field : fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    if (!first) joined += ", ";
    first = false;
    joined += field.value;
  }
  return joined;
}

Response& Response::header(std::string_view name, std::string_view value) {
  fields_.append(name);
  fields_.append(": ");
  if (value.find_first_of("\r\n") == std::string_view::npos) {
    fields_.append(value);
  } else {
    for (const char c : value) fields_ += (c == '\r' || c == '\n') ? ' ' : c;
  }
  fields_.append("\r\n");
  return *this;
}

std::string Response::header_value(std::string_view name) const {
  std::string_view rest = fields_;
  while (!rest.empty()) {
    const std::size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    const std::size_t colon = line.find(": ");
    if (equals_ignoring_case(line.substr(0, colon), name)) return std::string(line.substr(colon + 2));
    rest.remove_prefix(end + 2);
  }
  return {};
}

Response& Response::body(std::string content, std::string_view content_type) {
  header("Content-Type", content_type);
  text_ = std::move(content);
  return *this;
}

Response& Response::shared_body(std::shared_ptr<const std::string> content, std::string_view content_type) {
  header("Content-Type", content_type);
  shared_ = std::move(content);
  return *this;
}

std::size_t Response::bytes_in_memory() const {
  std::size_t bytes = text_.size();
  for (const Segment& segment : segments_) bytes += segment.text.size();
  return bytes;
}

std::uint64_t Response::content_length() const {
  std::uint64_t length = text().size();
  for (const Segment& segment : segments_)
    length += segment.text.size() + segment.file.length + segment.arriving_length.value_or(0);
  return length;
}

bool Response::length_unknown() const {
  return std::any_of(segments_.begin(), segments_.end(),
                     [](const Segment& segment) { return segment.arriving && !segment.arriving_length; });
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

}  // namespace stele::http
