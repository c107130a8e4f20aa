#include "api/challenge.hpp"

namespace stele::api {

void add_challenge(const ChallengeSettings& settings, const http::Exchange&, http::Response& response) {
  if (response.status() != 401 || !settings.passwords) return;
  // RFC 7617, section 2.1: names and passwords are UTF-8.
  response.header("WWW-Authenticate", "Basic realm=\"stele\", charset=\"UTF-8\"");
}

}  // namespace stele::api
