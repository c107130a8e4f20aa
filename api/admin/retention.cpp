#include <charconv>
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t largest_page = 1000;
Result<NewHold> hold_of(const nlohmann::json& body, audit::Actor actor) {
  auto name = required_line(body, "name");
  if (!name) return name.error();
  auto case_number = required_line(body, "case");
  if (!case_number) return case_number.error();
  auto reason = line_member(body, "reason");
  if (!reason) return reason.error();
  const auto repository_text = required_line(body, "repository");
  if (!repository_text) return repository_text.error();
  auto repository = RepositoryName::parse(*repository_text);
  if (!repository) return repository.error();
  NewHold hold{std::move(*name), std::move(*case_number), std::move(*reason), std::move(*repository),
               std::nullopt,     std::move(actor)};
  const auto reference_text = text_member(body, "reference");
  if (!reference_text) return reference_text.error();
  if (!reference_text->empty()) {
    auto reference = Reference::parse(*reference_text);
    if (!reference) return Error(Errc::parameter_invalid, reference.error().message());
    hold.reference = std::move(*reference);
  }
  return hold;
}

Result<LockName> lock_name(const nlohmann::json& body, const AdminRoute& route) {
  const auto text = text_member(body, "digest");
  if (!text) return text.error();
  LockName name{*route.name, *route.tag, std::nullopt};
  if (text->empty()) return name;
  auto digest = Digest::parse(*text);
  if (!digest) return digest.error();
  name.digest = std::move(*digest);
  return name;
}

}  // namespace

// GET /api/v1/repositories/<name>/locks?n=…&after=…
AdminHandler::Answer AdminHandler::list_locks(http::Exchange& http, const AdminRoute& route) {
  const auto limit = page_size(http.request().query, largest_page);
  if (!limit) co_return limit.error();
  const http::QueryParameters query(http.request().query);
  const std::string after(query.first("after").value_or(""));
  const std::size_t slash = after.find('/');
  if (!after.empty() && slash == std::string::npos)
    co_return Error(Errc::parameter_invalid, "after= must be the next of an earlier page");
  const std::string tag = after.empty() ? std::string() : after.substr(slash + 1);
  const auto locks = context_.retention.locks(*route.name, after.substr(0, slash), tag, *limit);
  if (!locks) co_return locks.error();
  Json list = Json::array();
  for (const auto& lock : *locks) list.push_back(lock_json(lock));
  Json body{{"repository", route.name->str()},
            {"release_time", to_string(context_.release_clock.now())},
            {"locks", std::move(list)},
            {"next", nullptr}};
  if (static_cast<std::int64_t>(locks->size()) == *limit)
    body["next"] = locks->back().digest.str() + "/" + locks->back().tag.str();
  co_return json_response(body);
}

// POST /api/v1/repositories/<name>/tags/<tag>/lock
AdminHandler::Answer AdminHandler::extend_lock(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"until", "digest"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto name = lock_name(*body, route);
  if (!name) co_return name.error();
  const auto text = required_line(*body, "until");
  if (!text) co_return text.error();
  const auto until = parse_timestamp(*text);
  if (!until) co_return until.error();
  const auto lock = co_await context_.retention.extend_lock(std::move(*name), *until, actor(http));
  if (!lock) co_return lock.error();
  co_return json_response(lock_json(*lock));
}

// DELETE /api/v1/repositories/<name>/tags/<tag>/lock
AdminHandler::Answer AdminHandler::release_lock(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"reason", "digest"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto name = lock_name(*body, route);
  if (!name) co_return name.error();
  auto reason = required_line(*body, "reason");
  if (!reason) co_return reason.error();
  const auto released =
      co_await context_.retention.release_lock(std::move(*name), std::move(*reason), actor(http));
  if (!released) co_return released.error();
  const Json answer{{"repository", route.name->str()}, {"tag", route.tag->str()}, {"released", true}};
  co_return json_response(answer);
}

// GET /api/v1/holds[?all=1]
AdminHandler::Answer AdminHandler::list_holds(http::Exchange& http, const AdminRoute&) {
  const http::QueryParameters query(http.request().query);
  std::int64_t after = 0;
  if (const auto text = query.first("after")) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), after);
    if (error != std::errc() || end != text->data() + text->size() || after < 0)
      co_return Error(Errc::parameter_invalid, "after= must be the next of an earlier page");
  }
  const auto holds = context_.retention.holds(after, query.first("all").has_value(), largest_page);
  if (!holds) co_return holds.error();
  // A page may show none of its holds: the number of the last one tells nothing of them.
  using auth::Right;
  const auth::Sight sight =
      context_.access.sight_of(http.identity(), {Right::hold, Right::release_hold, Right::audit});
  Json list = Json::array();
  for (const auto& hold : *holds) {
    if (sight.has(hold.repository.str())) list.push_back(hold_json(hold));
  }
  Json body{{"holds", std::move(list)}, {"next", nullptr}};
  if (holds->size() == largest_page) body["next"] = holds->back().id;
  co_return json_response(body);
}

// POST /api/v1/holds
AdminHandler::Answer AdminHandler::set_hold(http::Exchange& http, const AdminRoute&) {
  static constexpr std::string_view members[] = {"name", "case", "reason", "repository", "reference"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto asked = hold_of(*body, actor(http));
  if (!asked) co_return asked.error();
  const auth::Needs setting(auth::Right::hold, "setting a hold");
  if (auto may = context_.access.may(http.identity(), setting, &asked->repository); !may)
    co_return may.error();
  const auto hold = co_await context_.retention.set_hold(std::move(*asked));
  if (!hold) co_return hold.error();
  co_return json_response(hold_json(*hold), 201);
}

// POST /api/v1/holds/<id>/release
AdminHandler::Answer AdminHandler::release_hold(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"reason"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto reason = required_line(*body, "reason");
  if (!reason) co_return reason.error();
  const auth::Sight sight = context_.access.sight_of(http.identity(), {auth::Right::release_hold});
  if (!sight.everything()) {
    const auto known = context_.retention.holds(route.id - 1, true, 1);
    if (!known) co_return known.error();
    if (known->empty() || known->front().id != route.id || !sight.has(known->front().repository.str()))
      co_return Error(Errc::not_found, "there is no hold " + std::to_string(route.id));
  }
  const auto hold = co_await context_.retention.release_hold(route.id, std::move(*reason), actor(http));
  if (!hold) co_return hold.error();
  co_return json_response(hold_json(*hold));
}

// GET /api/v1/clock
AdminHandler::Answer AdminHandler::get_clock(http::Exchange&, const AdminRoute&) {
  const auto claimed = context_.release_clock.unconfirmed();
  Json body{{"release_time", to_string(context_.release_clock.now())},
            {"time", to_string(context_.clock.now())},
            {"unconfirmed", nullptr}};
  if (claimed) body["unconfirmed"] = to_string(*claimed);
  co_return json_response(body);
}

// POST /api/v1/clock/confirm
AdminHandler::Answer AdminHandler::confirm_clock(http::Exchange& http, const AdminRoute& route) {
  const auto confirmed = co_await context_.retention.confirm_clock(actor(http));
  if (!confirmed) co_return confirmed.error();
  co_return co_await get_clock(http, route);
}

}  // namespace stele::api
