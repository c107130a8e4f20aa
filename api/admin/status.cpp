#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"

namespace stele::api {
namespace {

Json optional_time(const std::optional<Timestamp>& time) {
  return time ? Json(to_string(*time)) : Json();
}

Json job_json(const JobStatus& job) {
  return Json{{"name", job.name},
              {"running", job.running},
              {"runs", job.runs},
              {"failures", job.failures},
              {"begun", optional_time(job.begun)},
              {"ended", optional_time(job.ended)},
              {"succeeded", optional_time(job.succeeded)},
              {"seconds", job.seconds},
              {"next", to_string(job.next)},
              {"problem", text_or_null(job.problem)}};
}

}  // namespace

// GET /api/v1/status
AdminHandler::Answer AdminHandler::get_status(http::Exchange&, const AdminRoute&) {
  const ServerStatus status = context_.administration.status();
  Json body{{"version", status.version},
            {"started", to_string(status.started)},
            {"read_only", status.store ? Json() : Json(status.store.error().message())},
            {"jobs", Json::array()}};
  for (const JobStatus& job : context_.administration.jobs()) body["jobs"].push_back(job_json(job));
  co_return json_response(body);
}

}  // namespace stele::api
