#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/in_use_body.hpp"
#include "api/admin/json.hpp"
#include "base/printable.hpp"
#include "base/text.hpp"
#include "config/quantity.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t most_reports = 1000;
// Of bodies that are being read at one time: two of the largest.
constexpr std::uint64_t most_body_bytes = 2 * largest_in_use_body;

// A part of the memory for bodies, given back when it goes.
class BodyShare {
 public:
  BodyShare(std::atomic<std::uint64_t>& used, std::uint64_t bytes)
      : used_(used), bytes_(bytes), granted_(used.fetch_add(bytes) + bytes <= most_body_bytes) {}
  ~BodyShare() { used_.fetch_sub(bytes_); }
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;
  bool granted() const { return granted_; }

 private:
  std::atomic<std::uint64_t>& used_;
  const std::uint64_t bytes_;
  const bool granted_;
};

Result<std::int64_t> lease_of(const std::string& text) {
  if (text.empty()) return InUse::default_lease;
  const auto lease = config::parse_duration(text);
  if (lease) return lease->count();
  return Error(Errc::parameter_invalid,
               "lease must be a whole number with m, h or d, as in 24h, not " + in_quotes(text, 40));
}

std::string lease_text(const catalog::InUseReport& report) {
  return config::format_duration(std::chrono::seconds(report.lease_seconds));
}

Json report_json(const catalog::InUseReport& report, Timestamp now) {
  return Json{{"cluster", report.cluster.str()},
              {"reported_at", to_string(report.reported_at)},
              {"reported_by", report.reported_by},
              {"lease", lease_text(report)},
              {"until", to_string(report.until())},
              {"stale", report.stale(now)},
              {"images", report.images},
              {"protected", report.protected_manifests},
              {"unknown_count", report.unknown}};
}

// "repository@digest": where the page before ended.
Result<std::pair<std::string, std::string>> page_begin(std::string_view query) {
  const http::QueryParameters parameters(query);
  const auto after = parameters.first("after");
  if (!after) return std::pair<std::string, std::string>();
  const std::size_t at = after->find('@');
  if (at == std::string_view::npos)
    return Error(Errc::parameter_invalid, "after= must be the next of an earlier page");
  return std::pair(std::string(after->substr(0, at)), std::string(after->substr(at + 1)));
}

}  // namespace

// PUT /api/v1/in-use/<cluster>
AdminHandler::Answer AdminHandler::report_in_use(http::Exchange& http, const AdminRoute& route) {
  const BodyShare share(
      in_use_body_bytes_,
      std::min(http.request().content_length.value_or(largest_in_use_body), largest_in_use_body));
  if (!share.granted())
    co_return Error(Errc::too_many_requests, "too many large reports are being read; try again in a moment");
  const auto text = co_await http.read_body(largest_in_use_body);
  if (!text) co_return text.error();
  // Off the I/O thread: it may be megabytes.
  auto parsing = context_.registry.db.start([&] { return parse_in_use_body(*text, InUse::most_images); });
  auto body = co_await parsing;
  if (!body) co_return body.error();
  const auto lease = lease_of(body->lease);
  if (!lease) co_return lease.error();
  NewInUseReport asked{
      *route.cluster, std::move(body->images), *lease, body->allow_empty, {}, !context_.external_host.empty(),
      actor(http)};
  if (!context_.external_host.empty()) asked.own_hosts.push_back(context_.external_host);
  // On the socket it is no name that anybody pulls by.
  if (!http.peer().uid) asked.own_hosts.push_back(lower_case(http.request().header("Host")));
  const auto taken = co_await context_.in_use.report(std::move(asked));
  if (!taken) co_return taken.error();
  const catalog::InUseReport& report = taken->report;
  const Json answer{{"cluster", report.cluster.str()},         {"images", report.images},
                    {"protected", report.protected_manifests}, {"unknown", taken->unknown},
                    {"unknown_count", report.unknown},         {"lease", lease_text(report)},
                    {"until", to_string(report.until())}};
  co_return json_response(answer);
}

// GET /api/v1/in-use
AdminHandler::Answer AdminHandler::list_in_use(http::Exchange&, const AdminRoute&) {
  const auto reports = context_.in_use.reports();
  if (!reports) co_return reports.error();
  const Timestamp now = context_.clock.now();
  Json list = Json::array();
  for (const auto& report : *reports) list.push_back(report_json(report, now));
  const Json body{{"reports", std::move(list)}};
  co_return json_response(body);
}

// GET /api/v1/in-use/<cluster>?n=…&after=…
AdminHandler::Answer AdminHandler::get_in_use(http::Exchange& http, const AdminRoute& route) {
  const auto limit = page_size(http.request().query, most_reports);
  if (!limit) co_return limit.error();
  auto begin = page_begin(http.request().query);
  if (!begin) co_return begin.error();
  const auto details = co_await context_.in_use.find(*route.cluster, std::move(begin->first),
                                                     std::move(begin->second), *limit);
  if (!details) co_return details.error();
  Json body = report_json(details->report, context_.clock.now());
  body["unknown"] = details->unknown;
  Json manifests = Json::array();
  for (const catalog::InUseManifest& manifest : details->manifests) {
    manifests.push_back(Json{{"repository", manifest.repository.str()},
                             {"digest", manifest.digest.str()},
                             {"since", to_string(manifest.since)},
                             {"present", manifest.present}});
  }
  body["manifests"] = std::move(manifests);
  body["next"] = nullptr;
  if (details->manifests.size() == static_cast<std::size_t>(*limit)) {
    const catalog::InUseManifest& last = details->manifests.back();
    body["next"] = last.repository.str() + "@" + last.digest.str();
  }
  co_return json_response(body);
}

// DELETE /api/v1/in-use/<cluster>
AdminHandler::Answer AdminHandler::remove_in_use(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"reason"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto reason = required_line(*body, "reason");
  if (!reason) co_return reason.error();
  const auto removed = co_await context_.in_use.remove(*route.cluster, std::move(*reason), actor(http));
  if (!removed) co_return removed.error();
  const Json answer{{"cluster", route.cluster->str()}, {"removed", true}};
  co_return json_response(answer);
}

}  // namespace stele::api
