#include "api/admin/route.hpp"

#include <charconv>

#include "base/printable.hpp"
#include "base/text.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

Error no_endpoint(std::string_view path) {
  return Error(Errc::not_found,
               "there is nothing at " + printable(path, 300) + "; docs/api/openapi.yaml lists what there is");
}

Result<AdminRoute> named(AdminEndpoint endpoint, std::string_view name,
                         std::optional<std::string_view> tag = std::nullopt) {
  // Split first, decode after: in "a%2Ftags%2Fb" everything is the repository's name.
  auto repository = RepositoryName::parse(http::percent_decode(name).value_or(std::string()));
  if (!repository) return repository.error();
  AdminRoute route{endpoint, std::move(*repository), std::nullopt};
  if (tag) {
    auto parsed = Tag::parse(http::percent_decode(*tag).value_or(std::string()));
    if (!parsed) return Error(Errc::manifest_unknown, parsed.error().message());
    route.tag = std::move(*parsed);
  }
  return route;
}

// What has no name or number in it.
struct Fixed {
  std::string_view path;
  AdminEndpoint endpoint;
};

constexpr Fixed fixed[] = {{"backup", AdminEndpoint::backup},
                           {"sweep", AdminEndpoint::sweep},
                           {"policy", AdminEndpoint::policy},
                           {"policy/explain", AdminEndpoint::policy_explain},
                           {"policy/try", AdminEndpoint::policy_try},
                           {"access/explain", AdminEndpoint::access_explain},
                           {"usage", AdminEndpoint::usage},
                           {"holds", AdminEndpoint::holds},
                           {"clock", AdminEndpoint::clock},
                           {"clock/confirm", AdminEndpoint::clock_confirm},
                           {"status", AdminEndpoint::status},
                           {"gc", AdminEndpoint::gc},
                           {"gc/pause", AdminEndpoint::gc_pause},
                           {"gc/resume", AdminEndpoint::gc_resume},
                           {"lifecycle", AdminEndpoint::lifecycle},
                           {"lifecycle/plan", AdminEndpoint::lifecycle_plan},
                           {"lifecycle/apply", AdminEndpoint::lifecycle_apply},
                           {"lifecycle/run", AdminEndpoint::lifecycle_run},
                           {"lifecycle/runs", AdminEndpoint::lifecycle_runs},
                           {"scrub", AdminEndpoint::scrub},
                           {"scrub/start", AdminEndpoint::scrub_start},
                           {"scrub/pause", AdminEndpoint::scrub_pause},
                           {"scrub/resume", AdminEndpoint::scrub_resume},
                           {"quarantine", AdminEndpoint::quarantine},
                           {"fsck", AdminEndpoint::fsck},
                           {"in-use", AdminEndpoint::in_use},
                           {"robots", AdminEndpoint::robots},
                           {"users", AdminEndpoint::users},
                           {"first-administrator", AdminEndpoint::first_administrator},
                           {"tokens", AdminEndpoint::tokens},
                           {"tokens/revoke", AdminEndpoint::tokens_revoke},
                           {"account/tokens", AdminEndpoint::own_tokens},
                           {"mirrors", AdminEndpoint::mirrors},
                           {"mirrors/fetches", AdminEndpoint::mirror_fetches},
                           {"trash", AdminEndpoint::trash},
                           {"trash/restore", AdminEndpoint::trash_restore},
                           {"trash/erase", AdminEndpoint::trash_erase}};

struct Numbered {
  std::string_view before;
  std::string_view after;
  AdminEndpoint endpoint;
};

// The number that stands between them.
std::optional<std::int64_t> number_between(std::string_view path, std::string_view before,
                                           std::string_view after) {
  if (path.size() < before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after))
    return std::nullopt;
  const std::string_view text = path.substr(before.size(), path.size() - before.size() - after.size());
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<AdminRoute> robot_route(std::string_view rest) {
  AdminRoute route{AdminEndpoint::robot, {}, {}};
  const std::size_t slash = rest.find('/');
  const std::string_view verb = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  if (verb == "renew") {
    route.endpoint = AdminEndpoint::robot_renew;
  } else if (verb == "revoke") {
    route.endpoint = AdminEndpoint::robot_revoke;
  } else if (slash != std::string_view::npos) {
    return no_endpoint(std::string(admin_prefix) + "robots/" + std::string(rest));
  }
  auto name = auth::RobotName::parse(http::percent_decode(rest.substr(0, slash)).value_or(std::string()));
  if (!name) return name.error();
  route.robot = std::move(*name);
  return route;
}

