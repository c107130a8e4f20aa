// A table for each system: document × repository × tag → what that system would do, by a model of it that
// stands here, and what Stele does under the policy that is made of the document.
#include <algorithm>
#include <functional>

#include "policy/import/import.hpp"
#include "policy/load.hpp"
#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

// What is asked of every tag of the table.
enum class There { moves, fixed, fixed_for_good };  // may move; may be deleted alone; neither

using Texts = std::vector<std::string_view>;
using Model = std::function<There(std::string_view repository, std::string_view tag)>;

struct Case {
  ImportSource source;
  std::string_view document;
  std::string_view under;
  Model there;
  // Parts of the differences that the output lists: these and no others.
  Texts listed;
  // Whether a listed difference says that more is fixed here.
  bool stricter = false;
};

There here(const Policy& policy, std::string_view repository, std::string_view tag) {
  const TagRule& rule = *policy.tag_rule(repository, tag).rule;
  if (rule.mutability == Mutability::free) return There::moves;
  CHECK(rule.mutability == Mutability::immutable);
  return rule.may_delete ? There::fixed : There::fixed_for_good;
}

void hold(const Case& asked, const Texts& repositories, const Texts& tags) {
  INFO(asked.document);
  const Imported imported = import_policy(asked.source, asked.document, "document", asked.under);
  INFO(imported.problems.to_string());
  REQUIRE(imported.problems.empty());
  INFO(imported.policy);
  const Loaded loaded = load_policy(imported.policy, "policy.yaml");
  REQUIRE(loaded.policy);
  for (const std::string_view repository : repositories) {
    for (const std::string_view tag : tags) {
      const There wanted = asked.there(repository, tag);
      const There found = here(*loaded.policy, repository, tag);
      INFO(repository << ":" << tag);
      if (asked.stricter) {
        CHECK((found == wanted || (wanted == There::moves && found != There::moves)));
      } else {
        CHECK(static_cast<int>(found) == static_cast<int>(wanted));
      }
    }
  }
  for (const Difference& difference : imported.differences) {
    INFO("listed: " << difference.subject << ": " << difference.what);
    CHECK(std::any_of(asked.listed.begin(), asked.listed.end(), [&](std::string_view part) {
      return (difference.subject + ": " + difference.what).find(part) != std::string::npos;
    }));
  }
  for (const std::string_view part : asked.listed) {
    INFO("not listed: " << part);
    CHECK(std::any_of(imported.differences.begin(), imported.differences.end(), [&](const Difference& one) {
      return (one.subject + ": " + one.what).find(part) != std::string::npos;
    }));
  }
}

const Texts tags = {"latest", "dev-1", "dev-",      "v1",  "v1.2", "v0",         "v",
                    "v10.2",  "vx",    "1.4.2",     "1.4", "2",    "v2.0",       "1.4.2-rc.1",
                    "x-rc",   "main",  "release-1", "d",   "V1",   "1.4.2.3",    "_x",
                    "a.b",    "a.b-c", "stable",    "lts", "1v2",  "sha-a1b2c3d"};
// What becomes of immutable tags here, whatever they were imported from.
constexpr std::string_view kept_from_lifecycle = "protected from lifecycle rules",
                           signatures_too = "cosign's tags";

There fixed_if(bool fixed, There how) {
  return fixed ? how : There::moves;
}

// ECR: `*` stands for any characters, none too.
bool wildcard(std::string_view filter, std::string_view text) {
  if (filter.empty()) return text.empty();
  if (filter[0] == '*')
    return wildcard(filter.substr(1), text) || (!text.empty() && wildcard(filter, text.substr(1)));
  return !text.empty() && filter[0] == text[0] && wildcard(filter.substr(1), text.substr(1));
}

bool any_wildcard(const Texts& filters, std::string_view text) {
  return std::any_of(filters.begin(), filters.end(),
                     [&](std::string_view one) { return wildcard(one, text); });
}

