#include "policy/import/import.hpp"

#include <algorithm>
#include <iterator>

#include "base/printable.hpp"
#include "base/reference.hpp"
#include "base/text.hpp"
#include "policy/import/importer.hpp"
#include "policy/import/spellings.hpp"
#include "policy/import/written.hpp"
#include "policy/load.hpp"

namespace stele::policy {
namespace {

constexpr std::string_view sources[] = {"ecr", "gar", "harbor", "ghcr", "dockerhub", "zot"};
constexpr std::string_view full_names[] = {
    "Amazon ECR", "Google Artifact Registry", "Harbor", "GitHub Container Registry", "Docker Hub", "zot"};

std::string written(ImportSource source, const Importer& importer,
                    const std::vector<Difference>& differences) {
  const std::vector<TagRule>& rules = importer.rules();
  std::string text = "# Imported from " + std::string(full_names[static_cast<std::size_t>(source)]) + ".";
  text += differences.empty() ? "\n" : " What this does otherwise, or not at all:\n";
  for (const Difference& difference : differences)
    text += "# - " + difference.subject + ": " + difference.what + "\n";
  text += rules.empty() ? "version: 1\ntag_rules: []\n" : "version: 1\ntag_rules:\n";
  for (const TagRule& rule : rules) {
    text += "  - name: " + config::yaml_scalar(rule.name) +
            "\n    repositories: " + list_of(rule.repositories) + "\n    tags: " + list_of(rule.tags) +
            "\n    mutability: " + std::string(to_string(rule.mutability)) +
            "\n    delete: " + (rule.may_delete ? "allow" : "deny") + "\n";
  }
  return text + "default: {mutability: mutable}\n" + written(importer.lifecycle_rules());
}

std::string alternatives(std::span<const std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : " or ") + std::string(name);
  return text;
}

}  // namespace

std::span<const std::string_view> import_sources() {
  return sources;
}

Imported import_policy(ImportSource source, std::string_view text, std::string_view file,
                       std::string_view under) {
  Imported imported;
  config::YamlNode written_root;
  if (!config::parse_yaml(text, file, written_root, imported.problems) || !imported.problems.empty())
    return imported;
  Importer importer(file, under, imported);
  const std::span<const std::string_view> types = read_types(source);
  std::vector<Resource> resources = types.empty() ? std::vector<Resource>() : take_resources(written_root);
  importer.say_what_is_unread(unread_among(source, resources));
  const bool reads_any = std::any_of(resources.begin(), resources.end(), [&](const Resource& resource) {
    return std::find(types.begin(), types.end(), resource.type) != types.end();
  });
  if (!resources.empty() && !reads_any) {
    imported.problems.add(file, written_root.at,
                          "the document has resources, and none of them is " + alternatives(types));
  }
  if (!imported.problems.empty()) return imported;
  const config::YamlNode root = in_one_spelling(source, std::move(written_root), std::move(resources));
  switch (source) {
    case ImportSource::ecr:
      importer.read_ecr(root);
      break;
    case ImportSource::gar:
      importer.read_gar(root);
      break;
    case ImportSource::harbor:
      importer.read_harbor(root);
      break;
    case ImportSource::ghcr:
      importer.read_ghcr(root);
      break;
    case ImportSource::dockerhub:
      importer.read_dockerhub(root);
      break;
    case ImportSource::zot:
      importer.read_zot(root);
      break;
  }
  if (!imported.problems.empty()) return imported;
  std::string policy = written(source, importer, imported.differences);
  // Whatever the document held, what leaves here loads.
  Loaded loaded = load_policy(policy, "the policy made from " + std::string(file));
  imported.problems = std::move(loaded.problems);
  if (loaded.policy) imported.policy = std::move(policy);
  return imported;
}

const Importer::YamlNode* Importer::member(const YamlNode& node, std::string_view key) {
  if (node.kind != YamlNode::Kind::mapping) return nullptr;
  const auto found = std::find_if(node.children.begin(), node.children.end(),
                                  [&](const YamlNode& child) { return child.key == key; });
  return found == node.children.end() ? nullptr : &*found;
}

std::string_view Importer::text_member(const YamlNode& node, std::string_view key) {
  const YamlNode* const child = member(node, key);
  return child != nullptr && child->kind == YamlNode::Kind::scalar ? std::string_view(child->text)
                                                                   : std::string_view();
}

std::optional<bool> Importer::flag_member(const YamlNode& node, std::string_view key,
                                          const std::string& subject) {
  const YamlNode* const child = member(node, key);
  if (child == nullptr || child->kind == YamlNode::Kind::null) return false;
  if (is_true(node, key)) return true;
  const std::string_view text = text_member(node, key);
  if (text == "false" || text == "False" || text == "FALSE") return false;
  fail(child->at, subject + ": " + std::string(key) + " must be true or false");
  return std::nullopt;
}

