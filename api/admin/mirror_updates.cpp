#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "http/uri.hpp"
#include "mirror/mirrors.hpp"

namespace stele::api {
namespace {

std::string_view state_name(mirror::TagUpdate::State state) {
  switch (state) {
    case mirror::TagUpdate::State::pinned:
      return "pinned";
    case mirror::TagUpdate::State::quarantined:
      return "quarantined";
    case mirror::TagUpdate::State::gone:
      return "gone";
  }
  return "gone";
}

std::string_view change_name(const mirror::ImageChange& change) {
  if (!change.held) return "added";
  if (!change.upstream) return "removed";
  return change.held == change.upstream ? "same" : "changed";
}

Json blobs_json(const std::vector<Descriptor>& blobs) {
  Json list = Json::array();
  for (const Descriptor& blob : blobs)
    list.push_back(Json{{"digest", blob.digest.str()}, {"bytes", blob.size}});
  return list;
}

Json change_json(const mirror::ImageChange& change) {
  Json entry{{"platform", text_or_null(change.platform)},
             {"change", change_name(change)},
             {"held", optional_text(change.held)},
             {"upstream", optional_text(change.upstream)},
             {"layers", nullptr}};
  if (const auto& layers = change.layers) {
    entry["layers"] = Json{{"kept", layers->kept},
                           {"added", layers->added_count},
                           {"removed", layers->removed_count},
                           {"added_blobs", blobs_json(layers->added)},
                           {"removed_blobs", blobs_json(layers->removed)},
                           {"held_bytes", layers->held_bytes},
                           {"upstream_bytes", layers->upstream_bytes},
                           {"held_base", text_or_null(layers->held_base)},
                           {"upstream_base", text_or_null(layers->upstream_base)}};
  }
  return entry;
}

std::int64_t seconds_between(Timestamp from, Timestamp to) {
  return std::max<std::int64_t>((to.microseconds - from.microseconds) / 1'000'000, 0);
}

Json update_json(const mirror::TagUpdate& update, Timestamp now) {
  Json entry{{"repository", update.repository.str()},
             {"tag", update.tag.str()},
             {"state", state_name(update.state)},
             {"held", update.held.str()},
             {"upstream", nullptr},
             {"seen_at", nullptr},
             {"age", nullptr},
             {"compared_at", nullptr},
             {"admitted_at", nullptr},
             {"left", nullptr},
             {"difference", nullptr},
             {"problem", text_or_null(update.problem)}};
  if (update.said) {
    entry["upstream"] = update.said->digest.str();
    entry["seen_at"] = to_string(update.said->learned_at);
    entry["age"] = seconds_between(update.said->learned_at, now);
    entry["compared_at"] = to_string(update.said->compared_at);
  }
  if (update.admitted_at) {
    entry["admitted_at"] = to_string(*update.admitted_at);
    entry["left"] = seconds_between(now, *update.admitted_at);
  }
  if (update.difference) {
    entry["difference"] = Json::array();
    for (const auto& change : *update.difference) entry["difference"].push_back(change_json(change));
  }
  return entry;
}

// "docker.io/library/demo:1", the next of an earlier page.
Result<std::optional<catalog::MirroredTagName>> last_of(std::string_view query) {
  const http::QueryParameters parameters(query);
  const auto text = parameters.first("last");
  if (!text) return std::optional<catalog::MirroredTagName>();
  const std::size_t colon = text->rfind(':');
  auto repository = RepositoryName::parse(text->substr(0, colon));
  auto tag = Tag::parse(colon == std::string_view::npos ? std::string_view() : text->substr(colon + 1));
  if (!repository || !tag) return Error(Errc::parameter_invalid, "last= must be the next of an earlier page");
  catalog::MirroredTagName last{std::move(*repository), std::move(*tag)};
  return std::optional<catalog::MirroredTagName>(std::move(last));
}

Error no_mirror() {
  return Error(Errc::not_found, "this server mirrors nothing: its configuration has no mirrors");
}

Result<mirror::ApprovalRequest> approval_of(const nlohmann::json& body, const AdminRoute& route,
                                            audit::Actor actor) {
  const auto name = text_member(body, "repository");
  if (!name) return name.error();
  auto repository = RepositoryName::parse(*name);
  if (!repository)
    return Error(Errc::parameter_invalid,
                 "repository must be the mirrored one's name here, as in docker.io/library/demo");
  const auto text = text_member(body, "tag");
  if (!text) return text.error();
  auto tag = Tag::parse(*text);
  if (!tag) return Error(Errc::parameter_invalid, tag.error().message());
  const auto expected = text_member(body, "digest");
  if (!expected) return expected.error();
  mirror::ApprovalRequest asked{route.mirror, std::move(*repository), std::move(*tag), {}, std::move(actor)};
  if (!expected->empty()) {
    auto digest = Digest::parse(*expected);
    if (!digest) return digest.error();
    asked.digest = std::move(*digest);
  }
  return asked;
}

}  // namespace

// GET /api/v1/mirrors/<mirror>/updates?n=…&last=…
AdminHandler::Answer AdminHandler::list_mirror_updates(http::Exchange& http, const AdminRoute& route) {
  if (!context_.mirrors) co_return no_mirror();
  const auto limit = page_size(http.request().query, mirror::UpdatePage::most_tags);
  if (!limit) co_return limit.error();
  const auto last = last_of(http.request().query);
  if (!last) co_return last.error();
  const auto page = co_await context_.mirrors->updates(route.mirror, *last, *limit);
  if (!page) co_return page.error();
  Json updates = Json::array();
  for (const auto& update : page->updates) updates.push_back(update_json(update, page->now));
  Json body{{"mirror", mirror::canonical_registry(route.mirror)},
            {"tags", page->pins ? "pin" : "follow"},
            {"quarantine", page->quarantine.count()},
            {"updates", std::move(updates)},
            {"problem", text_or_null(page->problem)},
            {"next", nullptr}};
  if (page->next) body["next"] = page->next->repository.str() + ":" + page->next->tag.str();
  co_return json_response(body);
}

// POST /api/v1/mirrors/<mirror>/approvals
AdminHandler::Answer AdminHandler::approve_mirror_update(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"repository", "tag", "digest"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto asked = approval_of(*body, route, actor(http));
  if (!asked) co_return asked.error();
  http.note.repository = asked->repository.str();
  http.note.reference = asked->tag.str();
  if (!context_.mirrors) co_return no_mirror();
  const std::string tag = asked->tag.str();
  const auto done = co_await context_.mirrors->approve(std::move(*asked));
  if (!done) co_return done.error();
  const Json answer{{"repository", done->repository.str()},
                    {"tag", tag},
                    {"previous", optional_text(done->previous)},
                    {"digest", done->digest.str()}};
  co_return json_response(answer);
}

}  // namespace stele::api
