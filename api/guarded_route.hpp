#pragma once
// The rows of a face's table of routes: which endpoint and method, which right is asked for, who answers.
// Without a right a row does not compile.

#include <span>
#include <string>

#include "auth/access.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "http/exchange.hpp"

namespace stele::api {

template <class Handler, class Endpoint, class Route>
struct GuardedRoute {
  using Answerer = Task<Result<http::Response>> (Handler::*)(http::Exchange&, const Route&);
  using Over = auth::Needs::Over;

  constexpr GuardedRoute(Endpoint path, http::Method verb, auth::Right right, const char* what, Answerer who,
                         Over over = Over::route)
      : endpoint(path), method(verb), needs(right, what, over), answerer(who) {}
  // `also`: rights that are as good.
  constexpr GuardedRoute(Endpoint path, http::Method verb, auth::Right right, policy::Rights also,
                         const char* what, Answerer who, Over over = Over::route)
      : endpoint(path), method(verb), needs(right, also, what, over), answerer(who) {}

  Endpoint endpoint;
  http::Method method;
  auth::Needs needs;
  Answerer answerer;
};

// The row for this endpoint and method. Without one `row` is null, and `allowed` has the methods that the
// endpoint knows, as the header Allow wants them.
template <class Row>
struct FoundRoute {
  const Row* row = nullptr;
  std::string allowed;
};
template <class Row, class Endpoint>
FoundRoute<Row> find_route(std::span<const Row> table, Endpoint endpoint, http::Method method) {
  FoundRoute<Row> found;
  for (const Row& row : table) {
    if (row.endpoint != endpoint) continue;
    if (row.method == method) return {&row, {}};
    found.allowed += (found.allowed.empty() ? "" : ", ") + std::string(http::to_string(row.method));
  }
  return found;
}

// May the caller, as far as the row says? Rows that hold somewhere, or over the server, are asked without the
// route's repository.
template <class Row>
Result<void> may_ask(const auth::Access& access, const http::Exchange& http, const Row& row,
                     const std::optional<RepositoryName>& repository) {
  const bool named = repository && row.needs.over != auth::Needs::Over::somewhere;
  return access.may(http.identity(), row.needs, named ? &*repository : nullptr);
}

}  // namespace stele::api
