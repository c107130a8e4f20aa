#include "policy/import/import.hpp"

#include "policy/lifecycle_rules.hpp"
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

  // The lifecycle rules, in one line each for a rule and an entry.
  std::string rules() const {
    const std::string& text = imported_.policy;
    std::string shown;
    for (const Lifecycle::Rule& rule : loaded_.policy->lifecycle()->rules()) {
      shown += rule.name + " " + repositories_in(text, rule.name) + "\n";
      for (const auto& entry : rule.keep) shown += "  keep " + describe(entry.selects) + "\n";
      for (const auto& entry : rule.expire) shown += "  expire " + describe(entry.selects) + "\n";
    }
    return shown;
  }

  std::size_t differences() const { return imported_.differences.size(); }

 private:
  // As the file writes them, without quotes and commas.
  static std::string repositories_in(const std::string& text, const std::string& rule) {
    const std::size_t name = text.find("- name: " + rule + "\n", text.find("lifecycle_rules:"));
    const std::size_t from = text.find('[', name), to = text.find(']', from);
    std::string list;
    for (const char c : text.substr(from, to + 1 - from)) {
      if (c != '"' && c != '\'' && c != ',') list += c;
    }
    return list;
  }

  Imported imported_;
  Loaded loaded_;
};

std::string complaint(ImportSource source, std::string_view document, std::string_view under = {}) {
  const Imported imported = import_policy(source, document, "document.json", under);
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
     "lifecyclePolicy": "{\"rules\": [{\"rulePriority\": 1, \"selection\": {\"tagStatus\": \"untagged\", \"countType\": \"sinceImagePushed\", \"countUnit\": \"days\", \"countNumber\": 3}, \"action\": {\"type\": \"expire\"}}]}"},
    {"prefix": "prod/sandbox", "imageTagMutability": "MUTABLE", "novelty": 1}]})");
  CHECK(made.says("prod/app", "1.4.2") == "immutable, delete");
  CHECK(made.says("prod/sandbox/app", "1.4.2") == "mutable, delete");
  CHECK(made.says("other/app", "1.4.2") == "mutable, delete");
  CHECK(made.lists("template prod", "when they were created"));
  CHECK(made.rules() == "ecr-lifecycle [prod/** !prod/sandbox/**]\n  expire untagged, older_than 3d\n");
  CHECK(made.lists("template prod/sandbox", "not understood and left out: novelty"));
}

TEST_CASE("import from ECR: what a lifecycle rule selects is out of reach of the later ones",
          "[policy][import]") {
  constexpr std::string_view plain = R"({"rules": [
    {"rulePriority": 20, "description": "the rest",
     "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5},
     "action": {"type": "expire"}},
    {"rulePriority": 10, "selection": {"tagStatus": "tagged", "tagPrefixList": ["prod"],
     "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}, "action": {"type": "expire"}},
    {"rulePriority": 11, "selection": {"tagStatus": "tagged", "tagPatternList": ["*-rc*"],
     "countType": "sinceImagePulled", "countUnit": "days", "countNumber": 9}, "action": {"type": "expire"}}]})";
  const Made made(ImportSource::ecr, plain, "team/app");
  CHECK(made.rules() ==
        "ecr-lifecycle [team/app]\n"
        "  keep also_tagged prod*, pushed_within 14d\n"
        "  keep also_tagged *-rc*, pushed_within 9d\n"
        "  keep also_tagged *-rc*, pulled_within 9d\n"
        "  keep tags ** !prod* !*-rc*, newest_pushed 5\n"
        "  expire tags prod*, older_than 14d\n"
        "  expire tags *-rc* !prod*, not_pulled_for 9d\n"
        "  expire everything_else\n");
  CHECK(made.lists("lifecycle policy, rule 20 (the rest)", "take no slot"));
  CHECK(made.lists("lifecycle policy, rule 20 (the rest)", "counts untagged images too"));
  CHECK(made.lists("lifecycle rules", "no run starts by itself"));
  CHECK(made.lists("tag rules", "none is protected"));
  CHECK(complaint(ImportSource::ecr, plain).find("name it with --under") != std::string::npos);
}