TEST_CASE("import semantics, ECR: what moves and what is deleted there does so here", "[policy][import]") {
  constexpr std::string_view frees = "deleting one frees its name", again = "ImageAlreadyExistsException";
  const Texts of_immutable = {frees, again, kept_from_lifecycle, signatures_too};
  const Texts repositories = {"team/app", "team/web",         "team", "prod/app",
                              "prod",     "prod/sandbox/app", "other"};
  const auto only = [](std::string_view repository, const Model& then) -> Model {
    return [=](std::string_view asked, std::string_view tag) {
      return asked == repository ? then(asked, tag) : There::moves;
    };
  };
  const Model all = [](std::string_view, std::string_view) { return There::fixed; };
  const Model but_dev = [](std::string_view, std::string_view tag) {
    return fixed_if(!any_wildcard({"dev-*", "latest", "*rc*"}, tag), There::fixed);
  };
  const Model but_versions = [](std::string_view, std::string_view tag) {
    return fixed_if(any_wildcard({"v*.*", "1.4.2"}, tag), There::fixed);
  };
  const Model none = [](std::string_view, std::string_view) { return There::moves; };
  constexpr std::string_view filters =
      R"([{"filterType": "WILDCARD", "filter": "dev-*"}, {"filterType": "WILDCARD", "filter": "latest"},
          {"filterType": "WILDCARD", "filter": "*rc*"}])";
  const auto repository = [](std::string_view setting, std::string_view more) {
    return R"({"repositories": [{"repositoryName": "team/app", "imageTagMutability": ")" +
           std::string(setting) + "\"" + std::string(more) + "}]}";
  };
  const std::string mutable_one = repository("MUTABLE", ""), immutable_one = repository("IMMUTABLE", "");
  const std::string immutable_but = repository(
      "IMMUTABLE_WITH_EXCLUSION", ", \"imageTagMutabilityExclusionFilters\": " + std::string(filters));
  const std::string mutable_but = repository(
      "MUTABLE_WITH_EXCLUSION",
      R"(, "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "v*.*"}, {"filterType": "WILDCARD", "filter": "1.4.2"}])");
  constexpr std::string_view unsaid = R"({"repository": {"repositoryName": "team/app"}})";
  constexpr std::string_view terraform = R"({"resource": {"aws_ecr_repository": {"app": {"name": "team/app",
      "image_tag_mutability": "MUTABLE_WITH_EXCLUSION", "image_tag_mutability_exclusion_filter": [
      {"filter": "v*.*", "filter_type": "WILDCARD"}, {"filter": "1.4.2", "filter_type": "WILDCARD"}]}}}})";
  constexpr std::string_view formation =
      R"({"Resources": {"App": {"Type": "AWS::ECR::Repository", "Properties": {
      "RepositoryName": "team/app", "ImageTagMutability": "IMMUTABLE"}}}})";
  constexpr std::string_view templates = R"({"repositoryCreationTemplates": [
      {"prefix": "ROOT", "imageTagMutability": "IMMUTABLE"}, {"prefix": "prod", "imageTagMutability": "MUTABLE"},
      {"prefix": "prod/sandbox", "imageTagMutability": "IMMUTABLE"}]})";
  const Model longest_prefix = [](std::string_view asked, std::string_view) {
    if (asked.starts_with("prod/sandbox/")) return There::fixed;
    return fixed_if(!asked.starts_with("prod/"), There::fixed);
  };
  Texts of_templates = of_immutable;
  for (const std::string_view part : {"template ROOT", "template prod:", "template prod/sandbox"})
    of_templates.push_back(part);
  const ImportSource ecr = ImportSource::ecr;
  const Case table[] = {{ecr, mutable_one, "", none, {}},
                        {ecr, immutable_one, "", only("team/app", all), of_immutable},
                        {ecr, immutable_but, "", only("team/app", but_dev), of_immutable},
                        {ecr, mutable_but, "", only("team/app", but_versions), of_immutable},
                        {ecr, unsaid, "", none, {"whose default is MUTABLE"}},
                        {ecr, terraform, "", only("team/app", but_versions), of_immutable},
                        {ecr, formation, "", only("team/app", all), of_immutable},
                        {ecr, templates, "", longest_prefix, of_templates}};
  for (const Case& one : table) hold(one, repositories, tags);
}

