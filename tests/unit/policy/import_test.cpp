#include "policy/import/import.hpp"

#include "policy/load.hpp"
#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

// The policy made from a document that is good.
class Made {
 public:
  Made(ImportSource source, std::string_view document, std::string_view under = {})
      : imported_(import_policy(source, document, "document.json", under)),
        loaded_(load_policy(imported_.policy, "policy.yaml")) {
    INFO(imported_.problems.to_string());
    INFO(imported_.policy);
    REQUIRE(imported_.problems.empty());
    REQUIRE(loaded_.policy != nullptr);
    // Each rule decides something.
    CHECK(loaded_.warnings.to_string().find("never") == std::string::npos);
  }

  std::string says(std::string_view repository, std::string_view tag) const {
    const TagRule& rule = *loaded_.policy->tag_rule(repository, tag).rule;
    return std::string(to_string(rule.mutability)) + (rule.may_delete ? ", delete" : ", no delete");
  }

  // Whether a difference is listed, in the result and in the file.
  bool lists(std::string_view subject, std::string_view part) const {
    for (const Difference& difference : imported_.differences) {
      if (difference.subject == subject && difference.what.find(part) != std::string::npos)
        return imported_.policy.find("# - " + difference.subject + ": " + difference.what + "\n") !=
               std::string::npos;
    }
    return false;
  }

  std::size_t differences() const { return imported_.differences.size(); }

 private:
  Imported imported_;
  Loaded loaded_;
};

std::string complaint(ImportSource source, std::string_view document) {
  const Imported imported = import_policy(source, document, "document.json", "");
  CHECK(imported.policy.empty());
  return imported.problems.to_string();
}

}  // namespace

TEST_CASE("import from ECR: the four settings of a repository", "[policy][import]") {
  const Made made(ImportSource::ecr, R"({"repositories": [
    {"repositoryArn": "arn:aws:ecr:eu-central-1:012345678910:repository/team/free", "registryId": "012345678910",
     "repositoryName": "team/free", "repositoryUri": "012345678910.dkr.ecr.eu-central-1.amazonaws.com/team/free",
     "createdAt": "2026-01-01T00:00:00+00:00", "imageTagMutability": "MUTABLE",
     "imageScanningConfiguration": {"scanOnPush": true}, "encryptionConfiguration": {"encryptionType": "AES256"}},
    {"repositoryName": "team/fixed", "imageTagMutability": "IMMUTABLE"},
    {"repositoryName": "team/mostly-fixed", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
     "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest"},
                                            {"filterType": "WILDCARD", "filter": "dev-*"}]},
    {"repositoryName": "team/mostly-free", "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
     "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "v*.*.*"}]}]})");
  CHECK(made.says("team/free", "1.4.2") == "mutable, delete");
  CHECK(made.says("team/fixed", "latest") == "immutable, delete");
  CHECK(made.says("team/fixed", "1.4.2") == "immutable, delete");
  CHECK(made.says("team/mostly-fixed", "latest") == "mutable, delete");
  CHECK(made.says("team/mostly-fixed", "dev-") == "mutable, delete");
  CHECK(made.says("team/mostly-fixed", "latest-1") == "immutable, delete");
  CHECK(made.says("team/mostly-free", "v1.2.3") == "immutable, delete");
  CHECK(made.says("team/mostly-free", "v1") == "mutable, delete");
  CHECK(made.says("team/unknown", "1.4.2") == "mutable, delete");
  CHECK(made.lists("immutable tags", "deleting one frees its name"));
  CHECK(made.lists("immutable tags", "ImageAlreadyExistsException"));
  CHECK(made.differences() == 4);
}

TEST_CASE("import from ECR: the longest prefix of a creation template decides", "[policy][import]") {
  const Made made(ImportSource::ecr, R"({"registryId": "1", "repositoryCreationTemplates": [
    {"prefix": "ROOT", "imageTagMutability": "MUTABLE"},
    {"prefix": "prod", "imageTagMutability": "IMMUTABLE", "appliedFor": ["PULL_THROUGH_CACHE"],
     "lifecyclePolicy": "{}"},
    {"prefix": "prod/sandbox", "imageTagMutability": "MUTABLE", "novelty": 1}]})");
  CHECK(made.says("prod/app", "1.4.2") == "immutable, delete");
  CHECK(made.says("prod/sandbox/app", "1.4.2") == "mutable, delete");
  CHECK(made.says("other/app", "1.4.2") == "mutable, delete");
  CHECK(made.lists("template prod", "when they were created"));
  CHECK(made.lists("template prod, lifecyclePolicy", "lifecycle rules are not enforced"));
  CHECK(made.lists("template prod/sandbox", "not understood and left out: novelty"));
}

