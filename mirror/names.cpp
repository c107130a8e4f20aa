#include "mirror/names.hpp"

namespace stele::mirror {
namespace {

bool below(std::string_view name, std::string_view prefix) {
  return name.size() > prefix.size() && name.starts_with(prefix) && name[prefix.size()] == '/';
}

}  // namespace

Result<Names> Names::compile(const std::vector<Settings>& mirrors) {
  Names names;
  for (const Settings& settings : mirrors) {
    std::vector<std::string> allowed = settings.allow;
    // Names that were only ever meant for this registry go to nobody else.
    if (allowed.empty() && settings.is_default) allowed.emplace_back("library/**");
    auto deny = policy::PatternList::compile(settings.deny);
    if (!deny) return deny.error();
    std::optional<policy::PatternList> allow;
    if (!allowed.empty()) {
      auto compiled = policy::PatternList::compile(allowed);
      if (!compiled) return compiled.error();
      allow = std::move(*compiled);
    }
    if (settings.is_default) names.default_ = names.mirrors_.size();
    names.mirrors_.push_back(Mirror{settings.name, settings.prefix, std::move(allow), std::move(*deny)});
  }
  return names;
}

std::size_t Names::path_prefix(std::string_view path, std::optional<std::size_t>& mirror) const {
  if (mirrors_.empty() || !path.starts_with('/') || path.starts_with("/v2/")) return 0;
  for (std::size_t end = path.find("/v2"); end != std::string_view::npos; end = path.find("/v2", end + 1)) {
    const std::string_view rest = path.substr(end);
    if (end < 2 || (rest != "/v2" && !rest.starts_with("/v2/"))) continue;
    const std::string_view before = path.substr(1, end - 1);
    const std::string name = canonical_registry(before);
    for (std::size_t i = 0; i < mirrors_.size(); ++i) {
      if (mirrors_[i].name != name && mirrors_[i].prefix != before) continue;
      mirror = i;
      return end;
    }
  }
  return 0;
}

std::optional<std::size_t> Names::by_name(std::string_view name) const {
  for (std::size_t i = 0; i < mirrors_.size(); ++i) {
    if (mirrors_[i].name == name) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> Names::by_prefix(std::string_view name) const {
  for (std::size_t i = 0; i < mirrors_.size(); ++i) {
    if (below(name, mirrors_[i].prefix)) return i;
  }
  return std::nullopt;
}

bool Names::allows(const Mirror& mirror, const std::string& remote) const {
  return (!mirror.allow || mirror.allow->matches(remote)) && !mirror.deny.matches(remote);
}

Result<Place> Names::place_in(std::size_t index, std::string remote) const {
  const Mirror& mirror = mirrors_[index];
  if (mirror.name == "docker.io" && remote.find('/') == std::string::npos) remote = "library/" + remote;
  if (!allows(mirror, remote)) {
    return Error(Errc::forbidden, "the mirror of " + mirror.name + " is not allowed to fetch " + remote +
                                      " (allow and deny of its entry in mirrors)");
  }
  auto stored = RepositoryName::parse(mirror.prefix + "/" + remote);
  if (!stored) return stored.error();
  return Place{index, std::move(*stored), std::move(remote)};
}

Result<std::optional<Place>> Names::place(const RepositoryName& asked, std::optional<std::size_t> in_path,
                                          std::optional<std::string_view> ns) const {
  std::optional<std::size_t> mirror = in_path;
  if (ns) {
    const std::string name = canonical_registry(*ns);
    const auto named = by_name(name);
    if (!named) {
      return Error(Errc::name_unknown, "no mirror of that name is configured here (ns=" +
                                           name.substr(0, 100) + "); see mirrors in the configuration");
    }
    if (mirror && mirror != named)
      return Error(Errc::parameter_invalid, "the path and ns= name two different mirrors");
    mirror = named;
  }
  std::string remote = asked.str();
  if (const std::size_t slash = remote.find('/'); slash != std::string::npos) {
    // Another name of a registry that is mirrored below its own.
    const std::string first = canonical_registry(remote.substr(0, slash));
    if (const auto alias = by_name(first); alias && mirrors_[*alias].prefix == first)
      remote.replace(0, slash, first);
  }
  if (const auto prefixed = by_prefix(remote)) {
    if (mirror && mirror != prefixed)
      return Error(Errc::parameter_invalid,
                   "the repository's name and ns= or the path name two different mirrors");
    mirror = prefixed;
    remote.erase(0, mirrors_[*mirror].prefix.size() + 1);
    // Some clients put the whole of a mirror's path before their own, …/v2/ included. Upstream's own v2/app
    // is reached as v2/v2/app.
    if (below(remote, "v2")) remote.erase(0, 3);
  }
  if (!mirror) return std::optional<Place>();
  auto place = place_in(*mirror, std::move(remote));
  if (!place) return place.error();
  return std::optional<Place>(std::move(*place));
}

std::optional<Place> Names::default_place(const RepositoryName& asked) const {
  if (!default_) return std::nullopt;
  auto place = place_in(*default_, asked.str());
  if (!place) return std::nullopt;
  return std::move(*place);
}

}  // namespace stele::mirror
