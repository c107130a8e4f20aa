#include "server/config/render.hpp"

#include <nlohmann/json.hpp>

#include "server/config/keys.hpp"
#include "server/config/values.hpp"

namespace stele {

using namespace config;

std::string print_config(const LoadedConfig& loaded) {
  Config config = loaded.config;
  std::string out;
  std::string_view section;
  for (std::size_t i = 0; i < keys().size(); ++i) {
    const Key& key = keys()[i];
    if (key.section() != section) {
      section = key.section();
      if (!section.empty()) out += std::string(section) + ":\n";
    }
    if (!section.empty()) out += "  ";
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
    if (key.section().empty()) {
      properties[std::string(key.leaf())] = value_schema(key);
      continue;
    }
    Json& section = properties[std::string(key.section())];
    if (section.is_null()) {
      section["type"] = Json::array({"object", "null"});
      section["additionalProperties"] = false;
    }
    section["properties"][std::string(key.leaf())] = value_schema(key);
  }
  return schema.dump(2) + "\n";
}

std::string config_table() {
  Config defaults;
  std::string out = "| key | value | default | what it does |\n|---|---|---|---|\n";
  for (const Key& key : keys()) {
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
