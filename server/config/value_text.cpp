#include <nlohmann/json.hpp>
#include <stdexcept>

#include "config/quantity.hpp"
#include "server/config/choices.hpp"
#include "server/config/values.hpp"

namespace stele::config {
namespace {

std::string print_bound(ValueType type, std::uint64_t bound) {
  if (type == ValueType::size) return format_size(bound);
  if (type == ValueType::duration)
    return format_duration(std::chrono::seconds(static_cast<std::int64_t>(bound)));
  return std::to_string(bound);
}

template <class T, class Print>
std::string print_list(const std::vector<T>& items, Print print) {
  std::string text = "[";
  for (const T& item : items) text += (text.size() > 1 ? ", " : "") + print(item);
  return text + "]";
}

template <class T, std::size_t N>
nlohmann::ordered_json names_of(const Choice<T> (&choices)[N]) {
  auto names = nlohmann::ordered_json::array();
  for (const Choice<T>& choice : choices) names.push_back(choice.name);
  return names;
}

nlohmann::ordered_json mirror_schema() {
  using Json = nlohmann::ordered_json;
  const Json text = {{"type", "string"}, {"minLength", 1}};
  const Json texts = {{"type", "array"}, {"items", text}};
  const Json duration = {{"type", "string"}, {"pattern", "^[0-9]+[smhd]$"}};
  Json upstreams = texts;
  upstreams["minItems"] = 1;
  Json entry;
  entry["type"] = "object";
  entry["additionalProperties"] = false;
  entry["required"] = Json::array({"name", "upstreams"});
  Json& properties = entry["properties"];
  properties["upstreams"] = upstreams;
  properties["default"] = {{"enum", Json::array({true, false, "on", "off"})}};
  properties["tags"] = {{"enum", Json::array({"follow", "pin"})}};
  for (const char* key :
       {"name", "prefix", "username", "password_file", "password_env", "token_realm", "ca", "proxy"})
    properties[key] = text;
  for (const char* key : {"allow", "deny", "redirect_allow"}) properties[key] = texts;
  for (const char* key : {"missing_ttl", "wait", "quarantine", "evict_after"}) properties[key] = duration;
  properties["max_size"] = {{"type", "string"}, {"pattern", "^[0-9]+[A-Za-z]*$"}};
  Json by_tag;
  by_tag["type"] = "object";
  by_tag["minProperties"] = 1;
  by_tag["additionalProperties"] = {{"type", "string"}, {"pattern", "^([0-9]+[smhd]|never)$"}};
  properties["tag_ttl"] = {{"oneOf", Json::array({duration, by_tag})}};
  return entry;
}

nlohmann::ordered_json issuer_schema() {
  using Json = nlohmann::ordered_json;
  const Json text = {{"type", "string"}, {"minLength", 1}};
  const Json duration = {{"type", "string"}, {"pattern", "^([0-9]+[smhd]|0)$"}};
  Json entry;
  entry["type"] = "object";
  entry["additionalProperties"] = false;
  entry["required"] = Json::array({"issuer", "audience", "claims"});
  Json& properties = entry["properties"];
  for (const char* key : {"name", "issuer", "audience", "jwks_file", "ca", "proxy"}) properties[key] = text;
  properties["claims"] = {
      {"type", "object"},
      {"additionalProperties", {{"type", Json::array({"string", "integer", "boolean"})}}}};
  for (const char* key : {"session", "leeway"}) properties[key] = duration;
  return entry;
}

}  // namespace

std::string describe_bounds(const Key& key) {
  return print_bound(key.type, key.bounds.least) + " to " + print_bound(key.type, key.bounds.most) +
         (key.bounds.zero ? ", or 0" : "");
}

std::string print_value(const Key& key, Config& config) {
  switch (key.type) {
    case ValueType::listen_address: {
      const auto& listen = place<ListenAddress>(key, config);
      const std::string text = listen.to_string();
      return text.starts_with('[') ? yaml_scalar(text) : text;
    }
    case ValueType::optional_listen_address: {
      const auto& listen = place<std::optional<ListenAddress>>(key, config);
      if (!listen) return "off";
      const std::string text = listen->to_string();
      return text.starts_with('[') ? yaml_scalar(text) : text;
    }
    case ValueType::path:
    case ValueType::text:
    case ValueType::url:
      return yaml_scalar(place<std::string>(key, config));
    case ValueType::address_ranges:
      return print_list(place<std::vector<AddressRange>>(key, config),
                        [](const AddressRange& range) { return yaml_scalar(range.to_string()); });
    case ValueType::origins:
      return print_list(place<std::vector<std::string>>(key, config),
                        [](const std::string& origin) { return yaml_scalar(origin); });
    case ValueType::size:
      return format_size(place<std::uint64_t>(key, config));
    case ValueType::count:
      return std::to_string(place<std::uint64_t>(key, config));
    case ValueType::duration:
      return format_duration(place<std::chrono::seconds>(key, config));
    case ValueType::toggle:
      return std::string(name_of(place<bool>(key, config), toggles));
    case ValueType::log_level:
      return std::string(name_of(place<Config::LogLevel>(key, config), log_levels));
    case ValueType::log_format:
      return std::string(name_of(place<Config::LogFormat>(key, config), log_formats));
    case ValueType::certificate_name:
      return std::string(name_of(place<http::CertificateName>(key, config), certificate_names));
    case ValueType::reference_rules:
      return print_list(
          place<std::vector<Config::ReferenceRule>>(key, config), [](const Config::ReferenceRule& rule) {
            return "{repositories: " +
                   print_list(rule.repositories, [](const std::string& p) { return yaml_scalar(p); }) +
                   ", mode: " + std::string(name_of(rule.mode, modes)) + "}";
          });
    case ValueType::mirrors:
      return mirror::print_settings(place<std::vector<mirror::Settings>>(key, config));
    case ValueType::oidc_issuers:
      return auth::print_oidc(place<std::vector<auth::OidcSettings>>(key, config));
  }
  throw std::logic_error("no printer for " + std::string(key.name));
}

std::string describe_type(const Key& key) {
  switch (key.type) {
    case ValueType::listen_address:
      return "`HOST:PORT`";
    case ValueType::optional_listen_address:
      return "`HOST:PORT` or `off`";
    case ValueType::path:
      return "path";
    case ValueType::text:
      return "text";
    case ValueType::url:
      return "URL";
    case ValueType::address_ranges:
      return "list of addresses and ranges";
    case ValueType::origins:
      return "list of origins, or `[\"*\"]`";
    case ValueType::size:
      return "size, " + describe_bounds(key);
    case ValueType::count:
      return "number, " + describe_bounds(key);
    case ValueType::duration:
      return "duration, " + describe_bounds(key);
    case ValueType::toggle:
      return "`on` or `off`";
    case ValueType::log_level:
      return "`trace`, `debug`, `info`, `warn`, `error` or `off`";
    case ValueType::log_format:
      return "`text` or `json`";
    case ValueType::certificate_name:
      return "`cn`, `dns` or `uri`";
    case ValueType::reference_rules:
      return "list of rules";
    case ValueType::mirrors:
      return "list of mirrors";
    case ValueType::oidc_issuers:
      return "list of issuers";
  }
  throw std::logic_error("no description of " + std::string(key.name));
}

namespace {

nlohmann::ordered_json reference_rule_schema() {
  using Json = nlohmann::ordered_json;
  Json patterns = {{"type", "array"}, {"minItems", 1}, {"items", {{"type", "string"}, {"minLength", 1}}}};
  Json mode = {{"enum", names_of(modes)}};
  Json rule;
  rule["type"] = "object";
  rule["additionalProperties"] = false;
  rule["required"] = Json::array({"repositories", "mode"});
  rule["properties"] = {{"repositories", patterns}, {"mode", mode}};
  return rule;
}

// What a value may be. Where `off` is a word of ours the boolean stands beside it: YAML 1.1 editors read a
// bare off as false.
void add_form(const Key& key, nlohmann::ordered_json& schema) {
  using Json = nlohmann::ordered_json;
  const auto whole_number = [&] {
    Json integer = {{"type", "integer"}, {"minimum", key.bounds.least}, {"maximum", key.bounds.most}};
    return integer;
  };
  const auto text = [&](const char* pattern) {
    schema["type"] = "string";
    schema["pattern"] = pattern;
  };
  constexpr const char* address = R"(^(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$)";
  switch (key.type) {
    case ValueType::listen_address:
      text(address);
      break;
    case ValueType::optional_listen_address:
      schema["anyOf"] = Json::array(
          {{{"type", "string"}, {"pattern", R"(^(|off|(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})$)"}},
           {{"const", false}}});
      break;
    case ValueType::path:
    case ValueType::text:
      schema["type"] = "string";
      break;
    case ValueType::url:
      text(R"(^(|https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?)$)");
      break;
    case ValueType::address_ranges:
      schema["type"] = Json::array({"array", "null"});
      schema["items"] = {{"type", "string"}, {"pattern", "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"}};
      break;
    case ValueType::origins:
      schema["type"] = Json::array({"array", "null"});
      schema["items"] = {{"type", "string"},
                         {"pattern", R"(^(\*|https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?)$)"}};
      break;
    case ValueType::size:
      schema["anyOf"] =
          Json::array({whole_number(), {{"type", "string"}, {"pattern", "^[0-9]+(KiB|MiB|GiB)?$"}}});
      break;
    case ValueType::count:
      schema.update(whole_number());
      break;
    case ValueType::duration:
      schema["anyOf"] = Json::array({{{"type", "string"}, {"pattern", "^([0-9]+[smhd]|0)$"}}});
      if (key.bounds.zero) schema["anyOf"].push_back({{"const", 0}});
      break;
    case ValueType::toggle:
      schema["enum"] = Json::array({true, false, "on", "off"});
      break;
    case ValueType::log_level:
      schema["enum"] = names_of(log_levels);
      schema["enum"].push_back(false);
      break;
    case ValueType::log_format:
      schema["enum"] = names_of(log_formats);
      break;
    case ValueType::certificate_name:
      schema["enum"] = names_of(certificate_names);
      break;
    case ValueType::reference_rules:
      schema["type"] = Json::array({"array", "null"});
      schema["items"] = reference_rule_schema();
      break;
    case ValueType::mirrors:
      schema["type"] = Json::array({"array", "null"});
      schema["items"] = mirror_schema();
      break;
    case ValueType::oidc_issuers:
      schema["type"] = Json::array({"array", "null"});
      schema["items"] = issuer_schema();
      break;
  }
}

}  // namespace

nlohmann::ordered_json value_schema(const Key& key) {
  using Json = nlohmann::ordered_json;
  Config defaults;
  Json schema;
  schema["description"] = key.doc;
  add_form(key, schema);
  if (key.type == ValueType::count) {
    schema["default"] = place<std::uint64_t>(key, defaults);
  } else if (key.type == ValueType::address_ranges || key.type == ValueType::origins ||
             key.type == ValueType::reference_rules || key.type == ValueType::mirrors ||
             key.type == ValueType::oidc_issuers) {
    schema["default"] = Json::array();
  } else if (std::holds_alternative<FieldOf<std::string>>(key.field)) {
    schema["default"] = place<std::string>(key, defaults);
  } else {
    schema["default"] = print_value(key, defaults);
  }
  return schema;
}

}  // namespace stele::config
