#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"

namespace stele::api {
namespace {

Json status_json(const gc::CollectionStatus& status) {
  const char* const state = status.paused ? "paused" : status.settling ? "settling" : "running";
  return Json{{"state", state},
              {"paused", status.paused ? Json(*status.paused) : Json()},
              {"queued", status.queued},
              {"due", status.due},
              {"next", status.next ? Json(to_string(*status.next)) : Json()},
              {"problem", text_or_null(status.problem)},
              {"since_start",
               {{"reviews", status.total.reviews},
                {"links_removed", status.total.links_removed},
                {"blobs_removed", status.total.blobs_removed},
                {"bytes_freed", status.total.bytes_freed},
                {"postponed", status.total.postponed},
                {"failed", status.total.failed},
                {"seconds", status.seconds}}}};
}

}  // namespace

// GET /api/v1/gc
AdminHandler::Answer AdminHandler::get_collection(http::Exchange&, const AdminRoute&) {
  auto counting = context_.registry.db.start([this] { return context_.collection.status(); });
  const auto status = co_await counting;
  if (!status) co_return status.error();
  co_return json_response(status_json(*status));
}

// POST /api/v1/gc/pause
AdminHandler::Answer AdminHandler::pause_collection(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto paused = co_await context_.collection.pause(std::move(*reason), actor(http));
  if (!paused) co_return paused.error();
  co_return co_await get_collection(http, route);
}

// POST /api/v1/gc/resume
AdminHandler::Answer AdminHandler::resume_collection(http::Exchange& http, const AdminRoute& route) {
  const auto resumed = co_await context_.collection.resume(actor(http));
  if (!resumed) co_return resumed.error();
  co_return co_await get_collection(http, route);
}

}  // namespace stele::api
