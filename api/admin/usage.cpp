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
  UsageQuery asked{std::string(query.first("repository").value_or("")),
                   std::string(query.first("after").value_or("")), *limit,
                   query.first("would_free").has_value()};
  const auto page = co_await parts_.usages.list(std::move(asked));
  if (!page) co_return page.error();
  Json rows = Json::array();
  for (const UsageRow& row : page->rows) {
    Json entry = usage_json(row.usage);
    entry["repository"] = row.repository.str();
    entry["would_free_bytes"] = nullptr;
    if (row.would_free) entry["would_free_bytes"] = *row.would_free;
    rows.push_back(std::move(entry));
  }
  const Json body{{"repositories", std::move(rows)}, {"next", text_or_null(page->next)}};
  co_return json_response(body);
}

}  // namespace stele::api
