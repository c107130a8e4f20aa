// What other registries' documents become, one after the other.

#include "policy/import/import.hpp"

#include "tests/unit/policy/imported_document.hpp"

namespace stele::policy::import_test {
namespace {

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

}  // namespace
}  // namespace stele::policy::import_test
