#include "api/conditional.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace stele::api {
namespace {

constexpr std::string_view blanks = " \t";

// The next entity tag of a list, which is taken off; nothing when the list does not begin with one.
struct EntityTag {
  bool weak;
  std::string_view opaque;
};
std::optional<EntityTag> take_entity_tag(std::string_view& rest) {
  const bool weak = rest.starts_with("W/");
  if (weak) rest.remove_prefix(2);
  if (!rest.starts_with('"')) return std::nullopt;
  const std::size_t end = rest.find('"', 1);
  if (end == std::string_view::npos) return std::nullopt;
  const EntityTag tag{weak, rest.substr(1, end - 1)};
  rest.remove_prefix(end + 1);
  return tag;
}

void skip(std::string_view& rest, std::string_view characters) {
  rest.remove_prefix(std::min(rest.find_first_not_of(characters), rest.size()));
}

// `weak_counts`: the comparison of RFC 9110, 8.8.3.2.
Result<std::optional<EntityCondition>> condition_in(const http::RequestHead& request, const char* field,
                                                    bool weak_counts) {
  if (request.header(field).empty()) return std::optional<EntityCondition>();
  Error malformed(
      Errc::parameter_invalid,
      std::string(field) + " must be * or a list of entity tags such as \"sha256:…\", with the quotes");
  const std::string text = request.joined_header(field);
  std::string_view rest = text;
  EntityCondition condition;
  skip(rest, blanks);
  if (rest.starts_with('*')) {
    rest.remove_prefix(1);
    skip(rest, blanks);
    if (!rest.empty()) return malformed;
    condition.any = true;
    return std::optional<EntityCondition>(std::move(condition));
  }
  // Empty elements are let pass (RFC 9110, 5.6.1.2).
  for (skip(rest, " \t,"); !rest.empty(); skip(rest, " \t,")) {
    const auto tag = take_entity_tag(rest);
    if (!tag) return malformed;
    skip(rest, blanks);
    if (!rest.empty() && !rest.starts_with(',')) return malformed;
    if (!tag->weak || weak_counts) condition.digests.emplace_back(tag->opaque);
  }
  return std::optional<EntityCondition>(std::move(condition));
}

}  // namespace

Result<Preconditions> read_conditions(const http::RequestHead& request) {
  auto match = condition_in(request, "If-Match", false);
  if (!match) return match.error();
  Preconditions conditions;
  conditions.if_match = std::move(*match);
  return conditions;
}

Result<Preconditions> write_conditions(const http::RequestHead& request) {
  auto conditions = read_conditions(request);
  if (!conditions) return conditions;
  auto none_match = condition_in(request, "If-None-Match", true);
  if (!none_match) return none_match.error();
  conditions->if_none_match = std::move(*none_match);
  return conditions;
}

std::string entity_tag(const Digest& digest) {
  return '"' + digest.str() + '"';
}

bool matches_none(const http::RequestHead& request, std::string_view entity_tag) {
  if (request.header("If-None-Match").empty()) return false;
  const std::string list = request.joined_header("If-None-Match");
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    std::string_view item = rest.substr(0, comma);
    const std::size_t first = item.find_first_not_of(" \t");
    item = first == std::string_view::npos ? std::string_view()
                                           : item.substr(first, item.find_last_not_of(" \t") - first + 1);
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item == "*" || item == entity_tag) return true;
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return false;
}

bool range_applies(const http::RequestHead& request, std::string_view entity_tag) {
  const std::string_view condition = request.header("If-Range");
  return condition.empty() || condition == entity_tag;
}

}  // namespace stele::api