TEST_CASE("import semantics, Artifact Registry: a repository is fixed for good, or moves",
          "[policy][import]") {
  const Texts repositories = {"acme/apps",      "acme/apps/web",  "acme/apps/a/b",
                              "acme/appsx/web", "acme/tools/web", "web"};
  const Model apps = [](std::string_view repository, std::string_view) {
    return fixed_if(repository.starts_with("acme/apps/"), There::fixed_for_good);
  };
  const Model none = [](std::string_view, std::string_view) { return There::moves; };
  const Texts of_immutable = {kept_from_lifecycle, signatures_too};
  const auto config = [](std::string_view said) {
    return R"([{"name": "projects/acme/locations/us/repositories/apps", "format": "DOCKER", "mode": "STANDARD_REPOSITORY")" +
           std::string(said) +
           R"(}, {"name": "projects/acme/locations/us/repositories/tools", "format": "DOCKER"}])";
  };
  const std::string on = config(R"(, "dockerConfig": {"immutableTags": true})"),
                    off = config(R"(, "dockerConfig": {"immutableTags": false})"),
                    empty = config(R"(, "dockerConfig": {})"), absent = config("");
  constexpr std::string_view terraform = R"({"values": {"root_module": {"resources": [
      {"type": "google_artifact_registry_repository", "values": {"name": "apps", "project": "acme", "location": "us",
       "repository_id": "apps", "format": "DOCKER", "docker_config": [{"immutable_tags": true}]}}]}}})";
  const ImportSource gar = ImportSource::gar;
  const Case table[] = {{gar, on, "", apps, of_immutable},
                        {gar, off, "", none, {}},
                        {gar, empty, "", none, {}},
                        {gar, absent, "", none, {}},
                        {gar, terraform, "", apps, of_immutable}};
  for (const Case& one : table) hold(one, repositories, tags);
}

// What doublestar 1.3.4, which Harbor has, says of these names; read off the library itself.
struct Doublestar {
  std::string_view pattern;
  Texts matching;
};

bool says(const Doublestar& row, std::string_view name) {
  return std::find(row.matching.begin(), row.matching.end(), name) != row.matching.end();
}

std::string harbor_rule(std::string_view repository_kind, std::string_view repositories,
                        std::string_view tag_kind, std::string_view tag_pattern) {
  return R"({"disabled": false, "action": "immutable", "tag_selectors": [{"kind": "doublestar", "decoration": ")" +
         std::string(tag_kind) + R"(", "pattern": ")" + std::string(tag_pattern) +
         R"("}], "scope_selectors": {"repository": [{"kind": "doublestar", "decoration": ")" +
         std::string(repository_kind) + R"(", "pattern": ")" + std::string(repositories) + R"("}]}})";
}

TEST_CASE("import semantics, Harbor: a repository's pattern means what doublestar says", "[policy][import]") {
  const Texts names = {"app",    "a/app",      "a/b/app",      "xapp", "a",     "a/b",
                       "ab/app", "builder-go", "a/builder-go", "v1/x", "v1x",   "v0/x",
                       "vx/x",   "app/x",      "a.b",          "axb",  "b/app", "x/b/y"};
  const Doublestar table[] = {
      {"**", names},
      {"*", {"app", "xapp", "a", "builder-go", "v1x", "a.b", "axb"}},
      {"app", {"app"}},
      {"**/app", {"app", "a/app", "a/b/app", "ab/app", "b/app"}},
      {"a/**", {"a/app", "a/b/app", "a/b", "a/builder-go"}},
      {"a/**/app", {"a/app", "a/b/app"}},
      {"**/builder-go", {"builder-go", "a/builder-go"}},
      {"{app,a}/**", {"a/app", "a/b/app", "a/b", "a/builder-go", "app/x"}},
      {"{app,a/app}", {"app", "a/app"}},
      {"{a,b/c}", {"a"}},
      {"v[0-9]/x", {"v1/x", "v0/x"}},
      {"v[^0]/x", {"v1/x", "vx/x"}},
      {"v[!0]/x", {"v0/x"}},
      {"v[a-z0-9]*/x", {"v1/x", "v0/x", "vx/x"}},
      {"a?app", {}},
      {"a?b", {"a.b", "axb"}},
      {"*app", {"app", "xapp"}},
      {"a*/app", {"a/app", "ab/app"}},
      {"**app", {"app", "xapp"}},
      {"a**", {"app", "a", "a.b", "axb"}},
      {"a**/app", {"a/app", "ab/app"}},
      {"**/**", names},
      {"*/**",
       {"a/app", "a/b/app", "a/b", "ab/app", "a/builder-go", "v1/x", "v0/x", "vx/x", "app/x", "b/app",
        "x/b/y"}},
      {"**/*", names},
      {"a/*/app", {"a/b/app"}},
      {"[ab]/app", {"a/app", "b/app"}},
      {"**/b/**", {"a/b/app", "b/app", "x/b/y"}},
  };
  Texts repositories;
  std::vector<std::string> in_project;
  for (const std::string_view name : names) in_project.push_back("bank/" + std::string(name));
  for (const std::string& name : in_project) repositories.push_back(name);
  repositories.push_back("other/app");
  repositories.push_back("bank");
  // Where that version has ways of its own nothing is guessed at.
  for (const char* pattern : {"{**/app,v1}", "a{b,c/d}", "{a,{b,c}}"}) {
    INFO(pattern);
    const Imported refused = import_policy(
        ImportSource::harbor, "[" + harbor_rule("repoMatches", pattern, "matches", "**") + "]", "d", "bank");
    CHECK(refused.problems.to_string().find("write the rule by hand") != std::string::npos);
  }
  for (const Doublestar& row : table) {
    INFO(row.pattern);
    for (const bool excluding : {false, true}) {
      const std::string document =
          "[" + harbor_rule(excluding ? "repoExcludes" : "repoMatches", row.pattern, "matches", "v*") + "]";
      const Model there = [&](std::string_view repository, std::string_view tag) {
        if (!repository.starts_with("bank/")) return There::moves;
        return fixed_if(says(row, repository.substr(5)) != excluding && tag.starts_with('v'),
                        There::fixed_for_good);
      };
      hold({ImportSource::harbor, document, "bank", there, {kept_from_lifecycle, signatures_too}},
           repositories, {"v1", "latest"});
    }
  }
}

