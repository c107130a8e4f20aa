#include "server/config/render.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/config/keys.hpp"
#include "server/config/values.hpp"

namespace stele {

using namespace config;

namespace {

// Of what stands in `section`: two spaces for each of its levels.
std::string indentation(std::string_view section) {
  if (section.empty()) return {};
  return std::string(2 + 2 * static_cast<std::size_t>(std::count(section.begin(), section.end(), '.')), ' ');
}

// The lines that lead from one section into the next: what both have in common is open already.
void open_section(std::string& out, std::string_view from, std::string_view to) {
  for (std::size_t end = 0; end < to.size();) {
    const std::size_t begin = end == 0 ? 0 : end + 1;
    end = std::min(to.find('.', begin), to.size());
    const std::string_view level = to.substr(0, end);
    const bool is_open = from.starts_with(level) && (from.size() == end || from.substr(end, 1) == ".");
    if (is_open) continue;
    const std::string_view above = begin == 0 ? std::string_view() : to.substr(0, begin - 1);
    out += indentation(above) + std::string(to.substr(begin, end - begin)) + ":\n";
  }
}

}  // namespace

std::string print_config(const LoadedConfig& loaded) {
  Config config = loaded.config;
  std::string out;
  std::string_view section;
  for (std::size_t i = 0; i < keys().size(); ++i) {
    const Key& key = keys()[i];
    if (key.for_tests && loaded.origins[i].kind == ConfigOrigin::Kind::built_in) continue;
    if (key.section() != section) {
      open_section(out, section, key.section());
      section = key.section();
    }
    out += indentation(section);
    // A file's name may hold what would end the comment.
    std::string origin = loaded.origins[i].to_string();
    for (char& c : origin) c = static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    out += std::string(key.leaf()) + ": " + print_value(key, config) + "  # " + origin + "\n";
  }
  return out;
}

std::string config_schema() {
  using Json = nlohmann::ordered_json;
  Json schema;
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "Configuration of stele serve";
  schema["type"] = Json::array({"object", "null"});
  schema["additionalProperties"] = false;
  Json& properties = schema["properties"];
  for (const Key& key : keys()) {
    if (key.for_tests) continue;
    Json* level = &properties;
    for (std::string_view rest = key.section(); !rest.empty();) {
      const std::size_t end = std::min(rest.find('.'), rest.size());
      Json& section = (*level)[std::string(rest.substr(0, end))];
      if (section.is_null()) {
        section["type"] = Json::array({"object", "null"});
        section["additionalProperties"] = false;
      }
      level = &section["properties"];
      rest = end == rest.size() ? std::string_view() : rest.substr(end + 1);
    }
    (*level)[std::string(key.leaf())] = value_schema(key);
  }
  return schema.dump(2) + "\n";
}

std::string config_table() {
  Config defaults;
  std::string out = "| key | value | default | what it does |\n|---|---|---|---|\n";
  for (const Key& key : keys()) {
    if (key.for_tests) continue;
    std::string doc;
    for (const char c : key.doc) doc += c == '|' ? std::string("\\|") : std::string(1, c);
    if (!key.flag.empty()) doc += " Flag: `" + std::string(key.flag) + "`.";
    const std::string initial = print_value(key, defaults);
    out += "| `" + std::string(key.name) + "` | " + describe_type(key) + " | " +
           (initial == "\"\"" ? std::string("–") : "`" + initial + "`") + " | " + doc + " |\n";
  }
  return out;
}

}  // namespace stele