TEST_CASE("import from ECR: what has no equivalent is left out, and what it selects stays (I8)",
          "[policy][import]") {
  const Made made(ImportSource::ecr, R"({"repositoryName": "a", "lifecyclePolicyText": "{\"rules\": [
    {\"rulePriority\": 1, \"selection\": {\"tagStatus\": \"untagged\", \"countType\": \"imageCountMoreThan\", \"countNumber\": 1}, \"action\": {\"type\": \"expire\"}},
    {\"rulePriority\": 2, \"selection\": {\"tagStatus\": \"tagged\", \"tagPatternList\": [\"a*\", \"b*\"], \"countType\": \"imageCountMoreThan\", \"countNumber\": 1}, \"action\": {\"type\": \"expire\"}},
    {\"rulePriority\": 3, \"selection\": {\"tagStatus\": \"tagged\", \"tagPatternList\": [\"c*\"], \"countType\": \"sinceImagePulled\", \"countUnit\": \"days\", \"countNumber\": 9}, \"action\": {\"type\": \"transition\", \"targetStorageClass\": \"archive\"}},
    {\"rulePriority\": 4, \"selection\": {\"tagStatus\": \"any\", \"countType\": \"sinceImagePushed\", \"countUnit\": \"days\", \"countNumber\": 30}, \"action\": {\"type\": \"expire\"}}]}"})");
  CHECK(made.rules() ==
        "ecr-lifecycle [a]\n"
        "  keep untagged, newest_pushed 1\n"
        "  keep also_tagged a* b*, newest_pushed 1\n"
        "  keep also_tagged c*\n"
        "  expire untagged\n"
        "  expire also_tagged a* b*\n"
        "  expire tags **, older_than 30d\n");
  CHECK(made.lists("lifecycle policy, rule 3", "its action is transition"));
  const auto refused = [](const std::string& selection) {
    return complaint(ImportSource::ecr,
                     R"({"rules": [{"rulePriority": 1, "selection": {)" + selection +
                         R"(}, "action": {"type": "expire"}}]})",
                     "a");
  };
  const std::string by_count = R"("countType": "imageCountMoreThan", "countNumber": )";
  CHECK(refused(R"("tagStatus": "any", )" + by_count + "0").find("countNumber must be") != std::string::npos);
  CHECK(refused(R"("tagStatus": "some", )" + by_count + "1").find("tagStatus must be") != std::string::npos);
  CHECK(refused(R"("tagStatus": "tagged", )" + by_count + "1").find("needs a tagPatternList") !=
        std::string::npos);
  CHECK(refused(R"("tagStatus": "tagged", "tagPrefixList": ["!a"], )" + by_count + "1")
            .find("letters, digits") != std::string::npos);
  CHECK(refused(R"("tagStatus": "any", "novelty": 1, )" + by_count + "1").find("\"novelty\" is not known") !=
        std::string::npos);
  CHECK(refused(
            R"("tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "weeks", "countNumber": 1)")
            .find("countUnit must be days") != std::string::npos);
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
  CHECK(described.rules() == "gar-delete-old [acme/apps/**]\n  expire everything_else, older_than 30d\n");
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
}

TEST_CASE("import from Artifact Registry: cleanup policies", "[policy][import]") {
  const Made cleanup(ImportSource::gar, R"([
    {"name": "delete-prerelease", "action": {"type": "Delete"},
     "condition": {"tagState": "tagged", "tagPrefixes": ["alpha", "v0"], "packageNamePrefixes": ["web"], "olderThan": "30d"}},
    {"name": "delete-untagged", "action": {"type": "Delete"}, "condition": {"tagState": "UNTAGGED", "olderThan": "36h"}},
    {"name": "delete-new", "action": {"type": "Delete"}, "condition": {"newerThan": "3600s"}},
    {"name": "by-digest", "action": {"type": "Delete"}, "condition": {"versionNamePrefixes": ["sha256:a"]}},
    {"name": "keep-new", "action": {"type": "Keep"}, "condition": {"tagState": "any", "newerThan": "7d"}},
    {"name": "keep-old", "action": {"type": "Keep"}, "condition": {"tagPrefixes": ["v1"], "olderThan": "7d"}},
    {"name": "keep-last", "action": {"type": "Keep"}, "mostRecentVersions": {"packageNamePrefixes": ["web"], "keepCount": 5}}])",
                     "acme/apps");
  CHECK(cleanup.rules() ==
        "gar-delete-prerelease [acme/apps/web**]\n  expire tags alpha* v0*, older_than 30d\n"
        "gar-delete-untagged [acme/apps/**]\n  expire untagged, older_than 36h\n"
        "gar-delete-new [acme/apps/**]\n  expire tags **, pushed_within 1h\n"
        "  expire untagged, pushed_within 1h\n"
        "gar-keep-new [acme/apps/**]\n  keep pushed_within 7d\n"
        "gar-keep-old [acme/apps/**]\n  keep tags v1*\n"
        "gar-keep-last [acme/apps/web**]\n  keep newest_pushed 5\n");
  CHECK(cleanup.lists("cleanup policy by-digest", "left out, so that what it removes stays"));
  CHECK(cleanup.lists("cleanup policy keep-old", "keeps what is newer too"));
  // No keep entry speaks of untagged manifests alone: none of them goes then.
  const Made spared(ImportSource::gar, R"([
    {"name": "old", "action": {"type": "Delete"}, "condition": {"olderThan": "30d"}},
    {"name": "lost", "action": {"type": "Keep"}, "condition": {"tagState": "untagged"}}])",
                    "a");
  CHECK(spared.rules() == "gar-old [a/**]\n  expire tags **, older_than 30d\n");
  CHECK(spared.lists("cleanup policy lost", "none of them goes"));
  const auto refused = [](const std::string& policy) {
    return complaint(ImportSource::gar, "[{\"name\": \"p\", " + policy + "}]", "a");
  };
  // What keeps is never left out.
  CHECK(refused(R"("action": {"type": "Keep"}, "condition": {"versionNamePrefixes": ["a"]})")
            .find("must not be left out") != std::string::npos);
  CHECK(refused(R"("action": {"type": "Keep"}, "condition": {"novelty": 1})").find("not known") !=
        std::string::npos);
  CHECK(refused(R"("action": {"type": "Archive"}, "condition": {})").find("Keep or Delete") !=
        std::string::npos);
  CHECK(refused(R"("action": {"type": "Delete"}, "condition": {"olderThan": "soon"})")
            .find("must be a time such as 30d") != std::string::npos);
  CHECK(complaint(ImportSource::gar, R"([{"name": "p", "action": {"type": "Delete"}, "condition": {}}])")
            .find("name it with --under") != std::string::npos);
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
}

