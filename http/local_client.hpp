#pragma once
// Requests to a server on this machine, through its Unix socket: what the command line's tools speak.
// Blocking; by libcurl.

#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele::http {

struct LocalAnswer {
  int status = 0;
  std::string body;  // empty when `sink` took it
};

// `sink` gets the body of a 200 piece by piece; returning false ends the transfer. unavailable when nobody
// answers there.
Result<LocalAnswer> request_local(const std::string& socket_path, std::string_view method,
                                  const std::string& target,
                                  const std::function<bool(std::string_view)>& sink = {});

}  // namespace stele::http
