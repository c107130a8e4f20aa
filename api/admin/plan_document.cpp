#include "api/admin/plan_document.hpp"

#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "api/admin/json.hpp"

namespace stele::api {
namespace {

constexpr std::size_t buffer_bytes = 256 * 1024;
constexpr std::string_view expire = "EXPIRE";

Json item_json(const gc::PlannedItem& item) {
  return Json{{"repository", item.repository},
              {"tag", text_or_null(item.tag)},
              {"digest", text_or_null(item.digest)},
              {"verdict", policy::to_string(item.verdict)},
              {"rule", text_or_null(item.rule)},
              {"reason", item.reason},
              {"age_seconds", item.age_seconds ? Json(*item.age_seconds) : Json(nullptr)},
              {"last_used", item.last_used ? Json(to_string(*item.last_used)) : Json(nullptr)},
              {"frees_bytes", item.frees_bytes}};
}

Json summary_json(const gc::PlanSummary& summary) {
  Json stopped = Json::array();
  for (const gc::StoppedRepository& repository : summary.stopped)
    stopped.push_back(Json{{"repository", repository.repository}, {"reason", repository.reason}});
  Json json{{"hash", summary.hash},           {"made_at", to_string(summary.made_at)},
            {"policy", summary.policy_hash},  {"repositories", summary.repositories},
            {"manifests", summary.manifests}, {"expiring", summary.expiring},
            {"blocked", summary.blocked},     {"frees_bytes", summary.frees_bytes},
            {"stopped", std::move(stopped)}};
  if (summary.at) json["at"] = to_string(*summary.at);
  return json;
}

Error no_plan(const std::string& what) {
  return Error(Errc::parameter_invalid,
               "this is no lifecycle plan: " + what + "; stele lifecycle plan --json makes one");
}

// The text of a member that may be null; nothing when it is something else.
std::optional<std::string> text_at(const nlohmann::json& object, const char* member) {
  const auto found = object.find(member);
  if (found == object.end() || found->is_null()) return std::string();
  if (!found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

}  // namespace

Result<void> PlanDocument::add(const gc::PlannedItem& item) {
  buffer_ += any_ ? ",\n" : "\n";
  any_ = true;
  // What is no UTF-8 in a damaged row is shown, not refused.
  buffer_ += item_json(item).dump(-1, ' ', false, Json::error_handler_t::replace);
  return buffer_.size() < buffer_bytes ? Result<void>() : flush();
}

Result<void> PlanDocument::flush() {
  for (std::size_t at = 0; at < buffer_.size();) {
    const ssize_t wrote = ::write(file_.get(), buffer_.data() + at, buffer_.size() - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0)
      return Error(errno == ENOSPC || errno == EDQUOT ? Errc::no_space : Errc::io,
                   "the plan cannot be written to the data directory; make room there");
    at += static_cast<std::size_t>(wrote);
  }
  written_ += buffer_.size();
  buffer_.clear();
  return {};
}

Result<http::Response> PlanDocument::finish(const gc::PlanSummary& summary) && {
  if (auto flushed = flush(); !flushed) return flushed.error();
  http::Response response(200);
  response.header("Content-Type", "application/json");
  response.text("{\"plan\":" + summary_json(summary).dump() + ",\n\"items\":[");
  struct Open {
    UniqueFd fd;
  };
  auto open = std::make_shared<Open>();
  open->fd = std::move(file_);
  const int fd = open->fd.get();
  if (written_ > 0) response.add_segment({{}, http::FileSlice{std::move(open), fd, 0, written_}});
  response.add_segment({"]}\n", {}});
  return response;
}

Result<gc::ApprovedPlan> read_plan(const std::string& text) {
  const auto document = nlohmann::json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains("plan") || !document["plan"].is_object())
    return no_plan("it has no object plan");
  const auto hash = text_at(document["plan"], "hash"), policy = text_at(document["plan"], "policy");
  if (!hash || !policy || hash->empty() || policy->empty())
    return no_plan("its hash or its policy is missing");
  if (const auto at = text_at(document["plan"], "at"); !at || !at->empty())
    return Error(Errc::parameter_invalid,
                 "this plan says what would go at another time than now: make a new one "
                 "without --at, and apply that");
  const auto made_at = parse_timestamp(text_at(document["plan"], "made_at").value_or(std::string()));
  if (!made_at) return no_plan("its made_at is missing or no time");
  if (!document.contains("items") || !document["items"].is_array()) return no_plan("it has no list items");
  gc::ApprovedPlan plan;
  plan.hash = *hash;
  plan.policy_hash = *policy;
  plan.made_at = *made_at;
  gc::PlanHash counted(*policy);
  for (const auto& item : document["items"]) {
    if (!item.is_object()) return no_plan("an item is no object");
    const auto verdict = text_at(item, "verdict");
    if (!verdict) return no_plan("an item has no verdict");
    if (*verdict != expire) continue;
    const auto repository = text_at(item, "repository"), tag = text_at(item, "tag"),
               digest = text_at(item, "digest");
    if (!repository || !tag || !digest || repository->empty() || digest->empty())
      return no_plan("an item has no repository, tag or digest");
    counted.add(*repository, *tag, *digest);
    plan.items[*repository].emplace(*tag, *digest);
  }
  if (counted.finish() != plan.hash)
    return Error(
        Errc::parameter_invalid,
        "the plan's hash is not that of its items: it was changed, or part of it is missing; make a new one "
        "(stele lifecycle plan)");
  return plan;
}

}  // namespace stele::api
