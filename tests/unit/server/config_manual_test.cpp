// docs/configuration.md says what the code does, and the schema what the reader takes.
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "server/config/keys.hpp"
#include "server/config/load.hpp"
#include "server/config/render.hpp"
#include "tests/support/catch.hpp"

using namespace stele;

namespace {

std::string manual() {
  std::ifstream file("docs/configuration.md");
  REQUIRE(file);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> between(const std::string& text, const std::string& begin, const std::string& end) {
  std::vector<std::string> parts;
  for (std::size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at)) {
    at += begin.size();
    const std::size_t stop = text.find(end, at);
    REQUIRE(stop != std::string::npos);
    parts.push_back(text.substr(at, stop - at));
    at = stop;
  }
  return parts;
}

}  // namespace

TEST_CASE("the manual's table is the table of keys") {
  const auto tables = between(manual(), "<!-- keys -->\n", "<!-- /keys -->");
  REQUIRE(tables.size() == 1);
  INFO("put the output of `stele config docs` between the marks of docs/configuration.md");
  CHECK(tables[0] == config_table());
}

TEST_CASE("the manual's examples are valid") {
  const auto examples = between(manual(), "```yaml\n", "```");
  CHECK(examples.size() == 3);
  for (const std::string& example : examples) {
    CAPTURE(example);
    const auto loaded = parse_config_text(example, "example");
    INFO((loaded.has_error() ? loaded.error().to_string() : ""));
    CHECK(loaded.has_value());
  }
}

TEST_CASE("the schema has every key, with explanation and default, and no other") {
  const auto schema = nlohmann::json::parse(config_schema());
  CHECK(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema");
  CHECK(schema["additionalProperties"] == false);
  const std::function<std::size_t(const nlohmann::json&, const std::string&)> leaves =
      [&](const nlohmann::json& properties, const std::string& above) {
        std::size_t count = 0;
        for (const auto& [name, property] : properties.items())
          count += config::is_section(above + name) ? leaves(property["properties"], above + name + ".") : 1;
        return count;
      };
  std::size_t documented = 0;
  for (const config::Key& key : config::keys()) {
    CAPTURE(key.name);
    if (key.for_tests) continue;
    ++documented;
    auto properties = schema["properties"];
    std::istringstream levels{std::string(key.section())};
    for (std::string level; std::getline(levels, level, '.');) {
      const auto section = properties[level];
      CHECK(section["additionalProperties"] == false);
      properties = section["properties"];
    }
    const auto property = properties[std::string(key.leaf())];
    CHECK(property["description"] == std::string(key.doc));
    CHECK(property.contains("default"));
    CHECK((property.contains("type") || property.contains("enum") || property.contains("anyOf")));
  }
  CHECK(leaves(schema["properties"], "") == documented);
}

TEST_CASE("a key for Stele's own tests is read, and in no list unless it is set") {
  CHECK(config_schema().find("ticks_per_second") == std::string::npos);
  CHECK(config_table().find("ticks_per_second") == std::string::npos);
  const auto usual = parse_config_text("", "none");
  REQUIRE(usual.has_value());
  CHECK(print_config(*usual).find("ticks_per_second") == std::string::npos);
  const auto set = parse_config_text("test: {ticks_per_second: 10}", "f");
  REQUIRE(set.has_value());
  CHECK(set->config.test.ticks_per_second == 10);
  CHECK(print_config(*set).find("test:\n  ticks_per_second: 10  # file f:1\n") != std::string::npos);
  const auto slip = parse_config_text("test: {tick_per_second: 10}", "f");
  REQUIRE(slip.has_error());
  CHECK(slip.error().to_string().find("did you mean") == std::string::npos);
}

TEST_CASE("each key's default is a value that the key takes") {
  for (const config::Key& key : config::keys()) {
    CAPTURE(key.name);
    CHECK(key.doc.find('\n') == std::string_view::npos);
  }
  const auto defaults = parse_config_text("", "none");
  REQUIRE(defaults.has_value());
  CHECK(parse_config_text(print_config(*defaults), "printed").has_value());
}