TEST_CASE("import semantics, Harbor: a tag's pattern means what doublestar says, and any rule is enough",
          "[policy][import]") {
  const Texts names = {"latest", "dev-1", "dev-", "v1",        "v1.2", "v0",
                       "v",      "v10.2", "vx",   "1.4.2",     "1.4",  "1.4.2-rc.1",
                       "x-rc",   "2",     "v2.0", "release-1", "d",    "1.4.2.3"};
  const Doublestar table[] = {
      {"**", names},
      {"*", names},
      {"v*", {"v1", "v1.2", "v0", "v", "v10.2", "vx", "v2.0"}},
      {"v?.*", {"v1.2", "v2.0"}},
      {"v[0-9]*", {"v1", "v1.2", "v0", "v10.2", "v2.0"}},
      {"v[!0]*", {"v0"}},
      {"v[^0]*", {"v1", "v1.2", "v10.2", "vx", "v2.0"}},
      {"*-rc*", {"1.4.2-rc.1", "x-rc"}},
      {"{latest,dev-*}", {"latest", "dev-1", "dev-"}},
      {"1.4.2", {"1.4.2"}},
      {"1.4.*", {"1.4.2", "1.4.2-rc.1", "1.4.2.3"}},
      {"[0-9]*.[0-9]*", {"1.4.2", "1.4", "1.4.2-rc.1", "1.4.2.3"}},
      {"**-rc", {"x-rc"}},
      {"v{1,2}.*", {"v1.2", "v2.0"}},
      {"release-**", {"release-1"}},
      {"*.*.*", {"1.4.2", "1.4.2-rc.1", "1.4.2.3"}},
  };
  const Texts listed = {kept_from_lifecycle, signatures_too};
  for (const Doublestar& row : table) {
    INFO(row.pattern);
    for (const bool excluding : {false, true}) {
      const std::string rule =
          harbor_rule("repoMatches", "**", excluding ? "excludes" : "matches", row.pattern);
      const std::string document = "[" + rule + "]",
                        beside =
                            "[" + harbor_rule("repoMatches", "web", "matches", "dev-*") + ", " + rule + "]";
      const Model there = [&](std::string_view, std::string_view tag) {
        return fixed_if(says(row, tag) != excluding, There::fixed_for_good);
      };
      const Model any = [&](std::string_view repository, std::string_view tag) {
        const bool first = repository == "bank/web" && tag.starts_with("dev-");
        return fixed_if(first || says(row, tag) != excluding, There::fixed_for_good);
      };
      hold({ImportSource::harbor, document, "bank", there, listed}, {"bank/app", "bank/a/b"}, names);
      hold({ImportSource::harbor, beside, "bank", any, listed}, {"bank/app", "bank/web"}, names);
    }
  }
}

