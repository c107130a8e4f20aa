#include <charconv>
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "config/yaml_document.hpp"
#include "http/uri.hpp"
#include "policy/lifecycle_rules.hpp"
#include "policy/load.hpp"
#include "policy/quotas.hpp"

namespace stele::api {
namespace {

constexpr std::int64_t versions_shown = 100;
constexpr std::int64_t default_days = 30;
constexpr std::int64_t most_days = 36'500;

}  // namespace

// GET /api/v1/policy
AdminHandler::Answer AdminHandler::get_policy(http::Exchange&, const AdminRoute&) {
  const auto versions = context_.policies.versions(versions_shown);
  if (!versions) co_return versions.error();
  Json list = Json::array();
  for (const auto& version : *versions) {
    list.push_back(Json{{"hash", version.hash},
                        {"loaded_at", to_string(version.loaded_at)},
                        {"loaded_by", version.loaded_by}});
  }
  const auto policy = context_.policies.current();
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
  const auth::Needs explaining(auth::Right::pull, "explaining the policy");
  if (auto may = context_.access.may(http.identity(), explaining, &*repository); !may) co_return may.error();
  const auto explained = context_.policies.explain(*repository, *tag);
  if (!explained) co_return explained.error();
  const policy::TagRule& rule = *explained->match.rule;
  Json body{{"repository", repository->str()},
            {"tag", tag->str()},
            {"policy", explained->policy->hash()},
            {"in_force_since", nullptr},
            {"rule", rule.name},
            {"repository_pattern", text_or_null(explained->match.repository_pattern)},
            {"tag_pattern", text_or_null(explained->match.tag_pattern)},
            {"near", Json::array()},
            {"mutability", policy::to_string(rule.mutability)},
            {"forward_by", nullptr},
            {"delete", rule.may_delete ? "allow" : "deny"},
            {"lifecycle", rule.lifecycle_protects ? "protect" : "allow"},
            {"lifecycle_rules", Json::array()},
            {"quota", nullptr},
            {"lock", nullptr},
            {"bound", nullptr},
            {"released", nullptr}};
  if (rule.mutability == policy::Mutability::forward_only)
    body["forward_by"] = policy::to_string(rule.forward_by);
  for (const policy::Lifecycle::Rule* applies : explained->policy->lifecycle()->rules_for(repository->str()))
    body["lifecycle_rules"].push_back(applies->name);
  if (const auto quota = explained->policy->quotas()->of(repository->str())) {
    body["quota"] = Json{{"rule", quota.shown()},
                         {"pattern", policy::pattern_of(*quota.quota, repository->str())},
                         {"bytes", quota.quota->bytes}};
  }
  for (const policy::NearMiss& miss : explained->policy->near_misses(repository->str(), tag->str()))
    body["near"].push_back(Json{{"rule", miss.rule->name}, {"why", miss.why}});
  if (explained->loaded) body["in_force_since"] = to_string(*explained->loaded);
  if (explained->lock) body["lock"] = lock_json(*explained->lock);
  if (const auto& binding = explained->binding) {
    body["bound"] = Json{{"digest", binding->digest.str()},
                         {"since", to_string(binding->pushed_at)},
                         {"by", binding->pushed_by},
                         {"deleted", binding->removed}};
  }
  if (const auto& released = explained->released) {
    body["released"] = Json{{"digest", released->digest.str()},
                            {"at", to_string(released->at)},
                            {"by", released->actor},
                            {"reason", text_or_null(released->reason)}};
  }
  co_return json_response(body);
}

// POST /api/v1/policy/try?days=…, the body is the policy file
AdminHandler::Answer AdminHandler::try_policy(http::Exchange& http, const AdminRoute&) {
  const http::QueryParameters query(http.request().query);
  std::int64_t days = default_days;
  if (const auto text = query.first("days")) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), days);
    if (error != std::errc() || end != text->data() + text->size() || days < 0 || days > most_days)
      co_return Error(Errc::parameter_invalid, "days= must be a number of days, at most 36500");
  }
  const auto body = co_await http.read_body(max_config_bytes);
  if (!body) co_return body.error();
  const auto loaded = policy::load_policy(*body, "policy");
  if (!loaded.policy) co_return Error(Errc::parameter_invalid, loaded.problems.to_string());
  constexpr std::int64_t day = 24LL * 3600 * 1'000'000;
  const Timestamp since = context_.clock.now() + -days * day;
  const auto trial = co_await trials_.run(loaded.policy, since);
  if (!trial) co_return trial.error();
  Json changed = Json::array(), refused = Json::array(), uncovered = Json::array();
  for (const ChangedTag& tag : trial->changed) {
    changed.push_back(Json{{"repository", tag.repository},
                           {"tag", tag.tag},
                           {"what", tag.what},
                           {"rule", Json{{"now", tag.old_rule}, {"then", tag.new_rule}}},
                           {"mutability", Json{{"now", tag.old_mutability}, {"then", tag.new_mutability}}}});
  }
  for (const RefusedBinding& binding : trial->refused) {
    refused.push_back(Json{{"repository", binding.repository},
                           {"tag", binding.tag},
                           {"at", to_string(binding.at)},
                           {"by", binding.by},
                           {"rule", binding.rule},
                           {"reason", binding.reason}});
  }
  for (const UncoveredTag& tag : trial->uncovered)
    uncovered.push_back(Json{{"repository", tag.repository}, {"tag", tag.tag}, {"shape", tag.shape}});
  const Json answer{{"tags", trial->tags},
                    {"tags_changed", trial->tags_changed},
                    {"changed", std::move(changed)},
                    {"since", to_string(since)},
                    {"bindings", trial->bindings},
                    {"bindings_refused", trial->bindings_refused},
                    {"refused", std::move(refused)},
                    {"undecided", trial->undecided},
                    {"tags_uncovered", trial->tags_uncovered},
                    {"uncovered", std::move(uncovered)}};
  co_return json_response(answer);
}

}  // namespace stele::api
