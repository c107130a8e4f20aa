#include "mirror/platform.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/printable.hpp"

namespace stele::mirror {
namespace {

std::string text_of(const nlohmann::json& object, const char* member) {
  const auto found = object.find(member);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// "linux/arm/v7"; empty: the entry says none.
std::string platform_of(const nlohmann::json& entry) {
  const auto platform = entry.find("platform");
  if (platform == entry.end() || !platform->is_object()) return {};
  std::string text = text_of(*platform, "os") + "/" + text_of(*platform, "architecture");
  if (const std::string variant = text_of(*platform, "variant"); !variant.empty()) text += "/" + variant;
  return text;
}

bool is_for(const std::string& platform, const std::string& wanted) {
  if (platform == wanted) return true;
  const bool any_variant = std::count(wanted.begin(), wanted.end(), '/') == 1;
  return any_variant && platform.starts_with(wanted + "/");
}

}  // namespace

Result<void> check_platform(std::string_view text) {
  const auto slashes = std::count(text.begin(), text.end(), '/');
  const bool empty_part =
      text.empty() || text.front() == '/' || text.back() == '/' || text.find("//") != std::string_view::npos;
  const bool known = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '/' || c == '.' || c == '_' || c == '-';
  });
  if (slashes >= 1 && slashes <= 2 && !empty_part && known) return {};
  return Error(Errc::parameter_invalid,
               in_quotes(text) + " is no platform; write it as in linux/amd64 or linux/arm/v7");
}

std::function<bool(const Digest&)> PlatformChoice::choose(const std::string& index) {
  if (wanted_.empty()) return [](const Digest&) { return true; };
  seen_ = true;
  std::set<std::string> chosen;
  const auto json = nlohmann::json::parse(index, nullptr, false);
  if (json.is_object() && json.contains("manifests") && json["manifests"].is_array()) {
    for (const auto& entry : json["manifests"]) {
      if (!entry.is_object()) continue;
      const std::string platform = platform_of(entry);
      if (platform.empty()) chosen.insert(text_of(entry, "digest"));
      if (platform.empty() || platform == "unknown/unknown") continue;
      offered_.insert(printable(platform, 60));
      for (const std::string& wanted : wanted_) {
        if (!is_for(platform, wanted)) continue;
        matched_.insert(wanted);
        chosen.insert(text_of(entry, "digest"));
      }
    }
  }
  return [chosen = std::move(chosen)](const Digest& digest) { return chosen.contains(digest.str()); };
}

std::vector<std::string> PlatformChoice::unmatched() const {
  std::vector<std::string> none;
  if (!seen_) return none;
  std::copy_if(wanted_.begin(), wanted_.end(), std::back_inserter(none),
               [&](const std::string& wanted) { return !matched_.contains(wanted); });
  return none;
}

std::string PlatformChoice::others() const {
  constexpr std::size_t most = 20;
  std::string text;
  std::size_t count = 0;
  for (const std::string& platform : offered_) {
    if (++count > most) return text + ", …";
    text += (text.empty() ? "" : ", ") + platform;
  }
  return text.empty() ? "nothing that says its platform" : text;
}

}  // namespace stele::mirror