TEST_CASE("import semantics, GHCR: every tag moves, there and here", "[policy][import]") {
  const Model none = [](std::string_view, std::string_view) { return There::moves; };
  constexpr std::string_view workflow = R"(on: push
jobs: {clean: {steps: [{uses: actions/delete-package-versions@v5, with: {package-name: app, owner: acme, package-type: container,
  min-versions-to-keep: 3}}]}})";
  hold({ImportSource::ghcr,
        workflow,
        "",
        none,
        {"all are mutable", "step 1 (package app)", "lifecycle rules"}},
       {"acme/app", "acme/web", "app"}, tags);
}

TEST_CASE("import semantics, Docker Hub: what an expression matches is fixed, and nothing is looser here",
          "[policy][import]") {
  constexpr std::string_view anywhere = "may match anywhere in it, which is stricter";
  const Texts fixed = {kept_from_lifecycle, signatures_too};
  const Texts with_expressions = {kept_from_lifecycle, signatures_too, anywhere};
  const Model none = [](std::string_view, std::string_view) { return There::moves; };
  const auto only = [](const std::function<bool(std::string_view)>& matches) -> Model {
    return [=](std::string_view repository, std::string_view tag) {
      return fixed_if(repository == "acme/app" && matches(tag), There::fixed_for_good);
    };
  };
  const Model all = only([](std::string_view) { return true; });
  const Model versions = only([](std::string_view tag) {  // ^v[0-9.]+$
    return tag.size() > 1 && tag[0] == 'v' &&
           tag.find_first_not_of("0123456789.", 1) == std::string_view::npos;
  });
  const Model two = only([&](std::string_view tag) {  // ^v[0-9.]+$ and ^stable
    return versions("acme/app", tag) != There::moves || tag.starts_with("stable");
  });
  const Model whole = only([](std::string_view tag) { return tag == "v1"; });  // v1, if all of a tag is meant
  const auto document = [](std::string_view settings) {
    return R"({"namespace": "acme", "name": "app", )" + std::string(settings) + "}";
  };
  const std::string
      off = document(R"("immutable_tags_settings": {"enabled": false, "rules": ["^v"]})"),
      on = document(R"("immutable_tags_settings": {"enabled": true, "rules": []})"),
      every = document(R"("immutable_tags_settings": {"enabled": true, "rules": [".*"]})"),
      one = document(R"("immutable_tags_settings": {"enabled": true, "rules": ["^v[0-9.]+$"]})"),
      list = document(R"("immutable_tags": true, "immutable_tags_rules": ["^v[0-9.]+$", "^stable"])"),
      joined = document(R"("immutable_tags": true, "immutable_tags_rules": "^v[0-9.]+$,^stable")"),
      comma = document(R"("immutable_tags": true, "immutable_tags_rules": ["^v[0-9.]+$,^stable"])"),
      both = document(
          R"("immutable_tags": true, "immutable_tags_settings": {"enabled": true, "rules": ["^v[0-9.]+$"]})"),
      flat_off = document(R"("immutable_tags": false, "immutable_tags_rules": [])"),
      absent = document(R"("description": "x")"),
      unanchored = document(R"("immutable_tags": true, "immutable_tags_rules": ["v1"])");
  const ImportSource hub = ImportSource::dockerhub;
  const Texts without_rules = {kept_from_lifecycle, signatures_too, "it has no rules"};
  const Case table[] = {{hub, off, "", none, {}},
                        {hub, on, "", all, without_rules},
                        {hub, every, "", all, fixed},
                        {hub, one, "", versions, with_expressions},
                        {hub, list, "", two, with_expressions},
                        {hub, joined, "", two, with_expressions},
                        {hub, comma, "", two, with_expressions},
                        {hub, both, "", versions, with_expressions},
                        {hub, flat_off, "", none, {}},
                        {hub, absent, "", none, {}},
                        {hub, unanchored, "", whole, with_expressions, true}};
  for (const Case& row : table) hold(row, {"acme/app", "acme/web", "app"}, tags);
}

}  // namespace
}  // namespace stele::policy
