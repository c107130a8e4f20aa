#pragma once
// The framing of requests, checked strictly before anything is trusted (RFC 9112). Beast 1.81 accepts several
// forms that let two parties disagree where a request ends; what is ambiguous is refused here, never
// repaired. Chunked bodies are decoded by Beast (http/chunked_decoder.hpp), once their framing has been found
// unambiguous.

#include <cstddef>
#include <string_view>

#include "http/message.hpp"

namespace stele::http {

// A request that cannot be answered on its merits: the connection is closed after this status.
struct FramingError {
  int status = 400;
  std::string_view reason;  // a constant: names what is wrong
};

struct ParsedHead {
  RequestHead head;
  FramingError error;  // reason empty: none
  bool ok() const { return error.reason.empty(); }
};

// The length of the head in `buffer`, its empty line included; 0 when the end has not arrived.
// `searched` is where to go on looking; the caller keeps it at 0 for a new request.
std::size_t find_head_end(std::string_view buffer, std::size_t& searched);

// Parses one complete head. Refused: bare CR or LF, NUL and other controls, obs-fold, space before a colon,
// other versions than HTTP/1.0 and 1.1, a missing (1.1) or repeated Host, repeated or malformed
// Content-Length, any Transfer-Encoding but a single "chunked", both together, chunked in HTTP/1.0, an
// absolute target for another scheme, more than 100 fields.
ParsedHead parse_head(std::string_view block);

}  // namespace stele::http
