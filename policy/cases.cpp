#include "policy/cases.hpp"

#include <map>

#include "base/printable.hpp"
#include "base/reference.hpp"
#include "config/yaml_document.hpp"
#include "policy/decide.hpp"
#include "policy/section_reader.hpp"

namespace stele::policy {
namespace {

using config::YamlNode;

constexpr std::string_view tag_keys[] = {"tag", "rule", "mutability", "delete", "lifecycle", "lock"};
constexpr std::string_view move_keys[] = {"move", "from", "to", "allowed"};
constexpr std::string_view pull_keys[] = {"pull", "as", "allowed"};
constexpr std::string_view kinds[] = {"tag", "move", "pull"};
constexpr std::string_view answers[] = {"yes", "no"};

struct Name {
  std::string repository;
  std::string tag;
};

class Runner : private SectionReader {
 public:
  Runner(std::string_view file, Loaded& loaded, const Policy& policy, std::vector<CaseResult>& results)
      : SectionReader(file, loaded), policy_(policy), results_(results) {}

  void run(const YamlNode& root) {
    if (root.kind != YamlNode::Kind::mapping || root.children.size() != 1 ||
        root.children[0].key != "cases" || root.children[0].kind != YamlNode::Kind::sequence) {
      return fail(
          root.at,
          "a table of cases is a mapping with one list, as in cases: [{tag: \"app:1.4.2\", mutability: "
          "immutable}]");
    }
    for (const YamlNode& item : root.children[0].children) {
      if (item.kind != YamlNode::Kind::mapping) {
        fail(item.at, "a case must be a mapping such as {tag: \"app:1.4.2\", mutability: immutable}");
        continue;
      }
      run_case(item);
    }
  }

 private:
  // The case's members by name; the first of `known` is its kind.
  bool read(const YamlNode& item, std::span<const std::string_view> known) {
    members_.clear();
    bool good = true;
    for (const YamlNode& child : item.children) {
      bool is_known = false;
      for (const std::string_view key : known) is_known = is_known || child.key == key;
      if (!is_known) {
        unknown_key(child, known, "in a case of kind " + std::string(known.front()));
        good = false;
      } else if (!read_text(child, child.key)) {
        good = false;
      } else {
        members_[child.key] = &child;
      }
    }
    return good;
  }

  void run_case(const YamlNode& item) {
    const auto has = [&](std::string_view key) {
      for (const YamlNode& child : item.children) {
        if (child.key == key) return true;
      }
      return false;
    };
    if (has("tag")) {
      if (read(item, tag_keys)) run_tag(item);
    } else if (has("move")) {
      if (read(item, move_keys)) run_move(item);
    } else if (has("pull")) {
      if (read(item, pull_keys)) run_pull(item);
    } else if (!item.children.empty()) {
      unknown_key(item.children[0], kinds, "in a case, which is about a tag, a move or a pull");
    } else {
      fail(item.at, "a case is empty");
    }
  }

  bool read_name(const std::string& key, Name& name) {
    const YamlNode& node = *members_.at(key);
    const std::size_t colon = node.text.rfind(':');
    if (colon != std::string::npos) {
      name = {node.text.substr(0, colon), node.text.substr(colon + 1)};
      const auto repository = RepositoryName::parse(name.repository);
      const auto tag = Tag::parse(name.tag);
      if (repository && tag) return true;
      fail(node.at, (repository ? tag.error() : repository.error()).message());
      return false;
    }
    fail(node.at, key + " must name a repository and a tag, as in \"prod/app:1.4.2\"");
    return false;
  }

  // Nothing after a complaint.
  std::optional<bool> expected_answer(const YamlNode& item) {
    const auto found = members_.find("allowed");
    if (found == members_.end()) {
      fail(item.at, "a case lacks allowed: yes or allowed: no");
      return std::nullopt;
    }
    const std::string word = read_word(*found->second, answers);
    if (word.empty()) return std::nullopt;
    return word == "yes";
  }

  void result(const YamlNode& item, std::string what, std::string wrong) {
    results_.push_back({item.at, std::move(what), std::move(wrong)});
  }