bool Importer::is_true(const YamlNode& node, std::string_view key) {
  const std::string_view text = text_member(node, key);
  return text == "true" || text == "True" || text == "TRUE";
}

std::vector<const Importer::YamlNode*> Importer::items(const YamlNode& node) {
  std::vector<const YamlNode*> list;
  if (node.kind == YamlNode::Kind::mapping) list.push_back(&node);
  if (node.kind == YamlNode::Kind::sequence) {
    std::transform(node.children.begin(), node.children.end(), std::back_inserter(list),
                   [](const YamlNode& child) { return &child; });
  }
  return list;
}

void Importer::fail(TextPosition at, std::string message) {
  imported_.problems.add(file_, at, std::move(message));
}

void Importer::differs(std::string subject, std::string what) {
  subject = printable(subject, 200);
  what = printable(what, 1000);
  const bool listed =
      std::any_of(imported_.differences.begin(), imported_.differences.end(),
                  [&](const Difference& known) { return known.subject == subject && known.what == what; });
  if (!listed) imported_.differences.push_back({std::move(subject), std::move(what)});
}

void Importer::say_what_is_unread(std::span<const UnreadResources> unread) {
  for (const UnreadResources& resource : unread) {
    if (resource.may_protect) {
      fail(resource.at, printable(resource.type, 100) + ": " + resource.what);
    } else {
      differs(resource.type, resource.what);
    }
  }
}

void Importer::list_unread(const std::string& subject, const YamlNode& node,
                           std::initializer_list<std::string_view> read,
                           std::initializer_list<std::string_view> beside_the_point) {
  std::string unread;
  // What is left out protects nothing: words that could have are not passed over.
  constexpr std::string_view protecting[] = {"mutab",   "immut",   "retention", "retain", "lifecycle",
                                             "cleanup", "protect", "lock",      "keep",   "exclusion"};
  for (const YamlNode& child : node.children) {
    const auto is_child = [&](std::string_view key) { return key == child.key; };
    if (std::any_of(read.begin(), read.end(), is_child) ||
        std::any_of(beside_the_point.begin(), beside_the_point.end(), is_child))
      continue;
    const std::string lower = lower_case(child.key);
    if (std::any_of(std::begin(protecting), std::end(protecting),
                    [&](std::string_view word) { return lower.find(word) != std::string::npos; })) {
      fail(child.key_at,
           subject + ": " + in_quotes(child.key) +
               " is not understood, and may protect tags there; take it out to go on without it");
      continue;
    }
    unread += (unread.empty() ? "" : ", ") + child.key;
  }
  if (!unread.empty()) differs(subject, "not understood and left out: " + unread);
}

std::string Importer::local_path(const YamlNode& at, std::string_view name) {
  std::string path(under_);
  if (!path.empty() && !name.empty()) path += '/';
  path += name;
  if (RepositoryName::parse(path)) return path;
  fail(at.at, in_quotes(path) + " cannot be the name of a repository here");
  return {};
}

void Importer::add_rule(const std::string& name, std::vector<std::string> repositories,
                        std::vector<std::string> tags, Mutability mutability, bool may_delete) {
  TagRule rule;
  rule.name = name;
  const auto is_taken = [&](const TagRule& other) { return other.name == rule.name; };
  for (int number = 2; std::any_of(rules_.begin(), rules_.end(), is_taken); ++number)
    rule.name = name + "-" + std::to_string(number);
  rule.repositories = std::move(repositories);
  rule.tags = std::move(tags);
  rule.mutability = mutability;
  rule.may_delete = may_delete;
  rules_.push_back(std::move(rule));
}

void Importer::add_repository(const std::string& name, std::string repository, std::vector<std::string> tags,
                              Mutability mutability, bool may_delete) {
  const auto same = std::find_if(rules_.begin(), rules_.end(), [&](const TagRule& rule) {
    return rule.mutability == mutability && rule.may_delete == may_delete && rule.tags == tags;
  });
  if (same != rules_.end()) {
    same->repositories.push_back(std::move(repository));
    return;
  }
  add_rule(name, {std::move(repository)}, std::move(tags), mutability, may_delete);
  if (mutability == Mutability::free) return;
  const auto first_free = std::find_if(rules_.begin(), rules_.end() - 1, [](const TagRule& rule) {
    return rule.mutability == Mutability::free;
  });
  std::rotate(first_free, rules_.end() - 1, rules_.end());
}

void Importer::say_what_immutable_tags_do_otherwise(bool frees_names) {
  if (frees_names) {
    differs("immutable tags",
            "deleting one frees its name there; here the name stays bound, and only the same digest can come "
            "back");
  }
  differs(
      "immutable tags",
      "cosign's tags (sha256-<hex>.sig, .att) are immutable too, as there: a second signature of an image is "
      "refused. To admit it, put a rule first whose tags are @signature and whose mutability is append-only");
  differs("immutable tags",
          "they are protected from lifecycle rules; lifecycle: allow in the rule ends that");
}

}  // namespace stele::policy
