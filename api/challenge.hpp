#pragma once
// `WWW-Authenticate` of a 401: how the client is to prove who it is. Written here and nowhere else, in front
// of all faces, so that no 401 leaves without one.

#include "http/exchange.hpp"

namespace stele::api {

struct ChallengeSettings {
  // There are users with passwords. Without: there is nothing to be asked for.
  bool passwords = false;
};

// Adds it to `response` if that is a 401.
void add_challenge(const ChallengeSettings&, const http::Exchange&, http::Response& response);

}  // namespace stele::api