TEST_CASE("import from ECR: a lifecycle policy is listed, rule by rule", "[policy][import]") {
  constexpr std::string_view plain = R"({"rules": [
    {"rulePriority": 1, "description": "Expire old images",
     "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14},
     "action": {"type": "expire"}},
    {"rulePriority": 2, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5},
     "action": {"type": "expire"}}]})";
  const Made made(ImportSource::ecr, plain);
  CHECK(made.lists("lifecycle policy, rule 1 (Expire old images)", "nothing is removed"));
  CHECK(made.lists("lifecycle policy, rule 2", "nothing is removed"));
  const Made wrapped(ImportSource::ecr, R"({"repositoryName": "a", "lifecyclePolicyText":
    "{\"rules\":[{\"rulePriority\":7,\"selection\":{},\"action\":{\"type\":\"expire\"}}]}"})");
  CHECK(wrapped.lists("lifecycle policy, rule 7", "nothing is removed"));
}

TEST_CASE("import from Artifact Registry", "[policy][import]") {
  // As `gcloud artifacts repositories describe` prints it by default.
  const Made described(ImportSource::gar, R"(cleanupPolicies:
  delete-old:
    action: DELETE
    condition: {olderThan: 2592000s, tagState: ANY}
    id: delete-old
createTime: '2026-01-01T00:00:00.000000Z'
dockerConfig:
  immutableTags: true
format: DOCKER
mode: STANDARD_REPOSITORY
name: projects/acme/locations/europe-west3/repositories/apps
)");
  CHECK(described.says("acme/apps/web", "latest") == "immutable, no delete");
  CHECK(described.says("acme/apps/team/web", "1.4.2") == "immutable, no delete");
  CHECK(described.says("acme/other/web", "1.4.2") == "mutable, delete");
  CHECK(described.lists("repository apps, cleanup policy delete-old", "lifecycle rules are not enforced"));
  const Made listed(ImportSource::gar, R"([
    {"name": "projects/example.com:acme/locations/us/repositories/free", "format": "DOCKER", "dockerConfig": {}},
    {"name": "projects/acme/locations/us/repositories/fixed", "format": "DOCKER",
     "dockerConfig": {"immutableTags": true}, "mode": "REMOTE_REPOSITORY"},
    {"name": "projects/acme/locations/us/repositories/jars", "format": "MAVEN"}])",
                    "europe");
  CHECK(listed.says("europe/example.com/acme/free/web", "1.4.2") == "mutable, delete");
  CHECK(listed.says("europe/acme/fixed/web", "main") == "immutable, no delete");
  CHECK(listed.lists("repository jars", "not DOCKER"));
  CHECK(listed.lists("repository fixed", "REMOTE_REPOSITORY"));
  const Made cleanup(ImportSource::gar, R"([{"name": "delete-prerelease", "action": {"type": "Delete"},
    "condition": {"tagState": "tagged", "tagPrefixes": ["alpha"], "olderThan": "30d"}}])");
  CHECK(cleanup.lists("cleanup policy delete-prerelease", "nothing is removed"));
}

TEST_CASE("import from Harbor: any rule that matches makes a tag immutable", "[policy][import]") {
  constexpr std::string_view rules = R"([
    {"id": 1, "project_id": 3, "disabled": false, "priority": 0, "action": "immutable", "template": "immutable_template",
     "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": "v[0-9]*"}],
     "scope_selectors": {"repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]}},
    {"id": 2, "tag_selectors": [{"kind": "doublestar", "decoration": "excludes", "pattern": "{latest,dev-*}"}],
     "scope_selectors": {"repository": [{"kind": "doublestar", "decoration": "repoExcludes", "pattern": "tools/**"}]}},
    {"id": 3, "disabled": true, "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": "**"}],
     "scope_selectors": {"repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}]}}])";
  const Made made(ImportSource::harbor, rules, "bank");
  CHECK(made.says("bank/tools/x", "v1.2") == "immutable, no delete");
  CHECK(made.says("bank/tools/x", "vx") == "mutable, delete");
  CHECK(made.says("bank/app", "vx") == "immutable, no delete");
  CHECK(made.says("bank/app", "latest") == "mutable, delete");
  CHECK(made.says("bank/app", "dev-1") == "mutable, delete");
  CHECK(made.says("other/app", "v1") == "mutable, delete");
  CHECK(made.lists("rule 3", "disabled"));
  const Made everywhere(ImportSource::harbor, rules);
  CHECK(everywhere.says("other/app", "v1") == "immutable, no delete");
  CHECK(everywhere.says("app", "v1") == "mutable, delete");  // no Harbor repository lies outside a project
  CHECK(everywhere.lists("project", "--under PROJECT"));
  const Made retention(ImportSource::harbor, R"({"algorithm": "or", "scope": {"level": "project", "ref": 3},
    "rules": [{"action": "retain", "template": "latestPushedK", "params": {"latestPushedK": 10}}]})");
  CHECK(retention.lists("retention rule 1", "nothing is removed"));
}

