// Documents as they are written elsewhere, right and wrong.

#include "policy/import/import.hpp"

#include "tests/unit/policy/imported_document.hpp"

namespace stele::policy::import_test {
namespace {

using enum ImportSource;

constexpr std::string_view fixed = "immutable, delete", fixed_for_good = "immutable, no delete",
                           moves = "mutable, delete";
struct Spelling {
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
constexpr std::string_view on_harbor = R"([{"tag_selectors": [{"decoration": "matches", "pattern": "v*"}],
      "scope_selectors": {"repository": [{"decoration": "repoMatches", "pattern": "**/builder-go"}]}}])";
constexpr std::string_view on_harbor_middle =
    R"([{"tag_selectors": [{"decoration": "matches", "pattern": "**"}],
      "scope_selectors": {"repository": [{"decoration": "repoMatches", "pattern": "a/**/app"}]}}])";
constexpr std::string_view on_harbor_class =
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
const Spelling spellings[] = {
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
    {harbor, on_harbor, "bank", "bank/builder-go", "v1", fixed_for_good},
    {harbor, on_harbor, "bank", "bank/a/b/builder-go", "v1", fixed_for_good},
    {harbor, on_harbor, "bank", "bank/xbuilder-go", "v1", moves},
    {harbor, on_harbor_middle, "bank", "bank/a/app", "v1", fixed_for_good},
    {harbor, on_harbor_middle, "bank", "bank/a/b/app", "v1", fixed_for_good},
    {harbor, on_harbor_middle, "bank", "bank/app", "v1", moves},
    {harbor, on_harbor_class, "bank", "bank/v1/x", "v1", fixed_for_good},
    {harbor, on_harbor_class, "bank", "bank/v1x", "v1", moves},
    {harbor, terraform_harbor, "bank", "bank/app", "v2.1", fixed_for_good},
    {harbor, terraform_harbor, "bank", "bank/app", "v2-dev", moves},
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

// What a system does with a tag is what Stele does with it, however the document is spelled.
TEST_CASE("import: every documented spelling protects what that system protects", "[policy][import]") {
  for (const Spelling& row : spellings) {
    INFO(row.document << " " << row.repository << ":" << row.tag);
    CHECK(Made(row.source, row.document, row.under).says(row.repository, row.tag) == row.says);
  }
}

TEST_CASE("import: what may protect and is not understood is an error (I8)", "[policy][import]") {
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

}  // namespace
}  // namespace stele::policy::import_test
