#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "http/uri.hpp"

namespace stele::api {

// GET /api/v1/usage?repository=<pattern>&n=…&after=…[&would_free=1]
AdminHandler::Answer AdminHandler::list_usage(http::Exchange& http, const AdminRoute&) {
  const auto limit = page_size(http.request().query, Usages::largest_page);
  if (!limit) co_return limit.error();
  const http::QueryParameters query(http.request().query);
  auto after = positions_.open(query.first("after").value_or(""));
  if (!after) co_return after.error();
  UsageQuery asked{std::string(query.first("repository").value_or("")),
                   std::move(*after),
                   *limit,
                   query.first("would_free").has_value(),
                   {}};
  const auth::Sight sight = context_.access.sight_of(http.identity(), {auth::Right::pull});
  if (!sight.everything()) asked.sees = [&sight](std::string_view name) { return sight.has(name); };
  const auto page = co_await context_.usages.list(std::move(asked));
  if (!page) co_return page.error();
  Json rows = Json::array();
  for (const UsageRow& row : page->rows) {
    Json entry = usage_json(row.usage);
    entry["repository"] = row.repository.str();
    entry["quota_bytes"] = nullptr;
    if (row.quota) entry["quota_bytes"] = *row.quota;
    entry["would_free_bytes"] = nullptr;
    if (row.would_free) entry["would_free_bytes"] = *row.would_free;
    rows.push_back(std::move(entry));
  }
  std::string next = page->next;
  const bool shown = !page->rows.empty() && page->rows.back().repository.str() == next;
  if (!next.empty() && !shown && !sight.everything()) next = positions_.seal(next);
  const Json body{{"repositories", std::move(rows)}, {"next", text_or_null(next)}};
  co_return json_response(body);
}

}  // namespace stele::api
