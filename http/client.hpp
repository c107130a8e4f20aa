#pragma once
// Requests to a Stele server, through its Unix socket or over the network: what the command line's tools
// speak. Blocking; by libcurl, which also reads the usual proxy variables.

#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace stele::http {

struct ClientTarget {
  std::string socket_path;  // the server's stele.sock; empty: `url` counts
  std::string url;          // "https://registry.example:5000"
  std::string token;        // sent as Bearer token; empty: none
  std::string user;         // sent with `password` as Basic; empty: none
  std::string password;
  bool form = false;    // bodies are forms and no JSON
  std::string ca_file;  // PEM; empty: the system's
};

struct ClientAnswer {
  int status = 0;
  std::string body;  // empty when `sink` took it
};

// `path`: with its query, percent-encoded. `body`: JSON, empty for none. `sink` gets the body of a 200 piece
// by piece; returning false ends the transfer. unavailable when nobody answers there, or not as a server
// should. Redirects are not followed.
Result<ClientAnswer> request(const ClientTarget&, std::string_view method, std::string_view path,
                             const std::string& body = {},
                             const std::function<bool(std::string_view)>& sink = {});

}  // namespace stele::http
