#pragma once
// Internal to policy/import/: what the importers share.

#include <initializer_list>

#include "base/yaml_document.hpp"
#include "policy/import/import.hpp"
#include "policy/rules.hpp"

namespace stele::policy {

class Importer {
 public:
  Importer(std::string_view file, std::string_view under, Imported& imported)
      : file_(file), under_(under), imported_(imported) {}

  // One for each source.
  void read_ecr(const config::YamlNode& root);
  void read_gar(const config::YamlNode& root);
  void read_harbor(const config::YamlNode& root);
  void read_ghcr(const config::YamlNode& root);
  void read_dockerhub(const config::YamlNode& root);

  const std::vector<TagRule>& rules() const { return rules_; }

 private:
  using YamlNode = config::YamlNode;

  // Nothing when there is no such key.
  static const YamlNode* member(const YamlNode& node, std::string_view key);
  // Empty when there is none, or it is no single value.
  static std::string_view text_member(const YamlNode& node, std::string_view key);
  static bool is_true(const YamlNode& node, std::string_view key);
  // The items of a list, or a single item that stands alone.
  static std::vector<const YamlNode*> items(const YamlNode& node);

  void fail(TextPosition at, std::string message);
  // The same difference of the same subject is listed once.
  void differs(std::string subject, std::string what);
  // Says of every member that is in neither list that it was not understood; `beside_the_point` has nothing
  // to do with tags.
  void list_unread(const std::string& subject, const YamlNode& node,
                   std::initializer_list<std::string_view> read,
                   std::initializer_list<std::string_view> beside_the_point);
  // A repository's path here; empty after a complaint.
  std::string local_path(const YamlNode& at, std::string_view name);

  // Behind the rules that are there; its name begins with `name`.
  void add_rule(const std::string& name, std::vector<std::string> repositories, std::vector<std::string> tags,
                Mutability mutability, bool may_delete);
  // The same for one repository, by adding it to a rule of the same effect where there is one. Whatever is
  // mutable comes last, so that a repository's immutable tags are decided first.
  void add_repository(const std::string& name, std::string repository, std::vector<std::string> tags,
                      Mutability mutability, bool may_delete);
  void say_what_immutable_tags_do_otherwise(bool frees_names);
  // What removes images by itself is not this version's.
  void lifecycle_differs(const std::string& subject);

  void read_ecr_repository(const YamlNode& repository);
  void read_ecr_template(const YamlNode& item);
  // Its immutable tags, if any: nothing after a complaint.
  std::optional<std::vector<std::string>> immutable_ecr_tags(const YamlNode& item,
                                                             const std::string& subject);
  void list_ecr_lifecycle(const YamlNode& policy, const std::string& subject);
  void read_gar_repository(const YamlNode& repository);
  void read_harbor_rule(const YamlNode& rule, std::size_t number);
  bool read_harbor_selectors(const YamlNode* selectors, std::string_view excludes, const std::string& prefix,
                             const std::string& everything, const std::string& subject,
                             std::vector<std::string>& patterns);
  void find_ghcr_steps(const YamlNode& node, std::size_t& steps);
  void read_dockerhub_repository(const YamlNode& repository);

  const std::string_view file_;
  const std::string_view under_;
  Imported& imported_;
  std::vector<TagRule> rules_;
};

}  // namespace stele::policy
