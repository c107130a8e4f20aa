#include <charconv>
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "api/conditional.hpp"
#include "base/printable.hpp"
#include "http/uri.hpp"
#include "mirror/names.hpp"

namespace stele::api {
namespace {

// What a tag is and which rule decides it.
Json tag_json(const RepositoryName& repository, const catalog::TagBinding& tag,
              const policy::Policy& policy) {
  const policy::TagRule& rule = *policy.tag_rule(repository.str(), tag.tag.str()).rule;
  return Json{{"repository", repository.str()},
              {"tag", tag.tag.str()},
              {"digest", tag.digest.str()},
              {"pushed_at", to_string(tag.pushed_at)},
              {"pushed_by", tag.pushed_by},
              {"rule", rule.name},
              {"mutability", policy::to_string(rule.mutability)}};
}

Json entry_json(const catalog::TagHistoryEntry& entry) {
  return Json{{"at", to_string(entry.at)},
              {"by", entry.actor},
              {"action", entry.action},
              {"previous", optional_text(entry.previous)},
              {"digest", optional_text(entry.current)},
              {"rule", text_or_null(entry.rule)},
              {"reason", text_or_null(entry.reason)}};
}

Result<std::optional<Digest>> digest_member(const nlohmann::json& object, const char* name) {
  const auto text = text_member(object, name);
  if (!text) return text.error();
  if (text->empty()) return std::optional<Digest>();
  auto digest = Digest::parse(*text);
  if (!digest) return digest.error();
  return std::optional<Digest>(std::move(*digest));
}

Result<std::optional<Timestamp>> time_member(const nlohmann::json& object, const char* name) {
  const auto text = text_member(object, name);
  if (!text) return text.error();
  if (text->empty()) return std::optional<Timestamp>();
  auto time = parse_timestamp(*text);
  if (!time) return time.error();
  return std::optional<Timestamp>(*time);
}

Result<std::vector<Tag>> tags_member(const nlohmann::json& object) {
  constexpr std::size_t most_tags = 100;
  std::vector<Tag> tags;
  const auto member = object.find("tags");
  if (member == object.end() || member->is_null()) return tags;
  Error wrong(Errc::parameter_invalid, "tags must be a list of at most 100 tags");
  if (!member->is_array() || member->size() > most_tags) return wrong;
  for (const auto& item : *member) {
    if (!item.is_string()) return wrong;
    auto tag = Tag::parse(item.get_ref<const std::string&>());
    if (!tag) return Error(Errc::parameter_invalid, tag.error().message());
    tags.push_back(std::move(*tag));
  }
  return tags;
}

Result<Rollback> rollback_of(const nlohmann::json& body, const AdminRoute& route, audit::Actor actor) {
  const auto to = digest_member(body, "to");
  if (!to) return to.error();
  const auto at = time_member(body, "at");
  if (!at) return at.error();
  if (*to && *at) return Error(Errc::parameter_invalid, "name a digest (to) or a time (at), not both");
  auto reason = line_member(body, "reason");
  if (!reason) return reason.error();
  return Rollback{*route.name, *route.tag, *to, *at, std::move(*reason), std::move(actor)};
}

Result<Promotion> promotion_of(const nlohmann::json& body, const AdminRoute& route, audit::Actor actor) {
  const auto text = text_member(body, "reference");
  if (!text) return text.error();
  if (text->empty())
    return Error(Errc::parameter_invalid, "reference is missing: the tag or digest to promote");
  auto reference = Reference::parse(*text);
  if (!reference) return Error(Errc::parameter_invalid, reference.error().message());
  const auto to = text_member(body, "to");
  if (!to) return to.error();
  auto target = RepositoryName::parse(to->empty() ? route.name->str() : *to);
  if (!target) return target.error();
  auto tags = tags_member(body);
  if (!tags) return tags.error();
  if (*target == *route.name && tags->empty())
    return Error(Errc::parameter_invalid, "name a repository to promote to (to), or further tags (tags)");
  return Promotion{
      *route.name, std::move(*reference), std::move(*target), std::move(*tags), std::move(actor), {}, {}};
}

}  // namespace

// GET /api/v1/repositories/<name>/tags?n=…&last=…
AdminHandler::Answer AdminHandler::list_tags(http::Exchange& http, const AdminRoute& route) {
  const auto limit = page_size(http.request().query, TagHistory::largest_page);
  if (!limit) co_return limit.error();
  const http::QueryParameters query(http.request().query);
  const std::string last(query.first("last").value_or(""));
  const auto page = co_await history_.list(*route.name, last, *limit);
  if (!page) co_return page.error();
  const auto policy = context_.policies.current();
  Json tags = Json::array();
  for (const auto& tag : page->tags) tags.push_back(tag_json(*route.name, tag, *policy));
  Json body{{"repository", route.name->str()}, {"tags", std::move(tags)}, {"next", nullptr}};
  if (page->more) body["next"] = page->tags.back().tag.str();
  co_return json_response(body);
}

// GET /api/v1/repositories/<name>/tags/<tag>[?at=<RFC 3339>]
AdminHandler::Answer AdminHandler::get_tag(http::Exchange& http, const AdminRoute& route) {
  const http::QueryParameters query(http.request().query);
  const auto text = query.first("at");
  if (!text) {
    const auto found = history_.find(*route.name, *route.tag);
    if (!found) co_return found.error();
    http::Response answer = json_response(tag_json(*route.name, *found, *context_.policies.current()));
    answer.header("ETag", entity_tag(found->digest));  // for If-Match of what moves it
    co_return answer;
  }
  const auto moment = parse_timestamp(*text);
  if (!moment) co_return moment.error();
  const auto entry = co_await history_.at(*route.name, *route.tag, *moment);
  if (!entry) co_return entry.error();
  if (!entry->current) {
    co_return Error(Errc::manifest_unknown, "tag " + route.tag->str() + " in " + route.name->str() +
                                                " was deleted at " + to_string(entry->at) + " by " +
                                                entry->actor + " and did not exist at " + to_string(*moment));
  }
  const Json body{{"repository", route.name->str()}, {"tag", route.tag->str()},
                  {"at", to_string(*moment)},        {"digest", entry->current->str()},
                  {"since", to_string(entry->at)},   {"by", entry->actor}};
  co_return json_response(body);
}

// GET /api/v1/repositories/<name>/tags/<tag>/history?n=…&before=…
AdminHandler::Answer AdminHandler::get_tag_history(http::Exchange& http, const AdminRoute& route) {
  const auto limit = page_size(http.request().query, TagHistory::largest_page);
  if (!limit) co_return limit.error();
  const http::QueryParameters query(http.request().query);
  std::int64_t before = 0;
  if (const auto text = query.first("before")) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), before);
    if (error != std::errc() || end != text->data() + text->size() || before < 1)
      co_return Error(Errc::parameter_invalid, "before= must be the next of an earlier page");
  }
  const auto page = co_await history_.history(*route.name, *route.tag, before, *limit);
  if (!page) co_return page.error();
  Json entries = Json::array();
  for (const auto& entry : page->entries) entries.push_back(entry_json(entry));
  Json body{{"repository", route.name->str()},
            {"tag", route.tag->str()},
            {"history", std::move(entries)},
            {"next", nullptr}};
  if (page->next > 0) body["next"] = page->next;
  co_return json_response(body);
}

