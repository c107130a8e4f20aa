#pragma once
// `WWW-Authenticate` of a 401: how the client is to prove who it is. Written here and nowhere else, in front
// of all faces, so that no 401 leaves without one.

#include <functional>
#include <string>

#include "http/exchange.hpp"

namespace stele::api {

struct ChallengeSettings {
  // There are users with passwords. Without: there is nothing to be asked for.
  bool passwords = false;
  // Empty: no tokens are made, and the registry's API asks for the password itself. Otherwise it asks for a
  // token and for nothing else: docker sends the password to each request when Basic stands there, too.
  std::string service = {};
  // Where another token server is to be asked; empty: /token of this one.
  std::string realm = {};
  // "https://registry.example.com", as the client reaches this server; empty when that cannot be told.
  std::function<std::string(const http::Exchange&)> base = {};
};

// Adds it to `response` if that is a 401. `refused`: what was presented did not hold.
void add_challenge(const ChallengeSettings&, const http::Exchange&, bool refused, http::Response& response);

}  // namespace stele::api