  void run_tag(const YamlNode& item) {
    Name name;
    if (!read_name("tag", name)) return;
    const TagRule& rule = *policy_.tag_rule(name.repository, name.tag).rule;
    std::string wrong;
    const auto compare = [&](const char* key, std::string_view is) {
      const auto expected = members_.find(key);
      if (expected == members_.end() || expected->second->text == is) return;
      wrong += (wrong.empty() ? "" : "; ") + std::string(key) + " is " + std::string(is) + ", not " +
               printable(expected->second->text, 60);
    };
    compare("rule", rule.name);
    compare("mutability", to_string(rule.mutability));
    compare("delete", rule.may_delete ? "allow" : "deny");
    compare("lifecycle", rule.lifecycle_protects ? "protect" : "allow");
    compare("lock", rule.lock ? to_string(rule.lock->mode) : "none");
    if (members_.size() == 1) return fail(item.at, "a case expects nothing; write mutability: or rule:");
    result(item, "tag " + members_.at("tag")->text, wrong);
  }

  // From one version to another: two manifests that differ in nothing else that counts.
  void run_move(const YamlNode& item) {
    Name name;
    const auto expected = expected_answer(item);
    if (!read_name("move", name) || !expected) return;
    const auto value = [&](const char* key) {
      const auto found = members_.find(key);
      return found == members_.end() ? std::string() : found->second->text;
    };
    // Each says of itself what any rule may ask; the new one has nothing of the old one's content.
    const std::vector<std::string> nothing, something{"what the old one has"};
    const Facts from{nothing, something, Ordering{value("from"), value("from")}};
    const Facts to{nothing, nothing, Ordering{value("to"), value("to")}};
    const Match match = policy_.tag_rule(name.repository, name.tag);
    const Binding present{Digest::of(DigestAlgorithm::sha256, "from"), false, "", {}};
    const Move move{{name.repository, name.tag}, match, present, Digest::of(DigestAlgorithm::sha256, "to")};
    const bool allowed = decide(move, from, to).allowed();
    std::string wrong;
    if (allowed != *expected) {
      wrong = *expected ? "it is refused by rule " + match.rule->name
                        : "it is allowed by rule " + match.rule->name + " (" +
                              std::string(to_string(match.rule->mutability)) + ")";
    }
    result(item,
           "move " + members_.at("move")->text +
               (value("from").empty() ? "" : " from " + printable(value("from"), 60)) +
               (value("to").empty() ? "" : " to " + printable(value("to"), 60)),
           wrong);
  }

  void run_pull(const YamlNode& item) {
    Name name;
    const auto expected = expected_answer(item);
    if (!read_name("pull", name) || !expected) return;
    const auto as = members_.find("as");
    const std::string who = as == members_.end() ? "anonymous" : as->second->text;
    const PullRule* const rule = policy_.pull_rule(name.repository, who);
    const bool pinned = policy_.tag_rule(name.repository, name.tag).rule->mutability == Mutability::immutable;
    const bool allowed = !rule || pinned;
    std::string wrong;
    if (allowed != *expected) {
      wrong = allowed ? (rule ? "it is allowed: the tag is immutable"
                              : "it is allowed: no pull rule binds " + printable(who, 60))
                      : "it is refused by rule " + rule->name;
    }
    result(item, "pull " + members_.at("pull")->text + " as " + printable(who, 60), wrong);
  }

  const Policy& policy_;
  std::vector<CaseResult>& results_;
  std::map<std::string, const YamlNode*, std::less<>> members_;
};

}  // namespace

CaseTable run_cases(std::string_view text, std::string_view file, const Policy& policy) {
  CaseTable table;
  Loaded loaded;
  YamlNode root;
  if (config::parse_yaml(text, file, root, loaded.problems))
    Runner(file, loaded, policy, table.results).run(root);
  loaded.problems.sort(file);
  table.problems = std::move(loaded.problems);
  if (!table.problems.empty()) table.results.clear();
  return table;
}

}  // namespace stele::policy