// POST /api/v1/repositories/<name>/tags/<tag>/rollback
AdminHandler::Answer AdminHandler::roll_back(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"to", "at", "reason"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto asked = rollback_of(*body, route, actor(http));
  if (!asked) co_return asked.error();
  auto conditions = write_conditions(http.request());
  if (!conditions) co_return conditions.error();
  asked->conditions = std::move(*conditions);
  const auto done = co_await moves_.rollback(std::move(*asked));
  if (!done) co_return done.error();
  const Json answer{{"repository", route.name->str()},
                    {"tag", route.tag->str()},
                    {"previous", optional_text(done->from)},
                    {"digest", done->to.str()}};
  co_return json_response(answer);
}

// POST /api/v1/repositories/<name>/tags/<tag>/release
AdminHandler::Answer AdminHandler::release_tag(http::Exchange& http, const AdminRoute& route) {
  if (!context_.deletion)
    co_return Error(Errc::deletion_disabled, "deletion is switched off here (delete: off)");
  static constexpr std::string_view members[] = {"reason"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto reason = line_member(*body, "reason");
  if (!reason) co_return reason.error();
  if (reason->empty())
    co_return Error(Errc::parameter_invalid, "reason is missing: why the name is needed anew");
  auto conditions = write_conditions(http.request());
  if (!conditions) co_return conditions.error();
  Release asked{*route.name, *route.tag, std::move(*reason), actor(http), std::move(*conditions)};
  const auto done = co_await moves_.release(std::move(asked));
  if (!done) co_return done.error();
  const Json answer{{"repository", route.name->str()},
                    {"tag", route.tag->str()},
                    {"digest", done->digest.str()},
                    {"removed", done->removed}};
  co_return json_response(answer);
}

// POST /api/v1/repositories/<name>/promote
AdminHandler::Answer AdminHandler::promote(http::Exchange& http, const AdminRoute& route) {
  static constexpr std::string_view members[] = {"reference", "to", "tags", "upstream"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  auto asked = promotion_of(*body, route, actor(http));
  if (!asked) co_return asked.error();
  auto conditions = write_conditions(http.request());
  if (!conditions) co_return conditions.error();
  if (asked->tags.empty() && !asked->reference.tag() && (conditions->if_match || conditions->if_none_match)) {
    co_return Error(
        Errc::parameter_invalid,
        "a condition speaks of the tags that are set, and a digest is promoted without one (tags)");
  }
  asked->conditions = std::move(*conditions);
  const auto upstream = text_member(*body, "upstream");
  if (!upstream) co_return upstream.error();
  if (!upstream->empty() && *upstream != "ask" && *upstream != "never") {
    co_return Error(Errc::parameter_invalid, "upstream must be ask or never, not " + in_quotes(*upstream) +
                                                 ": may what is not here be fetched for the promotion?");
  }
  const auto mirrored = find_mirrored(*asked);
  if (!mirrored) co_return mirrored.error();
  const auth::Needs pulling(auth::Right::pull, "promoting from it"),
      promoting(auth::Right::promote, "promoting");
  if (auto may = context_.access.may(http.identity(), promoting, &asked->to); !may) co_return may.error();
  if (auto may = context_.access.may(http.identity(), pulling, &asked->from); !may) co_return may.error();
  const std::string source = asked->from.str(), target = asked->to.str();
  Json fetched;
  if (*mirrored) {
    auto whole = co_await gather_source(**mirrored, *upstream == "never", *asked);
    if (!whole) co_return whole.error();
    fetched = std::move(*whole);
  }
  const auto done = co_await moves_.promote(std::move(*asked));
  if (!done) co_return done.error();
  Json tags = Json::array();
  for (const Tag& tag : done->tags) tags.push_back(tag.str());
  Json answer{{"from", source},          {"repository", target},         {"digest", done->digest.str()},
              {"tags", std::move(tags)}, {"manifests", done->manifests}, {"blobs", done->blobs}};
  if (!fetched.is_null()) answer["mirrored"] = std::move(fetched);
  co_return json_response(answer, 201);
}

}  // namespace stele::api
