#include "api/admin/admin_handler.hpp"

#include <unistd.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "api/error_response.hpp"
#include "auth/identify.hpp"
#include "base/printable.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

http::Response sweep_response(const gc::SweepReport& report) {
  const nlohmann::ordered_json body{{"uploads_removed", report.uploads_removed},
                                    {"blobs_removed", report.blobs_removed},
                                    {"bytes_removed", report.bytes_removed},
                                    {"failed", report.failed},
                                    {"withheld", report.withheld},
                                    {"foreign", report.foreign}};
  http::Response response(200);
  response.body(body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n",
                "application/json");
  return response;
}

}  // namespace

Task<http::Response> AdminHandler::handle(http::Exchange& http) {
  http.note.route = "admin";
  http.note.principal = auth::identify(http.peer()).name();
  auto answer = co_await dispatch(http);
  if (answer) co_return std::move(*answer);
  http.note.error = answer.error().message();
  co_return error_response(answer.error());
}

http::Response AdminHandler::refuse(int status, std::string_view why) {
  return error_response(status, why);
}

Task<Result<http::Response>> AdminHandler::dispatch(http::Exchange& http) {
  const auto uid = http.peer().uid;
  if (!uid || (*uid != 0 && *uid != ::geteuid())) {
    co_return Error(Errc::forbidden,
                    "administration over this socket is for root and for the user that runs stele");
  }
  const http::RequestHead& request = http.request();
  if (request.method == http::Method::post && request.path == "/api/v1/backup") {
    auto copy = co_await administration_.copy_catalog();
    if (!copy) co_return copy.error();
    http::Response response(200);
    response.header("Content-Type", "application/vnd.sqlite3");
    response.add_segment(http::Segment{{}, std::move(*copy)});
    co_return response;
  }
  if (request.method == http::Method::post && request.path == "/api/v1/sweep") {
    const http::QueryParameters query(request.query);
    gc::SweepLimits limits;
    const auto text = query.first("grace_seconds").value_or("");
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), limits.grace_seconds);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || limits.grace_seconds < 0) {
      co_return Error(Errc::parameter_invalid, "grace_seconds= must be a number of seconds, 0 or more");
    }
    limits.remove_many = query.first("all").has_value();
    const auto report = co_await administration_.sweep(limits);
    if (!report) co_return report.error();
    co_return sweep_response(*report);
  }
  co_return Error(Errc::not_found, "there is nothing at " + printable(request.path, 200) +
                                       "; see docs/administration.md for what the local socket offers");
}

}  // namespace stele::api
