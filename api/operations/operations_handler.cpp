#include "api/operations/operations_handler.hpp"

#include <nlohmann/json.hpp>

#include "api/error_response.hpp"

namespace stele::api {

bool OperationsHandler::serves(std::string_view path) {
  return path == "/livez" || path == "/readyz" || path == "/metrics";
}

http::Response OperationsHandler::ready() const {
  nlohmann::ordered_json checks = nlohmann::ordered_json::object();
  bool ready = true;
  for (const ReadinessCheck& entry : checks_) {
    const auto result = entry.check();
    checks[entry.name] = result ? "ok" : result.error().message();
    ready = ready && result;
  }
  const nlohmann::ordered_json body{{"status", ready ? "ready" : "not ready"}, {"checks", checks}};
  http::Response response(ready ? 200 : 503);
  response.body(body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n",
                "application/json");
  return response;
}

Task<http::Response> OperationsHandler::handle(http::Exchange& http) {
  http.note.route = "operations";
  const http::RequestHead& request = http.request();
  if (request.method != http::Method::get && request.method != http::Method::head) {
    co_return error_response(405, "only GET is supported here");
  }
  if (request.path == "/readyz") co_return ready();
  http::Response response(200);
  if (request.path == "/livez") {
    response.body("{\"status\":\"alive\"}\n", "application/json");
  } else if (request.path == "/metrics" && metrics_) {
    response.body(metrics_(), "text/plain; version=0.0.4; charset=utf-8");
  } else {
    co_return error_response(404, "there is nothing here; see /livez, /readyz and /metrics");
  }
  co_return response;
}

http::Response OperationsHandler::refuse(int status, std::string_view why) {
  return error_response(status, why);
}

}  // namespace stele::api