TEST_CASE("import from Harbor: what no retention rule retains goes", "[policy][import]") {
  const auto policy = [](const std::string& rules) {
    return R"({"algorithm": "or", "scope": {"level": "project", "ref": 3}, "rules": [)" + rules + "]}";
  };
  const auto rule = [](const std::string& method, const std::string& tags, const std::string& untagged) {
    return R"({"action": "retain", "template": ")" + method + R"(", "params": {")" + method +
           R"(": 10}, "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": ")" +
           tags + R"(", "extras": "{\"untagged\":)" + untagged +
           R"(}"}], "scope_selectors": {"repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": "app*"}]}})";
  };
  const Made counted(
      ImportSource::harbor,
      policy(rule("latestPushedK", "v[0-9]*", "false") + "," + rule("latestPulledN", "**", "true") + "," +
             rule("nDaysSinceLastPush", "**", "true") + "," + rule("nDaysSinceLastPull", "**", "false")),
      "bank");
  CHECK(counted.rules() ==
        "harbor-1 [bank/app*]\n  keep tags /v[0-9][^/]*/, newest_pushed 10\n  expire everything_else\n"
        "harbor-2 [bank/app*]\n  keep tags **, newest_pulled 10\n  expire everything_else\n"
        "harbor-3 [bank/app*]\n  keep pushed_within 10d\n  expire everything_else\n"
        "harbor-4 [bank/app*]\n  keep tags **, pulled_within 10d\n  expire everything_else\n");
  CHECK(counted.lists("retention rule 2", "counts untagged artifacts too"));
  // One retains untagged artifacts beside tags that match, which no entry can say: none of them goes.
  const Made spared(ImportSource::harbor,
                    policy(rule("latestPushedK", "**", "false") + "," + rule("always", "v*", "true")),
                    "bank");
  CHECK(spared.rules() ==
        "harbor-1 [bank/app*]\n  keep tags **, newest_pushed 10\n  expire tags **\n"
        "harbor-2 [bank/app*]\n  keep tags v*\n  expire tags **\n");
  CHECK(spared.lists("untagged artifacts", "none of them goes"));
  CHECK(complaint(ImportSource::harbor, policy(rule("always", "**", "false"))).find("name it with --under") !=
        std::string::npos);
  CHECK(complaint(ImportSource::harbor, policy(rule("newest", "**", "false")), "bank")
            .find("\"newest\" is not known") != std::string::npos);
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
)",
                  "org");
  CHECK(made.says("org/app", "1.4.2") == "mutable, delete");
  CHECK(made.lists("step 1 (package app)", "left out, so that what it removes stays"));
  CHECK(made.rules().empty());
  CHECK(made.lists("tags", "all are mutable"));
}

