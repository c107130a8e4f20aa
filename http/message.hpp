#pragma once
// Requests and responses as handlers see them. RFC 9110 (semantics), RFC 9112 (HTTP/1.1).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"

namespace stele::http {

enum class Method { get, head, put, post, patch, del, options, other };

// "GET", …; "other" for what Stele does not know.
std::string_view to_string(Method);

// Header fields in the order they came. Views into the connection's buffer: valid until the response is sent.
struct Field {
  std::string_view name;
  std::string_view value;
};

// Compares as field names compare: ASCII, without case.
bool equals_ignoring_case(std::string_view, std::string_view);

struct RequestHead {
  Method method = Method::other;
  std::string_view method_text;
  std::string_view target;  // as sent
  std::string_view path;    // the target up to '?', still percent-encoded
  std::string_view query;   // behind '?', still percent-encoded
  int minor_version = 1;    // HTTP/1.<minor>
  std::vector<Field> fields;
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;
  bool expect_continue = false;

  // The first field of that name; empty when there is none.
  std::string_view header(std::string_view name) const;
  // All fields of that name as one list, joined with ", " (RFC 9110, 5.3).
  std::string joined_header(std::string_view name) const;
  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

// Part of a local file, sent without passing through memory where the transport allows.
struct FileSlice {
  std::shared_ptr<const void> owner;  // keeps `fd` open
  int fd = -1;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// Bytes of a body that are still arriving, for the one response that reads them, on its connection's thread.
class ArrivingBody {
 public:
  virtual ~ArrivingBody() = default;
  // Text, then a slice; either may be empty.
  struct Piece {
    std::string text;
    FileSlice file;
  };
  // The next piece, as soon as there is one: asked for when the one before has left, so that a slow client
  // slows its own producer only. An empty piece is the end. After an error the connection is reset: a part is
  // never taken for the whole (I6).
  virtual Task<Result<Piece>> next() = 0;
};

// What is sent after the head: text, then a slice, then what is arriving; each may be absent.
struct Segment {
  std::string text;
  FileSlice file;
  std::shared_ptr<ArrivingBody> arriving = nullptr;
  // How many bytes will arrive, if that is known: more or fewer are an error as above. Without it the
  // response has no Content-Length and comes in chunks, or, to HTTP/1.0, ends with its connection.
  std::optional<std::uint64_t> arriving_length = std::nullopt;
};

// A value, built by a handler. Content-Length is computed; for HEAD the body is counted and not sent.
class Response {
 public:
  explicit Response(int status = 200) : status_(status) {}

  int status() const { return status_; }
  const std::string& reason() const { return reason_; }
  Response& reason(std::string phrase) {
    reason_ = std::move(phrase);
    return *this;
  }
  // `name` and `value` must be valid header text; CR and LF in a value are replaced by spaces.
  Response& header(std::string_view name, std::string_view value);
  const std::string& fields() const { return fields_; }  // "Name: value\r\n" each
  // The value of a field set before; for tests and logs.
  std::string header_value(std::string_view name) const;

  Response& body(std::string text, std::string_view content_type);
  Response& text(std::string bytes) {
    text_ = std::move(bytes);
    return *this;
  }
  // The same for text that several answers hold at once (MemoryBudget::share).
  Response& shared_body(std::shared_ptr<const std::string> text, std::string_view content_type);
  const std::string& text() const { return shared_ ? *shared_ : text_; }
  // Of its own: without what it shares, and without files.
  std::size_t bytes_in_memory() const;
  Response& add_segment(Segment segment) {
    segments_.push_back(std::move(segment));
    return *this;
  }
  const std::vector<Segment>& segments() const { return segments_; }
  // Without what is arriving in an unknown number of bytes.
  std::uint64_t content_length() const;
  bool length_unknown() const;

  // 1xx, 204 and 304 have no body and no Content-Length (RFC 9110, 8.6).
  bool bodiless() const { return status_ < 200 || status_ == 204 || status_ == 304; }

  // The connection is closed after this response.
  Response& close() {
    close_ = true;
    return *this;
  }
  bool closes() const { return close_; }

 private:
  int status_;
  bool close_ = false;
  std::string reason_;
  std::string fields_;
  std::string text_;
  std::shared_ptr<const std::string> shared_;  // instead of text_
  std::vector<Segment> segments_;
};

// "Not Found" for 404; "Unknown" for what RFC 9110 does not name.
std::string_view reason_phrase(int status);

}  // namespace stele::http
