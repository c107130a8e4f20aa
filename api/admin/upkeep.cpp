#include <charconv>
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "http/uri.hpp"

namespace stele::api {

// POST /api/v1/backup
AdminHandler::Answer AdminHandler::make_backup(http::Exchange&, const AdminRoute&) {
  auto copy = co_await context_.administration.copy_catalog();
  if (!copy) co_return copy.error();
  http::Response response(200);
  response.header("Content-Type", "application/vnd.sqlite3");
  http::Segment segment{{}, std::move(*copy)};
  response.add_segment(std::move(segment));
  co_return response;
}

// POST /api/v1/sweep?grace_seconds=…[&all=1]
AdminHandler::Answer AdminHandler::sweep(http::Exchange& http, const AdminRoute&) {
  const http::QueryParameters query(http.request().query);
  gc::SweepLimits limits;
  const auto text = query.first("grace_seconds").value_or("");
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), limits.grace_seconds);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || limits.grace_seconds < 0) {
    co_return Error(Errc::parameter_invalid, "grace_seconds= must be a number of seconds, 0 or more");
  }
  limits.remove_many = query.first("all").has_value();
  const auto report = co_await context_.administration.sweep(limits);
  if (!report) co_return report.error();
  const Json body{{"uploads_removed", report->uploads_removed},
                  {"blobs_removed", report->blobs_removed},
                  {"bytes_removed", report->bytes_removed},
                  {"failed", report->failed},
                  {"withheld", report->withheld},
                  {"foreign", report->foreign}};
  co_return json_response(body);
}

}  // namespace stele::api
