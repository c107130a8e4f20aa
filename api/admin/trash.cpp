#include <charconv>
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

Json item_json(const TrashEntry& entry) {
  const catalog::TrashItem& item = entry.item;
  Json tags = Json::array();
  for (const catalog::TrashedTag& tag : entry.tags) tags.push_back(tag.tag.str());
  return Json{{"id", item.id},
              {"run", item.run},
              {"repository", item.name.str()},
              {"digest", item.digest.str()},
              {"media_type", text_or_null(item.media_type.value_or(""))},
              {"subject", optional_text(item.subject)},
              {"size", item.size},
              {"tags", std::move(tags)},
              {"rule", item.rule},
              {"reason", item.reason},
              {"created_at", item.media_type ? Json(to_string(item.created_at)) : Json()},
              {"removed_at", to_string(item.removed_at)},
              {"erase_after", to_string(item.erase_after)}};
}

Json texts_json(const auto& values) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(value.str());
  return list;
}

Json refusals_json(const std::vector<TrashRefusal>& refusals) {
  Json list = Json::array();
  for (const TrashRefusal& refusal : refusals) {
    list.push_back(Json{{"id", refusal.id},
                        {"repository", refusal.repository.str()},
                        {"digest", refusal.digest.str()},
                        {"reason", refusal.reason},
                        {"message", refusal.message}});
  }
  return list;
}

Json erased_json(const Erased& erased) {
  return Json{
      {"erased", erased.items}, {"refused", erased.refused}, {"refusals", refusals_json(erased.refusals)}};
}

// A number of the query that is not negative; absent when it is not asked for.
Result<std::optional<std::int64_t>> number_of(const http::QueryParameters& query, const char* name) {
  const auto text = query.first(name);
  if (!text) return std::optional<std::int64_t>();
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < 0)
    return Error(Errc::parameter_invalid, std::string(name) + "= must be a number");
  return std::optional<std::int64_t>(number);
}

// A number of the body; absent when it is not there.
Result<std::optional<std::int64_t>> number_member(const nlohmann::json& body, const char* name) {
  const auto member = body.find(name);
  if (member == body.end() || member->is_null()) return std::optional<std::int64_t>();
  if (!member->is_number_integer() || member->get<double>() < 0 || member->get<double>() > 9e18)
    return Error(Errc::parameter_invalid, std::string(name) + " must be a number");
  return std::optional<std::int64_t>(member->get<std::int64_t>());
}

Result<bool> flag_member(const nlohmann::json& body, const char* name) {
  const auto member = body.find(name);
  if (member == body.end()) return false;
  if (!member->is_boolean())
    return Error(Errc::parameter_invalid, std::string(name) + " must be true or false");
  return member->get<bool>();
}

Result<TrashQuery> query_of(std::string_view text) {
  const http::QueryParameters query(text);
  TrashQuery asked;
  if (const auto name = query.first("repository")) {
    auto repository = RepositoryName::parse(*name);
    if (!repository) return repository.error();
    asked.repository = std::move(*repository);
  }
  const auto run = number_of(query, "run");
  if (!run) return run.error();
  asked.run = *run;
  const auto after = number_of(query, "after");
  if (!after) return after.error();
  asked.after = after->value_or(0);
  const auto limit = page_size(text, Trash::largest_page);
  if (!limit) return limit.error();
  asked.limit = *limit;
  return asked;
}

}  // namespace

// GET /api/v1/trash?repository=…&run=…&after=…&n=…
AdminHandler::Answer AdminHandler::list_trash(http::Exchange& http, const AdminRoute&) {
  auto query = query_of(http.request().query);
  if (!query) co_return query.error();
  const auto page = co_await trash_.list(std::move(*query));
  if (!page) co_return page.error();
  Json items = Json::array();
  for (const TrashEntry& entry : page->items) items.push_back(item_json(entry));
  const Json body{{"items", std::move(items)}, {"next", page->next == 0 ? Json() : Json(page->next)}};
  co_return json_response(body);
}

// POST /api/v1/trash/<id>/restore
AdminHandler::Answer AdminHandler::restore_trash(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"skip_taken"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  const auto skip_taken = flag_member(*body, "skip_taken");
  if (!skip_taken) co_return skip_taken.error();
  Restoration asked{route.id, *skip_taken, actor(http)};
  const auto restored = co_await trash_.restore(std::move(asked));
  if (!restored) co_return restored.error();
  const Json answer{{"repository", restored->repository.str()},
                    {"manifests", texts_json(restored->manifests)},
                    {"tags", texts_json(restored->tags)},
                    {"skipped", texts_json(restored->skipped)}};
  co_return json_response(answer);
}

// POST /api/v1/trash/restore
AdminHandler::Answer AdminHandler::restore_run(http::Exchange& http, const AdminRoute&) {
  static constexpr std::string_view members[] = {"run", "skip_taken"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  const auto skip_taken = flag_member(*body, "skip_taken");
  if (!skip_taken) co_return skip_taken.error();
  const auto run = number_member(*body, "run");
  if (!run) co_return run.error();
  if (!*run) co_return Error(Errc::parameter_invalid, "run is missing: which run to bring back");
  Restoration asked{**run, *skip_taken, actor(http)};
  const auto restored = co_await trash_.restore_run(std::move(asked));
  if (!restored) co_return restored.error();
  const Json answer{{"manifests", restored->manifests},
                    {"tags", restored->tags},
                    {"skipped", restored->skipped},
                    {"refused", restored->refused},
                    {"refusals", refusals_json(restored->refusals)}};
  co_return json_response(answer);
}

// DELETE /api/v1/trash/<id>
AdminHandler::Answer AdminHandler::erase_trash(http::Exchange& http, const AdminRoute& route) {
  const auto erased = co_await trash_.erase(route.id, actor(http));
  if (!erased) co_return erased.error();
  co_return json_response(erased_json(*erased));
}

// POST /api/v1/trash/erase
AdminHandler::Answer AdminHandler::erase_much_trash(http::Exchange& http, const AdminRoute&) {
  static constexpr std::string_view members[] = {"run", "repository"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  const auto run = number_member(*body, "run");
  if (!run) co_return run.error();
  const auto name = text_member(*body, "repository");
  if (!name) co_return name.error();
  if (run->has_value() != name->empty())
    co_return Error(Errc::parameter_invalid, "either run or repository says what to erase");
  Result<Erased> erased;
  if (*run) {
    erased = co_await trash_.erase_run(**run, actor(http));
  } else {
    auto repository = RepositoryName::parse(*name);
    if (!repository) co_return repository.error();
    erased = co_await trash_.erase_repository(std::move(*repository), actor(http));
  }
  if (!erased) co_return erased.error();
  co_return json_response(erased_json(*erased));
}

}  // namespace stele::api