Result<AdminRoute> user_route(std::string_view rest) {
  struct Verb {
    std::string_view path;
    AdminEndpoint endpoint;
  };
  constexpr Verb verbs[] = {{"", AdminEndpoint::user},
                            {"password", AdminEndpoint::user_password},
                            {"disable", AdminEndpoint::user_disable},
                            {"enable", AdminEndpoint::user_enable},
                            {"groups", AdminEndpoint::user_groups}};
  const std::size_t slash = rest.find('/');
  const std::string_view what = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  for (const Verb& verb : verbs) {
    if (verb.path != what || (what.empty() && slash != std::string_view::npos)) continue;
    auto name = auth::UserName::parse(http::percent_decode(rest.substr(0, slash)).value_or(std::string()));
    if (!name) return name.error();
    AdminRoute route{verb.endpoint, {}, {}};
    route.user = std::move(*name);
    return route;
  }
  return no_endpoint(std::string(admin_prefix) + "users/" + std::string(rest));
}

Result<AdminRoute> mirror_route(std::string_view rest) {
  const std::size_t slash = rest.find('/');
  const std::string_view what = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  AdminRoute route{AdminEndpoint::mirror_updates, {}, {}};
  if (what == "approvals") {
    route.endpoint = AdminEndpoint::mirror_approvals;
  } else if (what != "updates") {
    return no_endpoint(std::string(admin_prefix) + "mirrors/" + std::string(rest));
  }
  route.mirror = http::percent_decode(rest.substr(0, slash)).value_or(std::string());
  if (route.mirror.empty()) return no_endpoint(std::string(admin_prefix) + "mirrors/" + std::string(rest));
  return route;
}

Result<AdminRoute> repository_route(std::string_view rest) {
  std::string_view before = rest;
  const std::string_view last = take_last_segment(before);
  std::string_view two = before;
  const std::string_view second = take_last_segment(two);
  std::string_view three = two;
  const std::string_view third = take_last_segment(three);
  if (third == "tags" && !three.empty()) {
    if (last == "history") return named(AdminEndpoint::tag_history, three, second);
    if (last == "rollback") return named(AdminEndpoint::tag_rollback, three, second);
    if (last == "release") return named(AdminEndpoint::tag_release, three, second);
    if (last == "lock") return named(AdminEndpoint::tag_lock, three, second);
  }
  if (second == "tags" && !two.empty()) return named(AdminEndpoint::tag, two, last);
  if (last == "tags" && !before.empty()) return named(AdminEndpoint::tags, before);
  if (last == "locks" && !before.empty()) return named(AdminEndpoint::locks, before);
  if (last == "why" && !before.empty()) return named(AdminEndpoint::why, before);
  if (last == "promote" && !before.empty()) return named(AdminEndpoint::promote, before);
  return named(AdminEndpoint::repository, rest);
}

}  // namespace

Result<AdminRoute> parse_admin_route(std::string_view path) {
  if (!http::percent_decode(path))
    return Error(Errc::parameter_invalid, "the request path is not properly percent-encoded");
  std::string_view rest = path;
  if (!rest.starts_with(admin_prefix)) return no_endpoint(path);
  rest.remove_prefix(admin_prefix.size());
  for (const Fixed& entry : fixed) {
    if (rest == entry.path) return AdminRoute{entry.endpoint, {}, {}};
  }
  constexpr Numbered numbered[] = {{"holds/", "/release", AdminEndpoint::hold_release},
                                   {"lifecycle/runs/", "/approve", AdminEndpoint::lifecycle_run_approve},
                                   {"lifecycle/runs/", "/dismiss", AdminEndpoint::lifecycle_run_dismiss},
                                   {"lifecycle/runs/", "", AdminEndpoint::lifecycle_run_id},
                                   {"tokens/", "", AdminEndpoint::token},
                                   {"account/tokens/", "", AdminEndpoint::own_token},
                                   {"trash/", "/restore", AdminEndpoint::trash_item_restore},
                                   {"trash/", "", AdminEndpoint::trash_item}};
  for (const Numbered& entry : numbered) {
    if (const auto id = number_between(rest, entry.before, entry.after)) {
      AdminRoute route{entry.endpoint, {}, {}};
      route.id = *id;
      return route;
    }
  }
  constexpr std::string_view in_use = "in-use/";
  if (rest.starts_with(in_use)) {
    auto cluster =
        ClusterName::parse(http::percent_decode(rest.substr(in_use.size())).value_or(std::string()));
    if (!cluster) return cluster.error();
    AdminRoute route{AdminEndpoint::in_use_cluster, {}, {}};
    route.cluster = std::move(*cluster);
    return route;
  }
  constexpr std::string_view mirrors = "mirrors/";
  if (rest.starts_with(mirrors)) return mirror_route(rest.substr(mirrors.size()));
  constexpr std::string_view robots = "robots/";
  if (rest.starts_with(robots)) return robot_route(rest.substr(robots.size()));
  constexpr std::string_view users = "users/";
  if (rest.starts_with(users)) return user_route(rest.substr(users.size()));
  constexpr std::string_view repositories = "repositories/";
  if (!rest.starts_with(repositories) || rest.size() == repositories.size()) return no_endpoint(path);
  return repository_route(rest.substr(repositories.size()));
}

}  // namespace stele::api