TEST_CASE("import from GHCR: what delete-package-versions leaves", "[policy][import]") {
  const auto step = [](const std::string& inputs) {
    return "steps:\n  - uses: actions/delete-package-versions@v5\n    with: {package-name: app, " + inputs +
           "}\n";
  };
  const Made newest(
      ImportSource::ghcr,
      step("owner: Acme, package-type: container, min-versions-to-keep: 3, ignore-versions: '^v'"));
  CHECK(newest.rules() ==
        "ghcr-app [acme/app]\n"
        "  keep tags /.*(?:^v).*/\n"
        "  keep tags ** !/.*(?:^v).*/, newest_pushed 3\n"
        "  expire everything_else\n");
  CHECK(newest.lists("step 1 (package app)", "against the digest"));
  CHECK(newest.lists("step 1 (package app)", "counts untagged versions too"));
  const Made releases(ImportSource::ghcr,
                      step("package-type: container, delete-only-pre-release-versions: true"), "acme");
  CHECK(releases.rules() ==
        "ghcr-app [acme/app]\n  keep tags /v?[0-9]+(\\.[0-9]+)*/\n  expire everything_else\n");
  const Made untagged(
      ImportSource::ghcr,
      step("package-type: container, min-versions-to-keep: 0, delete-only-untagged-versions: true"), "acme");
  CHECK(untagged.rules() == "ghcr-untagged [acme/app]\n  expire untagged\n");
  const Made others(ImportSource::ghcr, step("package-type: npm, min-versions-to-keep: 3") +
                                            "more:\n  - uses: actions/delete-package-versions@v5\n    with: "
                                            "{package-name: '${{ x }}', package-type: container, "
                                            "min-versions-to-keep: 3}\n");
  CHECK(others.rules().empty());
  CHECK(others.lists("step 1 (package app)", "not containers"));
  CHECK(complaint(ImportSource::ghcr, step("package-type: container, min-versions-to-keep: 3"))
            .find("--under OWNER") != std::string::npos);
  CHECK(
      complaint(ImportSource::ghcr, step("package-type: container, min-versions-to-keep: 3, novelty: 1"), "a")
          .find("\"novelty\" is not known") != std::string::npos);
}

