#pragma once
// The one place that turns an Error into an answer: status, code of the distribution specification ("Error
// Codes"), JSON.

#include <string_view>

#include "base/error.hpp"
#include "http/message.hpp"

namespace stele::api {

// HTTP status and error code of a condition.
struct ErrorForm {
  int status;
  std::string_view code;
};
ErrorForm form_of(Errc);

// The store failed, and not the request: no space, I/O, damage. What operators are alarmed by.
bool is_store_failure(Errc);
http::Response error_response(const Error&);

// For requests that never became an Error: framing, internal failures.
http::Response error_response(int status, std::string_view message);

}  // namespace stele::api
