// Google Artifact Registry: the Repository resource (dockerConfig.immutableTags, cleanupPolicies).

#include <algorithm>

#include "base/printable.hpp"
#include "policy/import/importer.hpp"

namespace stele::policy {

void Importer::read_gar(const YamlNode& root) {
  std::vector<const YamlNode*> list = items(root);
  if (const YamlNode* const repositories = member(root, "repositories")) list = items(*repositories);
  if (list.empty()) return fail(root.at, "the document holds no repository");
  std::vector<const YamlNode*> policies;
  for (const YamlNode* item : list) {
    if (member(*item, "action") != nullptr) {
      policies.push_back(item);
    } else {
      read_gar_repository(*item);
    }
  }
  if (policies.empty()) return;
  const std::string path =
      path_under(root.at, "a file of cleanup policies does not name its repository (PROJECT/REPOSITORY)");
  if (path.empty()) return;
  say_nothing_is_protected();
  read_gar_cleanup(policies, "", path);
}

void Importer::read_gar_repository(const YamlNode& repository) {
  const std::string_view name = text_member(repository, "name");
  // projects/PROJECT/locations/LOCATION/repositories/REPOSITORY
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= name.size();) {
    const std::size_t to = std::min(name.find('/', from), name.size());
    parts.emplace_back(name.substr(from, to - from));
    from = to + 1;
  }
  if (parts.size() != 6 || parts[0] != "projects" || parts[2] != "locations" || parts[4] != "repositories") {
    return fail(
        repository.at,
        "a repository must have a name such as projects/acme/locations/europe-west3/repositories/apps, as "
        "`gcloud artifacts repositories describe --format=json` prints it, not " +
            in_quotes(name));
  }
  const std::string subject = "repository " + parts[5];
  if (const std::string_view format = text_member(repository, "format"); format != "DOCKER")
    return differs(subject, "its format is " + std::string(format) + ", not DOCKER: left out");
  // A project of an organisation's domain is written domain:project, and domain/project in an image's name.
  std::string project = parts[1];
  std::replace(project.begin(), project.end(), ':', '/');
  const std::string path = local_path(repository, project + "/" + parts[5]);
  if (path.empty()) return;
  list_unread(subject, repository,
              {"name", "format", "mode", "dockerConfig", "cleanupPolicies", "cleanupPolicyDryRun"},
              {"description",
               "labels",
               "createTime",
               "updateTime",
               "kmsKeyName",
               "sizeBytes",
               "registryUri",
               "satisfiesPzi",
               "satisfiesPzs",
               "vulnerabilityScanningConfig",
               "remoteRepositoryConfig",
               "virtualRepositoryConfig",
               "platformLogsConfig",
               "id",
               "project",
               "location",
               "repositoryId",
               "effectiveLabels",
               "terraformLabels",
               "timeouts"});
  if (const std::string_view mode = text_member(repository, "mode");
      mode == "REMOTE_REPOSITORY" || mode == "VIRTUAL_REPOSITORY")
    differs(subject, "its mode is " + std::string(mode) + "; here it becomes a repository that is pushed to");
  if (const YamlNode* const policies = member(repository, "cleanupPolicies")) {
    if (is_true(repository, "cleanupPolicyDryRun"))
      differs(subject, "cleanupPolicyDryRun is true there, so that nothing is removed; here the rules count");
    std::vector<const YamlNode*> list;
    for (const YamlNode& policy : policies->children) list.push_back(&policy);
    read_gar_cleanup(list, subject + ", ", path);
  }
  const YamlNode* const docker = member(repository, "dockerConfig");
  if (docker != nullptr) list_unread(subject + ", dockerConfig", *docker, {"immutableTags"}, {});
  const auto immutable = docker == nullptr
                             ? std::optional(false)
                             : flag_member(*docker, "immutableTags", subject + ", dockerConfig");
  if (!immutable) return;
  if (*immutable) {
    add_repository("gar-immutable", path + "/**", {"**"}, Mutability::immutable, false);
    say_what_immutable_tags_do_otherwise(false);
  } else {
    add_repository("gar-mutable", path + "/**", {"**"}, Mutability::free, true);
  }
}

}  // namespace stele::policy
