#include "policy/quotas_reader.hpp"

#include "base/printable.hpp"
#include "policy/pattern_texts.hpp"

namespace stele::policy {
namespace {

using config::YamlNode;

constexpr std::string_view keys[] = {"name", "repositories", "storage"};
constexpr std::string_view example = "{repositories: [\"team-a/**\"], storage: 50GiB}";

}  // namespace

void QuotasReader::read(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::null) return;
  if (node.kind != YamlNode::Kind::sequence)
    return fail(node.at, "quotas must be a list such as [" + std::string(example) + "], not " +
                             std::string(config::kind_name(node.kind)));
  for (const YamlNode& item : node.children) {
    if (item.kind == YamlNode::Kind::mapping) {
      read_quota(item);
    } else {
      fail(item.at, "a quota must be a mapping such as " + std::string(example));
    }
  }
}

void QuotasReader::read_quota(const YamlNode& node) {
  Quota quota;
  quota.line = node.at.line;
  bool has_repositories = false, has_storage = false;
  for (const YamlNode& child : node.children) {
    if (child.key == "name") {
      (void)read_name(child, quota.name);
    } else if (child.key == "repositories") {
      has_repositories = true;
      read_patterns(child, "repositories", quota.repositories);
    } else if (child.key == "storage") {
      has_storage = true;
      std::optional<std::uint64_t> bytes;
      read_size(child, bytes);
      quota.bytes = bytes.value_or(0);
    } else {
      unknown_key(child, keys, "in an entry of quotas");
    }
  }
  const std::string shown = printable(quota.shown(quotas.size()));
  if (!has_repositories) fail(node.at, shown + " lacks repositories, as in [\"team-a/**\"]");
  if (!has_storage)
    fail(node.at, shown + " lacks storage: what each of its repositories may hold, as in storage: 50GiB");
  places_.push_back(node.at);
  quotas.push_back(std::move(quota));
}

void QuotasReader::finish() {
  constexpr std::size_t worth_comparing = 2000;
  if (!no_problems() || quotas.size() > worth_comparing) return;
  for (std::size_t i = 0; i < quotas.size(); ++i) {
    for (std::size_t j = 0; j < quotas.size(); ++j) {
      const bool before = quotas[j].bytes < quotas[i].bytes || (quotas[j].bytes == quotas[i].bytes && j < i);
      if (!before || !surely_covers(quotas[j].repositories, quotas[i].repositories, PatternsOf::repositories))
        continue;
      warn(places_[i], printable(quotas[i].shown(i)) + " never decides: " + printable(quotas[j].shown(j)) +
                           " speaks of all its repositories and is not larger, and the smallest decides");
      break;
    }
  }
}

}  // namespace stele::policy
