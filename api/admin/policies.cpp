#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t versions_shown = 100;

}  // namespace

// GET /api/v1/policy
AdminHandler::Answer AdminHandler::get_policy(http::Exchange&, const AdminRoute&) {
  const auto versions = parts_.policies.versions(versions_shown);
  if (!versions) co_return versions.error();
  Json list = Json::array();
  for (const auto& version : *versions) {
    list.push_back(Json{{"hash", version.hash},
                        {"loaded_at", to_string(version.loaded_at)},
                        {"loaded_by", version.loaded_by}});
  }
  const auto policy = parts_.policies.current();
  const Json body{{"hash", policy->hash()}, {"source", policy->source()}, {"versions", std::move(list)}};
  co_return json_response(body);
}

// GET /api/v1/policy/explain?repository=…&tag=…
AdminHandler::Answer AdminHandler::explain_policy(http::Exchange& http, const AdminRoute&) {
  const http::QueryParameters query(http.request().query);
  const auto repository = RepositoryName::parse(query.first("repository").value_or(""));
  if (!repository) co_return repository.error();
  const auto tag = Tag::parse(query.first("tag").value_or(""));
  if (!tag) co_return Error(Errc::parameter_invalid, tag.error().message());
  const auto explained = parts_.policies.explain(*repository, *tag);
  if (!explained) co_return explained.error();
  const policy::TagRule& rule = *explained->match.rule;
  Json body{{"repository", repository->str()},
            {"tag", tag->str()},
            {"policy", explained->policy->hash()},
            {"in_force_since", nullptr},
            {"rule", rule.name},
            {"repository_pattern", text_or_null(explained->match.repository_pattern)},
            {"tag_pattern", text_or_null(explained->match.tag_pattern)},
            {"mutability", policy::to_string(rule.mutability)},
            {"forward_by", nullptr},
            {"delete", rule.may_delete ? "allow" : "deny"},
            {"lifecycle", rule.lifecycle_protects ? "protect" : "allow"},
            {"lock", nullptr},
            {"bound", nullptr}};
  if (rule.mutability == policy::Mutability::forward_only)
    body["forward_by"] = policy::to_string(rule.forward_by);
  if (explained->loaded) body["in_force_since"] = to_string(*explained->loaded);
  if (explained->lock) body["lock"] = lock_json(*explained->lock);
  if (const auto& held = explained->held) {
    body["bound"] = Json{{"digest", held->digest.str()},
                         {"since", to_string(held->pushed_at)},
                         {"by", held->pushed_by},
                         {"deleted", held->removed}};
  }
  co_return json_response(body);
}

}  // namespace stele::api
