#pragma once
// Internal to policy/import/: what the importers share.

#include <initializer_list>
#include <map>
#include <span>

#include "config/yaml_document.hpp"
#include "policy/import/import.hpp"
#include "policy/import/resources.hpp"
#include "policy/lifecycle_rules.hpp"
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
  void read_zot(const config::YamlNode& root);
  // Resources of the document that none of these reads.
  void say_what_is_unread(std::span<const UnreadResources>);

  const std::vector<TagRule>& rules() const { return rules_; }
  const std::vector<LifecycleRule>& lifecycle_rules() const { return lifecycle_; }

 private:
  using YamlNode = config::YamlNode;

  // Nothing when there is no such key.
  static const YamlNode* member(const YamlNode& node, std::string_view key);
  // Empty when there is none, or it is no single value.
  static std::string_view text_member(const YamlNode& node, std::string_view key);
  static bool is_true(const YamlNode& node, std::string_view key);
  // False when it is absent; nothing after a complaint. For what protects: anything but true and false is
  // one.
  std::optional<bool> flag_member(const YamlNode& node, std::string_view key, const std::string& subject);
  // The items of a list, or a single item that stands alone.
  static std::vector<const YamlNode*> items(const YamlNode& node);

  void fail(TextPosition at, std::string message);
  // The same difference of the same subject is listed once.
  void differs(std::string subject, std::string what);
  // Says of every member that is in neither list that it was not understood, and refuses those whose name
  // speaks of protection; `beside_the_point` has nothing
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

  // lifecycle.cpp: behind the rules that are there; its name begins with `name`. Without entries: nothing.
  void add_lifecycle(std::string_view name, std::vector<std::string> repositories,
                     std::vector<LifecycleEntry> keep, std::vector<LifecycleEntry> expire);
  // A document of clean-up rules alone: it says nothing of what moves.
  void say_nothing_is_protected();
  void left_out(const std::string& subject, const std::string& why);
  // A whole number, as JSON or YAML writes it; nothing after a complaint.
  std::optional<std::uint32_t> number_member(const YamlNode& node, std::string_view key,
                                             const std::string& subject, std::uint32_t lowest = 1);
  // "30d", "2592000s", "168h30m"; nothing after a complaint.
  std::optional<std::int64_t> seconds_member(const YamlNode& node, std::string_view key,
                                             const std::string& subject);
  // The path that --under names, for documents that do not name their repository; empty after a complaint.
  std::string path_under(TextPosition at, const std::string& what);
  // Of a text that is a document itself; its positions are that of `node`. False after a complaint.
  bool parse_inside(const YamlNode& node, YamlNode& parsed);
  // A glob of the doublestar library below a path, as a pattern; empty when it has no equivalent.
  static std::string doublestar_pattern(std::string_view prefix, std::string_view written);
  // An expression of Go or JavaScript, which may match anywhere in a tag; empty after a complaint.
  std::string anywhere(const YamlNode& regex, const std::string& subject);

  void read_ecr_repository(const YamlNode& repository);
  // `longer`: the repositories of the templates before it, to which this one is added.
  void read_ecr_template(const YamlNode& item, std::vector<std::string>& longer);
  // Its immutable tags, if any: nothing after a complaint.
  std::optional<std::vector<std::string>> immutable_ecr_tags(const YamlNode& item,
                                                             const std::string& subject);
  struct EcrLifecycle;
  struct EcrRule;
  void read_ecr_lifecycle(const YamlNode& policy, const std::string& subject,
                          const std::vector<std::string>& repositories);
  static std::string ecr_obstacle(const YamlNode& selection, const YamlNode& action);
  bool is_ecr_selection_known(const YamlNode& selection, const std::string& subject);
  void read_ecr_lifecycle_rule(const YamlNode& rule, const std::string& subject, EcrLifecycle& made);
  void add_ecr_rule(const EcrRule& rule, const std::string& subject, EcrLifecycle& made);
  std::optional<std::vector<std::string>> ecr_lifecycle_tags(const YamlNode& selection,
                                                             const std::string& subject);
  void read_gar_repository(const YamlNode& repository);
  void read_gar_cleanup(const std::vector<const YamlNode*>& policies, const std::string& subject,
                        const std::string& path);
  static std::string gar_action(const YamlNode& policy);
  static std::string gar_tag_state(const YamlNode& condition);
  void read_gar_policy(const YamlNode& policy, const std::string& subject, const std::string& path,
                       bool spares_untagged);
  void read_gar_condition(const YamlNode& condition, const std::string& subject, bool keeps,
                          bool spares_untagged, std::vector<LifecycleEntry>& entries);
  std::optional<std::vector<std::string>> gar_repositories(const YamlNode* filter, const std::string& subject,
                                                           const std::string& path);
  bool harbor_takes_untagged(const YamlNode& rule);
  void read_harbor_retention(const YamlNode& root);
  void read_harbor_retention_rule(const YamlNode& rule, const std::string& subject, bool spares_untagged);
  bool read_harbor_patterns(const YamlNode& rule, const std::string& subject,
                            std::vector<std::string>& repositories, std::vector<std::string>& tags);
  void read_harbor_rule(const YamlNode& rule, std::size_t number);
  bool read_harbor_selectors(const YamlNode* selectors, std::string_view excludes, const std::string& prefix,
                             const std::string& everything, const std::string& subject,
                             std::vector<std::string>& patterns);
  void find_ghcr_steps(const YamlNode& node, std::size_t& steps);
  // False: it cannot be read, or was left out, which was said.
  bool is_ghcr_step_read(const YamlNode& inputs, const std::string& subject);
  void read_ghcr_step(const YamlNode& inputs, const std::string& subject);
  std::string ghcr_repository(const YamlNode& inputs, const std::string& subject);
  void read_zot_policy(const YamlNode& policy, const std::string& subject, std::int64_t delay,
                       std::vector<std::string>& spoken_of);
  void read_zot_tags(const YamlNode& keep_tags, const std::string& subject,
                     std::vector<LifecycleEntry>& keep);
  void read_dockerhub_repository(const YamlNode& repository);
  // Adds the expressions of one form of the setting; false after a complaint.
  bool read_dockerhub_rules(const YamlNode* rules, const std::string& subject,
                            std::vector<std::string>& tags);

  const std::string_view file_;
  const std::string_view under_;
  Imported& imported_;
  std::vector<TagRule> rules_;
  std::vector<LifecycleRule> lifecycle_;
  std::map<std::string, int> lifecycle_names_;  // with the last number behind each
  std::size_t lifecycle_patterns_ = 0;
};

// What ECR takes as a pattern of tags: letters, digits and ._*-.
bool is_ecr_wildcard(std::string_view text);

}  // namespace stele::policy
