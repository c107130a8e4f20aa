#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t most_blobs = 1000;

Json status_json(const gc::ScrubStatus& status) {
  const char* const state = status.paused ? "paused" : status.running ? "running" : "waiting";
  return Json{{"state", state},
              {"paused", status.paused ? Json(*status.paused) : Json()},
              {"under_way", status.running},
              {"done", status.done},
              {"begun_at", time_or_null(status.pass.begun)},
              {"ended_at", time_or_null(status.pass.finished)},
              {"next", time_or_null(status.next)},
              {"blobs", status.pass.blobs},
              {"bytes", status.pass.bytes},
              {"damaged", status.pass.damaged},
              {"repaired", status.pass.repaired},
              {"quarantined", status.quarantined},
              {"problem", text_or_null(status.problem)}};
}

}  // namespace

// GET /api/v1/scrub
AdminHandler::Answer AdminHandler::get_scrub(http::Exchange&, const AdminRoute&) {
  co_return json_response(status_json(context_.scrub.status()));
}

// POST /api/v1/scrub/start
AdminHandler::Answer AdminHandler::start_scrub(http::Exchange& http, const AdminRoute& route) {
  const auto started = co_await context_.scrub.start(actor(http));
  if (!started) co_return started.error();
  co_return co_await get_scrub(http, route);
}

// POST /api/v1/scrub/pause
AdminHandler::Answer AdminHandler::pause_scrub(http::Exchange& http, const AdminRoute& route) {
  auto reason = co_await read_reason(http);
  if (!reason) co_return reason.error();
  const auto paused = co_await context_.scrub.pause(std::move(*reason), actor(http));
  if (!paused) co_return paused.error();
  co_return co_await get_scrub(http, route);
}

// POST /api/v1/scrub/resume
AdminHandler::Answer AdminHandler::resume_scrub(http::Exchange& http, const AdminRoute& route) {
  const auto resumed = co_await context_.scrub.resume(actor(http));
  if (!resumed) co_return resumed.error();
  co_return co_await get_scrub(http, route);
}

// GET /api/v1/quarantine?after=DIGEST&n=
AdminHandler::Answer AdminHandler::list_quarantine(http::Exchange& http, const AdminRoute&) {
  const auto limit = page_size(http.request().query, most_blobs);
  if (!limit) co_return limit.error();
  const std::string after(http::QueryParameters(http.request().query).first("after").value_or(""));
  auto reading = context_.registry.db.start([&] { return context_.scrub.quarantined(after, *limit + 1); });
  const auto found = co_await reading;
  if (!found) co_return found.error();
  const bool more = std::cmp_greater(found->size(), *limit);
  Json blobs = Json::array();
  for (const gc::QuarantinedBlob& blob : *found) {
    if (std::cmp_equal(blobs.size(), *limit)) break;
    blobs.push_back({{"digest", blob.row.digest.str()},
                     {"size", blob.row.size},
                     {"found_at", to_string(blob.row.found_at)},
                     {"problem", blob.row.problem},
                     {"repositories", blob.repositories}});
  }
  Json page{{"blobs", blobs}, {"next", more ? blobs.back()["digest"] : Json()}};
  co_return json_response(page);
}

}  // namespace stele::api
