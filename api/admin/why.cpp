#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "api/hold_details.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

Json digests_json(const std::vector<Digest>& digests) {
  Json list = Json::array();
  for (const Digest& digest : digests) list.push_back(digest.str());
  return list;
}

Json tag_json(const WhyTag& tag) {
  return Json{{"tag", tag.binding.tag.str()},
              {"pushed_at", to_string(tag.binding.pushed_at)},
              {"pushed_by", tag.binding.pushed_by},
              {"rule", tag.rule},
              {"mutability", policy::to_string(tag.mutability)},
              {"delete", tag.may_delete ? "allow" : "deny"},
              {"lifecycle", tag.lifecycle_protects ? "protect" : "allow"}};
}

Json protection_json(const Error& protection) {
  std::string reason;
  for (const Error::Detail& member : protection.details()) {
    if (member.key == "reason") reason = member.value;
  }
  return Json{{"reason", reason}, {"message", protection.message()}};
}

Json content_json(const WhyContent& content) {
  Json tags = Json::array();
  for (const WhyTag& tag : content.tags) tags.push_back(tag_json(tag));
  Json protections = Json::array();
  for (const Error& protection : content.protections) protections.push_back(protection_json(protection));
  Json body{{"kind", content.manifest ? "manifest" : "blob"},
            {"media_type", text_or_null(content.media_type)},
            {"size", content.size},
            {"pushed_at", time_or_null(content.pushed_at)},
            {"pushed_by", text_or_null(content.pushed_by)},
            {"tags", std::move(tags)},
            {"untagged_since", time_or_null(content.untagged_since)},
            {"named_by", digests_json(content.named_by)},
            {"subject", nullptr},
            {"referrers", digests_json(content.referrers)},
            {"protections", std::move(protections)},
            {"needed_by_trash", optional_text(content.trash_needs)},
            {"pulled_at", time_or_null(content.pulled_at)},
            {"pulls_known_since", time_or_null(content.pulls_known_since)},
            {"leased", content.leased},
            {"settling", content.settling},
            {"verdict", nullptr}};
  if (content.subject)
    body["subject"] = Json{{"digest", content.subject->str()}, {"present", content.subject_is_here}};
  if (const auto& verdict = content.verdict) {
    body["verdict"] = Json{
        {"verdict", verdict->verdict}, {"rule", text_or_null(verdict->rule)}, {"reason", verdict->reason}};
  }
  return body;
}

Json whole_json(const WhyRepository& whole) {
  Json body = usage_json(whole.usage);
  body["lock"] = nullptr;
  if (whole.lock) body["lock"] = lock_json(*whole.lock);
  body["hold"] = nullptr;
  if (whole.hold) body["hold"] = hold_json(*whole.hold);
  body["in_use"] = whole.in_use;
  return body;
}

Json departure_json(const WhyDeparture& gone) {
  const catalog::Departure& departure = gone.departure;
  Json body{{"at", to_string(departure.at)},
            {"by", departure.actor},
            {"action", departure.action},
            {"rule", text_or_null(departure.rule)},
            {"reason", text_or_null(departure.reason)},
            {"run", nullptr},
            {"with_repository", gone.repository.has_value()},
            {"request", departure.request_id}};
  if (departure.run) body["run"] = *departure.run;
  return body;
}

Json removal_json(const catalog::TagRemoval& removal) {
  return Json{{"at", to_string(removal.at)},        {"by", removal.actor},
              {"action", removal.action},           {"digest", removal.digest.str()},
              {"rule", text_or_null(removal.rule)}, {"reason", text_or_null(removal.reason)},
              {"request", removal.request_id}};
}

Json trash_json(const catalog::TrashItem& item) {
  return Json{{"id", item.id},
              {"run", item.run},
              {"digest", item.digest.str()},
              {"removed_at", to_string(item.removed_at)},
              {"erase_after", to_string(item.erase_after)},
              {"rule", item.rule},
              {"reason", item.reason},
              {"restore", "stele trash restore " + std::to_string(item.id)}};
}

Json why_json(const Why& why) {
  Json body{{"repository", why.repository.str()},
            {"tag", nullptr},
            {"digest", optional_text(why.digest)},
            {"state", why.present ? "present" : "gone"},
            {"whole", nullptr},
            {"content", nullptr},
            {"removals", Json::array()},
            {"name_bound_to", nullptr},
            {"departures", Json::array()},
            {"trash", nullptr}};
  if (why.tag) body["tag"] = why.tag->str();
  if (why.whole) body["whole"] = whole_json(*why.whole);
  if (why.content) body["content"] = content_json(*why.content);
  for (const auto& removal : why.removals) body["removals"].push_back(removal_json(removal));
  if (const auto& bound = why.bound) {
    body["name_bound_to"] = Json{{"digest", bound->digest.str()},
                                 {"mutability", bound->mutability},
                                 {"pushed_at", to_string(bound->pushed_at)},
                                 {"pushed_by", bound->pushed_by}};
  }
  for (const auto& gone : why.departures) body["departures"].push_back(departure_json(gone));
  if (why.trash) body["trash"] = trash_json(*why.trash);
  return body;
}

// Who may not see holds learns that there is one, and no more.
void hide_holds(Why& why) {
  constexpr const char* hidden = "(only for who may see holds)";
  if (why.whole && why.whole->hold) {
    catalog::HoldRow& hold = *why.whole->hold;
    hold.name = hold.case_number = hold.reason = hold.set_by = hidden;
  }
  if (!why.content) return;
  for (Error& protection : why.content->protections) {
    if (tells_of_hold(protection)) protection = without_hold_details(protection);
    if (why.content->verdict && tells_of_hold(protection))
      why.content->verdict->reason = protection.message();
  }
}

Result<std::optional<Reference>> reference_of(std::string_view text) {
  const http::QueryParameters query(text);
  const auto tag = query.first("tag"), digest = query.first("digest");
  if (tag && digest)
    return Error(Errc::parameter_invalid, "ask for a tag (tag=) or a digest (digest=), not both");
  if (!tag && !digest) return std::optional<Reference>();
  if (tag) {
    auto parsed = Tag::parse(*tag);
    if (!parsed) return Error(Errc::parameter_invalid, parsed.error().message());
    return std::optional<Reference>(std::move(*parsed));
  }
  auto parsed = Digest::parse(*digest);
  if (!parsed) return parsed.error();
  return std::optional<Reference>(std::move(*parsed));
}

}  // namespace

// GET /api/v1/repositories/<name>/why?tag=…|digest=…
AdminHandler::Answer AdminHandler::ask_why(http::Exchange& http, const AdminRoute& route) {
  auto reference = reference_of(http.request().query);
  if (!reference) co_return reference.error();
  WhyQuery query{*route.name, std::move(*reference)};
  auto why = co_await context_.whys.ask(std::move(query));
  if (!why) co_return why.error();
  if (!context_.access.may(http.identity(), seeing_holds, &*route.name)) hide_holds(*why);
  co_return json_response(why_json(*why));
}

}  // namespace stele::api