TEST_CASE("import from GHCR: nothing is immutable there", "[policy][import]") {
  const Made made(ImportSource::ghcr, R"(name: clean up
on:
  schedule: [{cron: "0 3 * * *"}]
jobs:
  clean:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/delete-package-versions@v5
        with:
          package-name: app
          package-type: container
          min-versions-to-keep: 10
          delete-only-untagged-versions: "true"
)");
  CHECK(made.says("org/app", "1.4.2") == "mutable, delete");
  CHECK(made.lists("step 1 (package app)", "nothing is removed"));
  CHECK(made.lists("tags", "all are mutable"));
}

TEST_CASE("import from Docker Hub", "[policy][import]") {
  const Made made(ImportSource::dockerhub, R"({"count": 3, "results": [
    {"namespace": "acme", "name": "free", "immutable_tags_settings": {"enabled": false, "rules": [".*"]}},
    {"namespace": "acme", "name": "fixed", "immutable_tags_settings": {"enabled": true, "rules": [".*"]}},
    {"namespace": "acme", "name": "app", "immutable_tags_settings":
      {"enabled": true, "rules": ["^v[0-9]+\\.[0-9]+\\.[0-9]+$", "-alpine"]}}]})");
  CHECK(made.says("acme/free", "1.4.2") == "mutable, delete");
  CHECK(made.says("acme/fixed", "latest") == "immutable, no delete");
  CHECK(made.says("acme/app", "v1.4.2") == "immutable, no delete");
  CHECK(made.says("acme/app", "v1.4") == "mutable, delete");
  CHECK(made.says("acme/app", "3-alpine3.20") == "immutable, no delete");
  CHECK(made.lists("immutable tags", "stricter"));
}

TEST_CASE("import: what cannot be taken over is refused, with its place", "[policy][import]") {
  using enum ImportSource;
  CHECK(complaint(ecr, "{}").find("none of ECR's documents") != std::string::npos);
  CHECK(
      complaint(ecr, R"({"repositories": [{"repositoryName": "Team/APP", "imageTagMutability": "MUTABLE"}]})")
          .starts_with("document.json:1:19: \"Team/APP\" cannot be the name"));
  CHECK(complaint(ecr, R"({"repositories": [{"repositoryName": "a", "imageTagMutability": "FROZEN"}]})")
            .find("not \"FROZEN\"") != std::string::npos);
  CHECK(complaint(ecr, R"({"repositories": [{"repositoryName": "a", "imageTagMutability":
    "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "{a"}]}]})")
            .find("letters, digits") != std::string::npos);
  CHECK(complaint(gar, R"({"name": "apps", "format": "DOCKER"})").find("projects/acme/locations") !=
        std::string::npos);
  CHECK(complaint(harbor, R"([{"tag_selectors": [{"decoration": "matches", "pattern": "a"},
    {"decoration": "matches", "pattern": "b"}], "scope_selectors": {"repository": []}}])")
            .find("must both match") != std::string::npos);
  CHECK(complaint(harbor, R"([{"tag_selectors": [{"decoration": "matches", "pattern": "[a"}],
    "scope_selectors": {"repository": []}}])")
            .find("write the rule by hand") != std::string::npos);
  CHECK(complaint(ghcr, "name: x").find("delete-package-versions") != std::string::npos);
  CHECK(complaint(dockerhub, R"({"namespace": "a", "name": "b", "immutable_tags_settings":
    {"enabled": true, "rules": ["("]}})")
            .find("missing )") != std::string::npos);
  CHECK(complaint(dockerhub, R"({"immutable_tags": true})").find("lacks its namespace") != std::string::npos);
  // A comment of the result cannot be broken out of.
  const Imported hostile =
      import_policy(gar, "[{name: \"x\\ndefault: {mutability: immutable}\", action: a}]", "d", "");
  CHECK(hostile.policy.find("\ndefault: {mutability: immutable}") == std::string::npos);
}

}  // namespace stele::policy