TEST_CASE("import from zot: the first policy and the first keepTags that match decide", "[policy][import]") {
  const Made made(ImportSource::zot,
                  R"({"storage": {"retention": {"dryRun": true, "delay": "48h", "policies": [
    {"repositories": ["infra/*", "tmp/**"], "deleteReferrers": false, "deleteUntagged": false,
     "keepTags": [{"patterns": ["^v2\\."], "mostRecentlyPushedCount": 10, "pulledWithin": "168h"}, {"pushedWithin": "1h30m"}]},
    {"repositories": ["**"], "deleteReferrers": true, "keepTags": [{"patterns": [".*"]}]}]}}})");
  CHECK(made.rules() ==
        "zot-1 [infra/* tmp/**]\n"
        "  keep tags /.*(?:^v2\\.).*/, newest_pushed 10\n"
        "  keep tags /.*(?:^v2\\.).*/, pulled_within 7d\n"
        "  keep tags ** !/.*(?:^v2\\.).*/, pushed_within 90m\n"
        "  expire tags **\n"
        "zot-2 [** !infra/* !tmp/**]\n"
        "  keep tags **\n"
        "  expire untagged, older_than 2d\n");
  CHECK(made.lists("retention", "dryRun is true there"));
  CHECK(made.lists("policy 1", "counts tags"));
  CHECK(made.lists("untagged manifests", "of which no policy speaks"));
  const Made below(ImportSource::zot, R"({"policies": [{"repoNames": ["a"]}]})", "old");
  CHECK(below.rules() == "zot-1 [old/a]\n  expire untagged, older_than 24h\n");
  CHECK(complaint(ImportSource::zot, "storage: {}").find("storage.retention.policies") != std::string::npos);
  CHECK(
      complaint(ImportSource::zot, R"({"policies": [{"repositories": ["a"], "keepTags": [{"novelty": 1}]}]})")
          .find("\"novelty\" is not known") != std::string::npos);
  CHECK(complaint(ImportSource::zot,
                  R"({"policies": [{"repositories": ["a"], "keepTags": [{"patterns": ["("]}]}]})")
            .find("missing )") != std::string::npos);
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

// What a system does with a tag is what Stele does with it, however the document is spelled.
TEST_CASE("import: every documented spelling protects what that system protects", "[policy][import]") {
  using ImportSource::ecr, ImportSource::gar, ImportSource::dockerhub;
  constexpr std::string_view fixed = "immutable, delete", fixed_for_good = "immutable, no delete",
                             moves = "mutable, delete";
  struct Row {
    ImportSource source;
    std::string_view document, under, repository, tag, says;
  };
  constexpr std::string_view terraform_ecr =
      R"({"format_version": "1.0", "values": {"root_module": {"resources": [
      {"type": "aws_iam_role", "values": {"name": "x"}}], "child_modules": [{"resources": [
      {"address": "aws_ecr_repository.app", "type": "aws_ecr_repository", "values": {"name": "team/app",
       "image_tag_mutability": "IMMUTABLE_WITH_EXCLUSION", "force_delete": null,
       "image_tag_mutability_exclusion_filter": [{"filter": "dev-*", "filter_type": "WILDCARD"}]}}]}]}}})";
  constexpr std::string_view terraform_source =
      R"({"resource": {"aws_ecr_repository": {"app": {"name": "team/app",
      "image_tag_mutability": "MUTABLE_WITH_EXCLUSION",
      "image_tag_mutability_exclusion_filter": {"filter": "v*", "filter_type": "WILDCARD"}}}}})";
  constexpr std::string_view cloud_formation = R"(Resources:
  App:
    Type: AWS::ECR::Repository
    Properties:
      RepositoryName: team/app
      ImageTagMutability: IMMUTABLE_WITH_EXCLUSION
      ImageTagMutabilityExclusionFilters:
        - {ImageTagMutabilityExclusionFilterType: WILDCARD, ImageTagMutabilityExclusionFilterValue: latest}
)";
  constexpr std::string_view template_of_ecr = R"({"repository_creation_templates": [{"prefix": "prod",
      "image_tag_mutability": "IMMUTABLE"}]})";
  constexpr std::string_view terraform_gar = R"({"values": {"root_module": {"resources": [
      {"type": "google_artifact_registry_repository", "values": {"name": "apps", "project": "acme", "location": "us",
       "repository_id": "apps", "format": "DOCKER", "docker_config": [{"immutable_tags": true}]}}]}}})";
  constexpr std::string_view no_config =
      R"({"name": "projects/acme/locations/us/repositories/apps", "format": "DOCKER"})";
  constexpr std::string_view harbor = R"([{"tag_selectors": [{"decoration": "matches", "pattern": "v*"}],
      "scope_selectors": {"repository": [{"decoration": "repoMatches", "pattern": "**/builder-go"}]}}])";
  constexpr std::string_view harbor_middle =
      R"([{"tag_selectors": [{"decoration": "matches", "pattern": "**"}],
      "scope_selectors": {"repository": [{"decoration": "repoMatches", "pattern": "a/**/app"}]}}])";
  constexpr std::string_view harbor_class =
      R"([{"tag_selectors": [{"decoration": "matches", "pattern": "**"}],
      "scope_selectors": {"repository": [{"decoration": "repoMatches", "pattern": "v[0-9]**/x"}]}}])";
  constexpr std::string_view terraform_harbor = R"({"resource": {"harbor_immutable_tag_rule": {"main": {
      "disabled": false, "project_id": "/projects/1", "repo_matching": "**", "tag_matching": "v2*", "tag_excluding": "v2-dev"}}}})";
  constexpr std::string_view hub_flat = R"({"namespace": "acme", "name": "app", "immutable_tags": true,
      "immutable_tags_rules": ["^v[0-9]+$", "^stable,^lts"]})";
  constexpr std::string_view hub_joined = R"({"namespace": "acme", "name": "app", "immutable_tags": true,
      "immutable_tags_rules": "^v[0-9]+$,^stable"})";
  constexpr std::string_view hub_both = R"({"namespace": "acme", "name": "app", "immutable_tags": true,
      "immutable_tags_settings": {"enabled": true, "rules": ["^v"]}})";
  constexpr std::string_view hub_all = R"({"namespace": "acme", "name": "app", "immutable_tags": true})";
  const Row table[] = {
      {ecr, terraform_ecr, "", "team/app", "1.4.2", fixed},
      {ecr, terraform_ecr, "", "team/app", "dev-1", moves},
      {ecr, terraform_source, "", "team/app", "v1", fixed},
      {ecr, terraform_source, "", "team/app", "1", moves},
      {ecr, cloud_formation, "", "team/app", "1.4.2", fixed},
      {ecr, cloud_formation, "", "team/app", "latest", moves},
      {ecr, template_of_ecr, "", "prod/app", "latest", fixed},
      {ecr, R"({"repository": {"repositoryName": "a"}})", "", "a", "1.4.2", moves},
      {gar, terraform_gar, "", "acme/apps/web", "latest", fixed_for_good},
      {gar, no_config, "", "acme/apps/web", "1.4.2", moves},
      {ImportSource::harbor, harbor, "bank", "bank/builder-go", "v1", fixed_for_good},
      {ImportSource::harbor, harbor, "bank", "bank/a/b/builder-go", "v1", fixed_for_good},
      {ImportSource::harbor, harbor, "bank", "bank/xbuilder-go", "v1", moves},
      {ImportSource::harbor, harbor_middle, "bank", "bank/a/app", "v1", fixed_for_good},
      {ImportSource::harbor, harbor_middle, "bank", "bank/a/b/app", "v1", fixed_for_good},
      {ImportSource::harbor, harbor_middle, "bank", "bank/app", "v1", moves},
      {ImportSource::harbor, harbor_class, "bank", "bank/v1/x", "v1", fixed_for_good},
      {ImportSource::harbor, harbor_class, "bank", "bank/v1x", "v1", moves},
      {ImportSource::harbor, terraform_harbor, "bank", "bank/app", "v2.1", fixed_for_good},
      {ImportSource::harbor, terraform_harbor, "bank", "bank/app", "v2-dev", moves},
      {dockerhub, hub_flat, "", "acme/app", "v7", fixed_for_good},
      {dockerhub, hub_flat, "", "acme/app", "stable-1", fixed_for_good},
      {dockerhub, hub_flat, "", "acme/app", "lts", fixed_for_good},
      {dockerhub, hub_flat, "", "acme/app", "latest", moves},
      {dockerhub, hub_joined, "", "acme/app", "v7", fixed_for_good},
      {dockerhub, hub_joined, "", "acme/app", "stable", fixed_for_good},
      {dockerhub, hub_both, "", "acme/app", "v7", fixed_for_good},
      {dockerhub, hub_both, "", "acme/app", "latest", moves},
      {dockerhub, hub_all, "", "acme/app", "latest", fixed_for_good},
  };
  for (const Row& row : table) {
    INFO(row.document << " " << row.repository << ":" << row.tag);
    CHECK(Made(row.source, row.document, row.under).says(row.repository, row.tag) == row.says);
  }
}

