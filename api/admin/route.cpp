#include "api/admin/route.hpp"

#include <algorithm>
#include <charconv>

#include "base/printable.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

Error no_endpoint(std::string_view path) {
  return Error(Errc::not_found,
               "there is nothing at " + printable(path, 300) + "; docs/api/openapi.yaml lists what there is");
}

Result<AdminRoute> named(AdminEndpoint endpoint, std::string_view name,
                         std::optional<std::string_view> tag = std::nullopt) {
  auto repository = RepositoryName::parse(name);
  if (!repository) return repository.error();
  AdminRoute route{endpoint, std::move(*repository), std::nullopt};
  if (tag) {
    auto parsed = Tag::parse(*tag);
    if (!parsed) return Error(Errc::manifest_unknown, parsed.error().message());
    route.tag = std::move(*parsed);
  }
  return route;
}

// Takes the last segment off `path`.
std::string_view take_last(std::string_view& path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view last = slash == std::string_view::npos ? path : path.substr(slash + 1);
  path = slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  return last;
}

Result<AdminRoute> repository_route(std::string_view rest) {
  std::string_view before = rest;
  const std::string_view last = take_last(before);
  std::string_view two = before;
  const std::string_view second = take_last(two);
  std::string_view three = two;
  const std::string_view third = take_last(three);
  if (third == "tags" && !three.empty()) {
    if (last == "history") return named(AdminEndpoint::tag_history, three, second);
    if (last == "rollback") return named(AdminEndpoint::tag_rollback, three, second);
    if (last == "lock") return named(AdminEndpoint::tag_lock, three, second);
  }
  if (second == "tags" && !two.empty()) return named(AdminEndpoint::tag, two, last);
  if (last == "tags" && !before.empty()) return named(AdminEndpoint::tags, before);
  if (last == "locks" && !before.empty()) return named(AdminEndpoint::locks, before);
  if (last == "promote" && !before.empty()) return named(AdminEndpoint::promote, before);
  return named(AdminEndpoint::repository, rest);
}

}  // namespace

Result<AdminRoute> parse_admin_route(std::string_view path) {
  const auto decoded = http::percent_decode(path);
  if (!decoded) return Error(Errc::parameter_invalid, "the request path is not properly percent-encoded");
  std::string_view rest = *decoded;
  if (!rest.starts_with(admin_prefix)) return no_endpoint(path);
  rest.remove_prefix(admin_prefix.size());
  struct Fixed {
    std::string_view path;
    AdminEndpoint endpoint;
  };
  constexpr Fixed fixed[] = {
      {"backup", AdminEndpoint::backup},         {"sweep", AdminEndpoint::sweep},
      {"policy", AdminEndpoint::policy},         {"policy/explain", AdminEndpoint::policy_explain},
      {"policy/try", AdminEndpoint::policy_try}, {"holds", AdminEndpoint::holds},
      {"clock", AdminEndpoint::clock},           {"clock/confirm", AdminEndpoint::clock_confirm}};
  for (const Fixed& entry : fixed) {
    if (rest == entry.path) return AdminRoute{entry.endpoint, {}, {}};
  }
  if (rest.starts_with("holds/") && rest.ends_with("/release")) {
    const std::string_view text = rest.substr(6, rest.size() - 6 - std::min<std::size_t>(8, rest.size() - 6));
    AdminRoute route{AdminEndpoint::hold_release, {}, {}};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), route.id);
    if (error != std::errc() || end != text.data() + text.size()) return no_endpoint(path);
    return route;
  }
  constexpr std::string_view repositories = "repositories/";
  if (!rest.starts_with(repositories) || rest.size() == repositories.size()) return no_endpoint(path);
  return repository_route(rest.substr(repositories.size()));
}

}  // namespace stele::api
