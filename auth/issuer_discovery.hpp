#pragma once
// Asking an issuer for its keys (OpenID Connect Discovery 1.0).

#include <string>

#include "base/result.hpp"
#include "base/task.hpp"
#include "http/fetcher.hpp"
#include "http/url.hpp"

namespace stele::auth {

struct IssuerPlace {
  std::string issuer;  // as tokens name it
  http::Url url;       // the same
  std::string ca;      // PEM; empty: the system's
  std::string proxy;   // as http::FetchRequest has it
};

// The text of the set of keys, by way of the issuer's configuration document. Both are fetched without
// credentials, and nothing of a token is sent. What the issuer names or redirects to may be anywhere in the
// world, and in a network of ours only where the issuer itself is; from https it never leads to http.
// Fifteen seconds at most, however slowly it talks. unavailable, naming what did not answer as it should.
Task<Result<std::string>> fetch_issuer_keys(http::Fetcher& fetcher, IssuerPlace place);

}  // namespace stele::auth
