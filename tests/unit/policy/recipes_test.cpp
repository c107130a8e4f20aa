// The recipes of docs/lifecycle.md, tried on the repository that stands there: what stays is what the
// document says, and what the other system's own document says once it is imported.

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "policy/import/import.hpp"
#include "policy/judge.hpp"
#include "policy/load.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/policy/lifecycle_world.hpp"

namespace stele::policy {
namespace {

struct Recipe {
  std::string title;
  std::string document;  // of the other system
  std::string rules;
  std::string stays;  // names of images, in the order of the table
};

std::vector<std::string> lines_of_guide() {
  std::ifstream file("docs/lifecycle.md");
  REQUIRE(file.good());
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

std::vector<std::string> cells(const std::string& row) {
  std::vector<std::string> parts;
  std::istringstream stream(row.substr(1));
  for (std::string cell; std::getline(stream, cell, '|');) {
    const auto text = words(cell);
    std::string joined;
    for (const std::string& word : text) joined += (joined.empty() ? "" : " ") + word;
    parts.push_back(joined);
  }
  return parts;
}

World repository_of_guide(const std::vector<std::string>& lines) {
  World world;
  world.repository = "team/app";
  auto row = std::find(lines.begin(), lines.end(), "| image | tags | pushed | pulled | belongs to |");
  REQUIRE(row != lines.end());
  for (row += 2; row != lines.end() && row->starts_with('|'); ++row) {
    const auto cell = cells(*row);
    REQUIRE(cell.size() >= 4);
    WorldManifest& manifest = world.manifest(cell[0]);
    manifest.pushed_at = days_ago(std::stoi(cell[2]));
    if (!cell[3].empty()) manifest.pulled_at = days_ago(std::stoi(cell[3]));
    for (const std::string& tag : words(cell[1])) world.tag(tag, cell[0], manifest.pushed_at);
    if (cell.size() < 5 || cell[4].empty()) continue;
    const auto belongs = words(cell[4]);
    REQUIRE(belongs.size() == 3);
    if (belongs[0] == "referrer") {
      manifest.subject = belongs[2];
    } else {
      REQUIRE(belongs[0] == "entry");
      const auto index = std::find_if(world.manifests.begin(), world.manifests.end(),
                                      [&](const WorldManifest& other) { return other.name == belongs[2]; });
      REQUIRE(index != world.manifests.end());
      index->entries.push_back(cell[0]);
    }
  }
  return world;
}

std::vector<Recipe> recipes_of_guide(const std::vector<std::string>& lines) {
  std::vector<Recipe> recipes;
  auto line = std::find(lines.begin(), lines.end(), "## Recipes");
  for (; line != lines.end(); ++line) {
    if (line->starts_with("### ")) recipes.push_back({line->substr(4), {}, {}, {}});
    if (recipes.empty()) continue;
    if (line->starts_with("Stays: ")) recipes.back().stays = line->substr(7);
    if (!line->starts_with("```")) continue;
    std::string& block = recipes.back().document.empty() ? recipes.back().document : recipes.back().rules;
    REQUIRE(block.empty());
    for (++line; line != lines.end() && *line != "```"; ++line) block += *line + "\n";
    REQUIRE(line != lines.end());
  }
  return recipes;
}

// What --under says: nothing where the document names its repositories.
std::string_view path_of(ImportSource source) {
  return source == ImportSource::zot ? "" : source == ImportSource::ecr ? "team/app" : "team";
}

std::string survivors(const std::string& policy, const World& world) {
  const Loaded loaded = load_policy(policy, "policy.yaml");
  INFO(policy);
  INFO(loaded.problems.to_string());
  REQUIRE(loaded.policy);
  const Judgement plan = judge(*loaded.policy->lifecycle(), world.snapshot());
  std::vector<char> goes(world.manifests.size(), 0);
  for (const Removal& removal : plan.removals) goes[static_cast<std::size_t>(removal.manifest)] = 1;
  std::string names;
  for (std::size_t i = 0; i < goes.size(); ++i) {
    if (!goes[i]) names += (names.empty() ? "" : " ") + world.manifests[i].name;
  }
  return names;
}

struct Expected {
  ImportSource source;
  const char* stays;  // that system's own documentation, held against the table by hand
};

const std::map<std::string, Expected>& expected() {
  using enum ImportSource;
  static const std::map<std::string, Expected> by_title = {
      // Rule 2 selects pr-1 and pr-2, rule 3 main-7 and main-8, out of reach of rule 4, which takes base.
      {"Amazon ECR", {ecr, "old multi multi-amd64 sbom rc main-new pr-new lost-new"}},
      // Of what is older than 30 days, Keep policies select what has a tag that begins with 1. or latest.
      {"Google Artifact Registry", {gar, "base old multi multi-amd64 sbom rc main-new pr-new lost-new"}},
      // main-7 was pulled 50 days ago; untagged artifacts are in no rule.
      {"Harbor", {harbor, "base old multi multi-amd64 sbom rc main-old main-new pr-new"}},
      // Without what deletes platforms and referrers as well.
      {"GHCR: untagged versions",
       {ghcr, "base old multi multi-amd64 sbom rc main-old main-new pr-old pr-new"}},
      // The four newest images with tags.
      {"GHCR: the newest versions", {ghcr, "multi multi-amd64 sbom rc main-new pr-new"}},
      // lost-new is younger than the delay.
      {"zot", {zot, "base old multi multi-amd64 sbom rc main-new pr-new lost-new"}},
  };
  return by_title;
}

}  // namespace

TEST_CASE("recipes: each leaves what the other system leaves, and so does its document once imported") {
  const auto lines = lines_of_guide();
  const World world = repository_of_guide(lines);
  REQUIRE(world.manifests.size() == 12);
  const auto recipes = recipes_of_guide(lines);
  REQUIRE(recipes.size() == expected().size());
  for (const Recipe& recipe : recipes) {
    INFO(recipe.title);
    REQUIRE(expected().contains(recipe.title));
    const Expected& right = expected().at(recipe.title);
    CHECK(recipe.stays == right.stays);

    const std::string policy = "version: 1\n" + recipe.rules;
    CHECK(survivors(policy, world) == right.stays);
    CHECK(load_policy(policy, "policy.yaml").warnings.empty());

    const std::string under(path_of(right.source));
    const Imported imported = import_policy(right.source, recipe.document, "document", under);
    INFO(imported.problems.to_string());
    REQUIRE(imported.problems.empty());
    CHECK(survivors(imported.policy, world) == right.stays);
    CHECK(load_policy(imported.policy, "policy.yaml").warnings.to_string() == "");
  }
}

TEST_CASE("recipes: the rules are of their repositories and of no others") {
  const auto lines = lines_of_guide();
  World world = repository_of_guide(lines);
  world.repository = "other/app";
  for (const Recipe& recipe : recipes_of_guide(lines)) {
    INFO(recipe.title);
    const Loaded loaded = load_policy("version: 1\n" + recipe.rules, "policy.yaml");
    REQUIRE(loaded.policy);
    CHECK(judge(*loaded.policy->lifecycle(), world.snapshot()).removals.empty());
    const Expected& right = expected().at(recipe.title);
    const std::string under(path_of(right.source));
    const Imported imported = import_policy(right.source, recipe.document, "document", under);
    const Loaded from_document = load_policy(imported.policy, "policy.yaml");
    REQUIRE(from_document.policy);
    CHECK(judge(*from_document.policy->lifecycle(), world.snapshot()).removals.empty());
  }
}

}  // namespace stele::policy
