#include <charconv>
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "api/admin/plan_document.hpp"
#include "gc/lifecycle/approved_items.hpp"
#include "http/uri.hpp"
#include "policy/load.hpp"

namespace stele::api {
namespace {

constexpr std::uint64_t max_plan_bytes = 64 * 1024 * 1024;
constexpr std::int64_t most_runs = 100;

Json run_json(const catalog::RunRow& run) {
  return Json{{"id", run.id},
              {"state", run.state},
              {"started_by", run.started_by},
              {"policy", run.policy_hash},
              {"plan", text_or_null(run.plan_hash)},
              {"begun_at", to_string(run.begun_at)},
              {"ended_at", time_or_null(run.ended_at)},
              {"repositories", run.repositories},
              {"removed", run.removed},
              {"untagged", run.untagged},
              {"survived", run.survived},
              {"blocked", run.blocked},
              {"bytes", run.bytes},
              {"message", run.message}};
}

http::Response details_response(const gc::RunDetails& details) {
  Json body = run_json(details.run);
  Json waiting = Json::array();
  for (const catalog::WaitingRow& row : details.waiting) {
    const gc::WaitingCounts counts = gc::counts_of(row.plan);
    waiting.push_back(Json{{"repository", row.repository},
                           {"reason", row.reason},
                           {"manifests", counts.manifests},
                           {"expiring", counts.expiring}});
  }
  body["waiting"] = std::move(waiting);
  return json_response(body);
}

Task<Result<http::Response>> answer_with(Task<Result<gc::RunDetails>> running) {
  const auto details = co_await std::move(running);
  if (!details) co_return details.error();
  co_return details_response(*details);
}

Json entries_json(const std::vector<policy::Lifecycle::Entry>& entries) {
  Json list = Json::array();
  for (const policy::Lifecycle::Entry& entry : entries) list.push_back(policy::describe(entry.selects));
  return list;
}

}  // namespace

// GET /api/v1/lifecycle[?repository=…]
AdminHandler::Answer AdminHandler::get_lifecycle(http::Exchange& http, const AdminRoute&) {
  const http::QueryParameters query(http.request().query);
  const auto repository = query.first("repository");
  if (repository) {
    if (auto name = RepositoryName::parse(*repository); !name) co_return name.error();
  }
  const auto policy = context_.registry.policy.current();
  const policy::Lifecycle& lifecycle = *policy->lifecycle();
  const policy::LifecycleSettings& settings = lifecycle.settings();
  Json windows = Json::array(), rules = Json::array();
  for (const policy::Window& window : settings.windows) windows.push_back(window.text());
  for (const policy::Lifecycle::Rule& rule : lifecycle.rules()) {
    if (repository && !rule.repositories.matches(*repository)) continue;
    rules.push_back(
        Json{{"name", rule.name}, {"keep", entries_json(rule.keep)}, {"expire", entries_json(rule.expire)}});
  }
  const gc::LifecycleStatus status = context_.lifecycle.status();
  Json body{{"policy", policy->hash()},
            {"schedule", nullptr},
            {"windows", std::move(windows)},
            {"next", time_or_null(status.next)},
            {"running", status.running},
            {"trash_for_seconds", settings.trash_for},
            {"max_fraction", settings.max_fraction},
            {"max_count", settings.max_count},
            {"keep_last", settings.keep_last},
            {"ignore_pulls_by", settings.ignore_pulls_by},
            {"pulls_since", time_or_null(context_.registry.pulls.since())},
            {"rules", std::move(rules)}};
  if (settings.schedule) body["schedule"] = settings.schedule->text();
  co_return json_response(body);
}

// POST /api/v1/lifecycle/plan
AdminHandler::Answer AdminHandler::plan_lifecycle(http::Exchange& http, const AdminRoute&) {
  constexpr std::string_view members[] = {"repository", "policy", "at"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  const auto repositories = text_member(*body, "repository");
  if (!repositories) co_return repositories.error();
  const auto source = text_member(*body, "policy");
  if (!source) co_return source.error();
  const auto time = text_member(*body, "at");
  if (!time) co_return time.error();
  std::optional<Timestamp> at;
  if (!time->empty()) {
    const auto parsed = parse_timestamp(*time);
    if (!parsed) co_return parsed.error();
    at = *parsed;
  }
  const std::vector<std::string> patterns{repositories->empty() ? std::string("**") : *repositories};
  const auto wanted = policy::PatternList::compile(patterns);
  if (!wanted) co_return wanted.error();
  std::shared_ptr<const policy::Policy> policy = context_.registry.policy.current();
  if (!source->empty()) {
    const auto loaded = policy::load_policy(*source, "policy");
    if (!loaded.policy) co_return Error(Errc::parameter_invalid, loaded.problems.to_string());
    policy = loaded.policy;
  }
  auto file = context_.administration.scratch_file();
  if (!file) co_return file.error();
  PlanDocument document(std::move(*file));
  auto pending = context_.registry.bulk.start([&] {
    return gc::make_plan(
        context_.registry, *policy, *wanted, [&](const gc::PlannedItem& item) { return document.add(item); },
        at);
  });
  const auto summary = co_await pending;
  if (!summary) co_return summary.error();
  co_return std::move(document).finish(*summary);
}

// POST /api/v1/lifecycle/apply
AdminHandler::Answer AdminHandler::apply_lifecycle(http::Exchange& http, const AdminRoute&) {
  const http::QueryParameters query(http.request().query);
  // One at a time: a plan is large, and only one can be carried out.
  if (applying_.exchange(true)) {
    co_return Error(Errc::unavailable, "another plan is being applied; try again when it has ended");
  }
  struct Done {
    explicit Done(std::atomic<bool>& flag) : flag_(flag) {}
    ~Done() { flag_ = false; }
    Done(const Done&) = delete;
    Done& operator=(const Done&) = delete;
    std::atomic<bool>& flag_;
  };
  const Done done(applying_);
  const auto body = co_await http.read_body(max_plan_bytes);
  if (!body) co_return body.error();
  auto plan = read_plan(*body);
  if (!plan) co_return plan.error();
  plan->may_exceed = query.first("approve").has_value();
  co_return co_await answer_with(context_.lifecycle.apply(std::move(*plan), actor(http)));
}

// POST /api/v1/lifecycle/run
AdminHandler::Answer AdminHandler::run_lifecycle(http::Exchange& http, const AdminRoute&) {
  co_return co_await answer_with(context_.lifecycle.run(actor(http)));
}

// GET /api/v1/lifecycle/runs[?before=…][&n=…]
AdminHandler::Answer AdminHandler::list_lifecycle_runs(http::Exchange& http, const AdminRoute&) {
  const http::QueryParameters query(http.request().query);
  std::int64_t before = INT64_MAX;
  if (const auto text = query.first("before")) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), before);
    if (error != std::errc() || end != text->data() + text->size())
      co_return Error(Errc::parameter_invalid, "before= must be the number of a run");
  }
  const auto limit = page_size(http.request().query, most_runs);
  if (!limit) co_return limit.error();
  auto runs = gc::list_runs(context_.registry, before, *limit + 1);
  if (!runs) co_return runs.error();
  const bool more = std::cmp_greater(runs->size(), *limit);
  if (more) runs->resize(static_cast<std::size_t>(*limit));
  Json list = Json::array();
  for (const catalog::RunRow& run : *runs) list.push_back(run_json(run));
  Json body{{"runs", std::move(list)}, {"next", nullptr}};
  if (more) body["next"] = runs->back().id;
  co_return json_response(body);
}

// GET /api/v1/lifecycle/runs/<id>
AdminHandler::Answer AdminHandler::get_lifecycle_run(http::Exchange&, const AdminRoute& route) {
  const auto details = context_.lifecycle.find(route.id);
  if (!details) co_return details.error();
  co_return details_response(*details);
}

// POST /api/v1/lifecycle/runs/<id>/approve
AdminHandler::Answer AdminHandler::approve_lifecycle_run(http::Exchange& http, const AdminRoute& route) {
  co_return co_await answer_with(context_.lifecycle.approve(route.id, actor(http)));
}

// POST /api/v1/lifecycle/runs/<id>/dismiss
AdminHandler::Answer AdminHandler::dismiss_lifecycle_run(http::Exchange& http, const AdminRoute& route) {
  constexpr std::string_view members[] = {"reason"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  const auto reason = line_member(*body, "reason");
  if (!reason) co_return reason.error();
  co_return co_await answer_with(context_.lifecycle.dismiss(route.id, *reason, actor(http)));
}

}  // namespace stele::api
