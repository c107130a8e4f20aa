// Docker Hub: a repository's immutable_tags_settings, regular expressions of Go's regexp package (RE2's
// syntax).

#include <algorithm>

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
  list_unread(subject, repository,
              {"namespace", "name", "immutable_tags_settings", "immutable_tags", "immutable_tags_rules"},
              {"user",
               "repository_type",
               "status",
               "status_description",
               "description",
               "full_description",
               "is_private",
               "is_automated",
               "star_count",
               "pull_count",
               "last_updated",
               "last_modified",
               "date_registered",
               "collaborator_count",
               "affiliation",
               "hub_user",
               "has_starred",
               "permissions",
               "media_types",
               "content_types",
               "categories",
               "storage_size",
               "source",
               "registry"});
  std::vector<std::string> tags;
  bool immutable = false;
  if (const YamlNode* const settings = member(repository, "immutable_tags_settings");
      settings != nullptr && settings->kind != YamlNode::Kind::null) {
    list_unread(subject + ", immutable_tags_settings", *settings, {"enabled", "rules"}, {});
    const auto enabled = flag_member(*settings, "enabled", subject + ", immutable_tags_settings");
    if (!enabled) return;
    immutable = *enabled;
    if (immutable && !read_dockerhub_rules(member(*settings, "rules"), subject, tags)) return;
  }
  const auto also = flag_member(repository, "immutable_tags", subject);
  if (!also) return;
  const YamlNode* const flat_rules = member(repository, "immutable_tags_rules");
  if (!*also && !immutable && flat_rules != nullptr && !flat_rules->children.empty())
    differs(subject, "has immutable_tags_rules, and immutable_tags is not true: left out, as there");
  // Beside the other form and without rules of its own it says nothing more.
  if (*also && (flat_rules != nullptr || !immutable)) {
    if (!read_dockerhub_rules(flat_rules, subject, tags)) return;
    immutable = true;
  }
  const bool all = std::find(tags.begin(), tags.end(), "**") != tags.end();
  if (immutable) {
    add_repository("dockerhub-immutable", path, std::move(tags), Mutability::immutable, false);
    say_what_immutable_tags_do_otherwise(false);
  }
  if (!all) add_repository("dockerhub-mutable", path, {"**"}, Mutability::free, true);
}

bool Importer::read_dockerhub_rules(const YamlNode* rules, const std::string& subject,
                                    std::vector<std::string>& tags) {
  std::vector<YamlNode> list;
  if (rules != nullptr && rules->kind == YamlNode::Kind::scalar) {
    list.push_back(*rules);
  } else if (rules != nullptr && rules->kind == YamlNode::Kind::sequence) {
    list = rules->children;
  } else if (rules != nullptr && rules->kind != YamlNode::Kind::null) {
    fail(rules->at, subject + ": the rules must be a list of expressions");
    return false;
  }
  std::vector<std::string> own;
  for (const YamlNode& rule : list) {
    // Hub joins the list with commas: one inside an expression ends it.
    for (std::size_t from = 0; rule.kind != YamlNode::Kind::scalar || from <= rule.text.size();) {
      YamlNode part = rule;
      const std::size_t to = std::min(rule.text.find(',', from), rule.text.size());
      part.text = rule.text.substr(std::min(from, to), to - std::min(from, to));
      from = to + 1;
      if (part.text.empty() && rule.text.find(',') != std::string::npos) continue;
      std::string pattern = anywhere(part, subject);
      if (pattern.empty()) return false;
      if (pattern != "**") {
        differs("immutable tags",
                "Docker's documentation does not say whether an expression has to match the whole "
                "tag; here it may match anywhere in it, which is stricter");
      }
      if (std::find(tags.begin(), tags.end(), pattern) == tags.end()) tags.push_back(pattern);
      own.push_back(std::move(pattern));
    }
  }
  if (!own.empty()) return true;
  differs(subject, "its tags are immutable and it has no rules; here all of them are");
  tags = {"**"};
  return true;
}

}  // namespace stele::policy
