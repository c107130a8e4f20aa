// Docker Hub: a repository's immutable_tags_settings, regular expressions of Go's regexp package (RE2's
// syntax).

#include "policy/import/importer.hpp"

namespace stele::policy {

void Importer::read_dockerhub(const YamlNode& root) {
  const YamlNode* const results = member(root, "results");
  const std::vector<const YamlNode*> list = items(results == nullptr ? root : *results);
  if (list.empty()) return fail(root.at, "the document holds no repository");
  for (const YamlNode* item : list) read_dockerhub_repository(*item);
}

void Importer::read_dockerhub_repository(const YamlNode& repository) {
  const std::string_view name = text_member(repository, "name");
  const std::string_view owner = text_member(repository, "namespace");
  if (name.empty() || owner.empty()) {
    return fail(repository.at,
                "a repository lacks its namespace or name; the document is to be as "
                "/v2/namespaces/NAMESPACE/repositories/NAME gives it");
  }
  const std::string full_name = std::string(owner) + "/" + std::string(name);
  const std::string path = local_path(repository, full_name);
  if (path.empty()) return;
  const std::string subject = "repository " + full_name;
  const YamlNode* const settings = member(repository, "immutable_tags_settings");
  std::vector<std::string> tags;
  if (settings != nullptr && is_true(*settings, "enabled")) {
    list_unread(subject + ", immutable_tags_settings", *settings, {"enabled", "rules"}, {});
    const YamlNode* const rules = member(*settings, "rules");
    if (rules == nullptr || rules->kind != YamlNode::Kind::sequence || rules->children.empty())
      return fail(settings->at, subject + ": immutable_tags_settings is enabled and has no rules");
    for (const YamlNode& rule : rules->children) {
      std::string pattern = anywhere(rule, subject);
      if (pattern.empty()) continue;
      if (pattern != "**") {
        differs("immutable tags",
                "Docker's documentation does not say whether an expression has to match the whole "
                "tag; here it may match anywhere in it, which is stricter");
      }
      tags.push_back(std::move(pattern));
    }
    if (tags.empty()) return;
    add_repository("dockerhub-immutable", path, std::move(tags), Mutability::immutable, false);
    say_what_immutable_tags_do_otherwise(false);
  }
  add_repository("dockerhub-mutable", path, {"**"}, Mutability::free, true);
}

}  // namespace stele::policy
