#include "policy/kept_content.hpp"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/printable.hpp"

namespace stele::policy {
namespace {

using nlohmann::json;  // an object's keys are sorted

constexpr const char* compared[] = {"mediaType", "platform", "annotations"};

std::string line_of(const json& descriptor) {
  json rest = json::object();
  std::string digest;
  if (descriptor.is_object()) {
    if (const auto found = descriptor.find("digest"); found != descriptor.end() && found->is_string())
      digest = found->get<std::string>();
    for (const char* const key : compared) {
      const auto found = descriptor.find(key);
      if (found != descriptor.end() && !found->is_null() && !found->empty()) rest[key] = *found;
    }
  }
  return digest + ' ' + rest.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

std::string platform_of(const json& platform) {
  std::string text = text_of(platform, "os") + "/" + text_of(platform, "architecture");
  if (const std::string variant = text_of(platform, "variant"); !variant.empty()) text += "/" + variant;
  return text;
}

}  // namespace

std::optional<std::vector<std::string>> named_content(std::string_view manifest_bytes) {
  const json manifest = json::parse(manifest_bytes.begin(), manifest_bytes.end(), nullptr, false);
  if (!manifest.is_object()) return std::nullopt;
  std::vector<std::string> lines;
  for (const char* const list : {"layers", "manifests"}) {
    const auto found = manifest.find(list);
    if (found == manifest.end() || !found->is_array()) continue;
    for (const json& descriptor : *found) lines.push_back(line_of(descriptor));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::vector<std::string> lost_content(const std::vector<std::string>& old,
                                      const std::vector<std::string>& offered) {
  std::vector<std::string> lost;
  std::set_difference(old.begin(), old.end(), offered.begin(), offered.end(), std::back_inserter(lost));
  std::erase_if(lost, [&](const std::string& line) {
    if (line.find(' ') != std::string::npos) return false;
    const std::string start = line + ' ';
    const auto found = std::lower_bound(offered.begin(), offered.end(), start);
    return found != offered.end() && found->starts_with(start);
  });
  return lost;
}

std::string spelled_content(std::string_view line) {
  const std::size_t space = line.find(' ');
  std::string text = printable(line.substr(0, space));
  if (space == std::string_view::npos) return text;
  const std::string_view tail = line.substr(space + 1);
  const json rest = json::parse(tail.begin(), tail.end(), nullptr, false);
  if (!rest.is_object() || rest.empty()) return text;
  std::string more = printable(text_of(rest, "mediaType"), 80);
  const auto add = [&](const std::string& what) { more += (more.empty() ? "" : ", ") + what; };
  if (const auto platform = rest.find("platform"); platform != rest.end() && platform->is_object())
    add("for " + printable(platform_of(*platform), 60));
  if (const auto notes = rest.find("annotations"); notes != rest.end() && notes->is_object()) {
    std::string named;
    for (const auto& [key, value] : notes->items()) {
      named += (named.empty() ? "" : ", ") + key + "=" +
               (value.is_string() ? value.get<std::string>()
                                  : value.dump(-1, ' ', false, json::error_handler_t::replace));
      if (named.size() > 240) break;
    }
    add("annotated " + printable(named, 240));
  }
  return text + " (" + more + ")";
}

}  // namespace stele::policy
