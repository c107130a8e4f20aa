#include "api/oci/conditional.hpp"

namespace stele::api::oci {

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

}  // namespace stele::api::oci