TEST_CASE("import: what may protect and is not understood is an error (I8)", "[policy][import]") {
  using enum ImportSource;
  struct Row {
    ImportSource source;
    std::string_view document, said;
  };
  constexpr Row table[] = {
      {ecr,
       R"({"repositories": [{"repositoryName": "a", "imageTagMutability": "MUTABLE", "tagImmutability": {}}]})",
       "\"tagImmutability\" is not understood, and may protect tags"},
      {ecr, R"({"repositories": [{"repositoryName": "a", "imageTagMutability": "MUTABLE",
        "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "v*"}]}]})",
       "go with a setting that ends in _WITH_EXCLUSION"},
      {gar,
       R"({"name": "projects/a/locations/b/repositories/c", "format": "DOCKER", "dockerConfig": {"immutableTagRules": []}})",
       "\"immutableTagRules\" is not understood"},
      {gar,
       R"({"name": "projects/a/locations/b/repositories/c", "format": "DOCKER", "dockerConfig": {"immutableTags": "on"}})",
       "immutableTags must be true or false"},
      {harbor, R"([{"tag_selectors": [], "scope_selectors": {"repository": []}, "retention": 1}])",
       "\"retention\" is not understood"},
      {dockerhub, R"({"namespace": "a", "name": "b", "tag_protection": true})",
       "\"tag_protection\" is not understood"},
      {dockerhub, R"({"namespace": "a", "name": "b", "immutable_tags": "yes"})",
       "immutable_tags must be true or false"},
      {dockerhub, R"({"namespace": "a", "name": "b", "immutable_tags": true, "immutable_tags_rules": {}})",
       "must be a list of expressions"},
      {zot, R"({"policies": [{"repositories": ["a"], "keepForever": true}]})",
       "\"keepForever\" is not understood"},
  };
  for (const Row& row : table) {
    INFO(row.document);
    CHECK(complaint(row.source, row.document).find(row.said) != std::string::npos);
  }
}

