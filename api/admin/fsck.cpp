#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

std::string_view name_of(gc::FsckReport::State state) {
  switch (state) {
    case gc::FsckReport::State::never:
      return "never";
    case gc::FsckReport::State::running:
      return "running";
    case gc::FsckReport::State::done:
      return "done";
    case gc::FsckReport::State::failed:
      break;
  }
  return "failed";
}

Json report_json(const gc::FsckReport& report) {
  Json classes = Json::array();
  for (std::size_t i = 0; i < report.classes.size(); ++i) {
    const gc::FsckReport::Class& one = report.classes.at(i);
    if (one.found == 0) continue;
    const auto problem = static_cast<gc::Problem>(i);
    classes.push_back({{"problem", gc::to_string(problem)},
                       {"found", one.found},
                       {"repaired", one.repaired},
                       {"explanation", gc::explanation(problem)},
                       {"names", one.names}});
  }
  return Json{{"state", name_of(report.state)},
              {"repair", report.repair},
              {"begun_at", report.begun ? Json(to_string(*report.begun)) : Json()},
              {"ended_at", report.ended ? Json(to_string(*report.ended)) : Json()},
              {"doing", text_or_null(report.doing)},
              {"message", text_or_null(report.message)},
              {"rows", report.rows},
              {"files", report.files},
              {"problems", report.problems()},
              {"repaired", report.repaired()},
              {"classes", std::move(classes)}};
}

}  // namespace

// GET /api/v1/fsck
AdminHandler::Answer AdminHandler::get_fsck(http::Exchange&, const AdminRoute&) {
  co_return json_response(report_json(context_.fsck.report()));
}

// POST /api/v1/fsck[?repair=1]
AdminHandler::Answer AdminHandler::start_fsck(http::Exchange& http, const AdminRoute& route) {
  const bool repair = http::QueryParameters(http.request().query).first("repair").has_value();
  const auto started = context_.fsck.start(repair, actor(http));
  if (!started) co_return started.error();
  co_return co_await get_fsck(http, route);
}

}  // namespace stele::api
