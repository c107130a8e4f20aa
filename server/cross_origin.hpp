#pragma once
// Scripts of other web pages (CORS): which of them browsers let read the registry's answers.
// The Fetch standard (fetch.spec.whatwg.org), "HTTP-CORS protocol".

#include <string>
#include <utility>
#include <vector>

#include "http/exchange.hpp"

namespace stele {

// In front of everything that asks who is there: a preflight carries no credentials. Thread-safe.
class CrossOriginHandler final : public http::Handler {
 public:
  // `origins`: scheme://host[:port] in small letters, or one "*", which is for reading and without
  // credentials. None: `next` answers everything. `next` outlives it.
  CrossOriginHandler(std::vector<std::string> origins, http::Handler& next)
      : origins_(std::move(origins)), every_(origins_ == std::vector<std::string>{"*"}), next_(next) {}
  Task<http::Response> handle(http::Exchange&) override;
  http::Response refuse(int status, std::string_view why) override { return next_.refuse(status, why); }

 private:
  bool lets(std::string_view origin) const;
  void add_headers(std::string_view origin, http::Response&) const;

  const std::vector<std::string> origins_;
  const bool every_;
  http::Handler& next_;
};

}  // namespace stele