TEST_CASE(
    "import: a resource of the system that is not read is listed, and an error when it may protect (I8)",
    "[policy][import]") {
  using enum ImportSource;
  // A state of Terraform holds a repository, and its clean-up as a resource of its own.
  const Made state(ecr, R"({"values": {"root_module": {"resources": [
      {"type": "aws_ecr_repository", "values": {"name": "team/app", "image_tag_mutability": "IMMUTABLE"}},
      {"type": "aws_ecr_lifecycle_policy", "values": {"repository": "team/app", "policy": "{}"}},
      {"type": "aws_ecr_lifecycle_policy", "values": {"repository": "team/web", "policy": "{}"}},
      {"type": "aws_ecr_pull_through_cache_rule", "values": {"ecr_repository_prefix": "hub"}},
      {"type": "aws_ecr_repository_creation_template", "mode": "data", "values": {}},
      {"type": "google_storage_bucket", "values": {"retention_policy": []}}]}}})");
  CHECK(state.says("team/app", "1.4.2") == "immutable, delete");
  CHECK(state.lists("aws_ecr_lifecycle_policy", "Import what `aws ecr get-lifecycle-policy` says"));
  CHECK(state.lists("aws_ecr_pull_through_cache_rule", "not understood and left out"));
  CHECK(state.rules().empty());
  CHECK(state.differences() == 2 + 4);  // and what immutable tags do otherwise

  const Made harbor_plan(harbor, R"({"planned_values": {"root_module": {"resources": [
      {"type": "harbor_immutable_tag_rule", "values": {"repo_matching": "**", "tag_matching": "v*"}},
      {"type": "harbor_retention_policy", "values": {"rule": [{"most_recently_pushed": 5}]}},
      {"type": "harbor_project", "values": {"name": "bank"}}]}}})",
                         "bank");
  CHECK(harbor_plan.says("bank/app", "v1") == "immutable, no delete");
  CHECK(harbor_plan.lists("harbor_retention_policy", "Import what Harbor's API says"));
  CHECK(harbor_plan.lists("harbor_project", "not understood and left out"));

  // Terraform's JSON takes a list wherever it takes an object.
  const Made lists(ecr, R"({"resource": [{"aws_ecr_repository": [{"app": [
      {"name": "team/app", "image_tag_mutability": "IMMUTABLE"}]}]}],
      "module": {"more": {"source": "./registry"}}})");
  CHECK(lists.says("team/app", "1.4.2") == "immutable, delete");
  CHECK(lists.lists("module", "`terraform show -json`"));

  struct Row {
    ImportSource source;
    std::string_view document, said;
  };
  constexpr Row refused[] = {
      {ecr, R"({"resource": {"aws_ecr_repository": {"a": {"name": "a"}},
        "aws_ecr_repository_creation_template": {"b": {"prefix": "prod", "image_tag_mutability": "IMMUTABLE"}}}})",
       "aws_ecr_repository_creation_template: not read here, and it may make tags immutable there"},
      {ecr, R"({"Resources": {"A": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": "a"}},
        "B": {"Type": "AWS::ECR::RepositoryCreationTemplate", "Properties": {"Prefix": "prod"}}}})",
       "AWS::ECR::RepositoryCreationTemplate: not read here"},
      {gar, R"({"values": {"root_module": {"resources": [
        {"type": "google_artifact_registry_repository", "values": {}},
        {"type": "google_artifact_registry_tag_lock", "values": {}}]}}})",
       "google_artifact_registry_tag_lock: not understood, and may protect tags there"},
      // Nothing of this system at all would otherwise become a policy in which every tag moves.
      {ecr,
       R"({"values": {"root_module": {"resources": [{"type": "aws_ecr_lifecycle_policy", "values": {}}]}}})",
       "none of them is aws_ecr_repository or AWS::ECR::Repository"},
      {gar, R"({"resource": {"aws_ecr_repository": {"a": {"name": "a"}}}})",
       "none of them is google_artifact_registry_repository"},
      {harbor, R"({"resource": [{"harbor_retention_policy": {"a": {"rule": []}}}]})",
       "none of them is harbor_immutable_tag_rule"},
  };
  for (const Row& row : refused) {
    INFO(row.document);
    CHECK(complaint(row.source, row.document).find(row.said) != std::string::npos);
  }
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
  const Imported hostile = import_policy(
      gar, "[{name: \"x\\ndefault: {mutability: immutable}\", action: delete, condition: {}}]", "d", "a");
  CHECK(!hostile.policy.empty());
  CHECK(hostile.policy.find("\ndefault: {mutability: immutable}") == std::string::npos);
}

}  // namespace stele::policy
