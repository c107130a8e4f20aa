#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "mirror/mirrors.hpp"

namespace stele::api {
namespace {

Json url_json(const mirror::UpstreamState& url) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(url.left);
  return Json{{"url", url.url}, {"asked_again_in", seconds.count()}, {"problem", text_or_null(url.problem)}};
}

Json fetch_json(const mirror::RunningFetch& fetch) {
  Json entry{{"repository", fetch.repository},
             {"digest", fetch.digest},
             {"arrived_bytes", fetch.arrived},
             {"bytes", nullptr}};
  if (fetch.size) entry["bytes"] = *fetch.size;
  return entry;
}

Json mirror_json(const mirror::MirrorStatus& status) {
  Json entry{{"name", status.name},
             {"prefix", status.prefix},
             {"tags", status.pins ? "pin" : "follow"},
             {"tag_ttl", status.tag_ttl.count()},
             {"tag_ttl_stretched", status.stretched},
             {"hits", status.hits},
             {"misses", status.misses},
             {"hit_rate", nullptr},
             {"revalidations", status.revalidations},
             {"stale_answers", status.stale},
             {"coalesced", status.coalesced},
             {"fetched_bytes", status.upstream.received_bytes},
             {"served_bytes", status.served_bytes},
             {"evicted_manifests", status.evicted},
             {"evicted_bytes", status.evicted_bytes},
             {"upstream_requests", status.upstream.requests},
             {"token_requests", status.upstream.tokens},
             {"remaining", nullptr},
             {"upstreams", Json::array()},
             {"fetching", status.fetching},
             {"waiting", status.upstream.waiting},
             {"fetches", Json::array()}};
  if (const auto asked = status.hits + status.misses; asked > 0)
    entry["hit_rate"] = static_cast<double>(status.hits) / static_cast<double>(asked);
  if (status.upstream.remaining) entry["remaining"] = *status.upstream.remaining;
  for (const auto& url : status.upstream.urls) entry["upstreams"].push_back(url_json(url));
  for (const auto& fetch : status.fetches) entry["fetches"].push_back(fetch_json(fetch));
  return entry;
}

}  // namespace

// GET /api/v1/mirrors
AdminHandler::Answer AdminHandler::list_mirrors(http::Exchange&, const AdminRoute&) {
  Json body{{"mirrors", Json::array()}};
  if (context_.mirrors) {
    for (const auto& status : context_.mirrors->status()) body["mirrors"].push_back(mirror_json(status));
  }
  co_return json_response(body);
}

}  // namespace stele::api
