#include "gc/lifecycle/image_labels.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <set>

#include "base/manifest.hpp"

namespace stele::gc {
namespace {

using nlohmann::json;
using policy::RowIndex;

constexpr std::uint64_t largest_config = 4 * 1024 * 1024;
constexpr std::size_t longest_value = 4096;

using Labels = std::map<std::string, std::string>;

void take(const json& object, const std::set<std::string>& keys, Labels& labels) {
  if (!object.is_object()) return;
  for (const std::string& key : keys) {
    const auto value = object.find(key);
    if (value != object.end() && value->is_string() &&
        value->get_ref<const std::string&>().size() <= longest_value)
      labels.emplace(key, value->get<std::string>());
  }
}

json parsed(std::string_view text) {
  return json::parse(text.begin(), text.end(), nullptr, false);
}

std::optional<std::string> blob_text(const RegistryContext& context, const Digest& digest,
                                     std::uint64_t size) {
  if (size > largest_config) return std::nullopt;
  const auto reader = context.blobs.open(digest);
  if (!reader || (*reader)->size() != size) return std::nullopt;
  std::string text(size, '\0');
  const auto got = (*reader)->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size())));
  if (!got || *got != text.size()) return std::nullopt;
  return text;
}

// Nothing: not known.
std::optional<Labels> labels_of(const RegistryContext& context, const std::set<std::string>& keys,
                                sql::Session& session, const RepositoryView& view, const Digest& digest) {
  const auto stored = catalog::manifest_by_digest(session, view.name, digest);
  if (!stored || !*stored) return std::nullopt;
  const auto manifest = Manifest::parse((*stored)->media_type, (*stored)->bytes);
  if (!manifest) return std::nullopt;
  Labels labels;
  if (!manifest->annotations().empty()) take(parsed(manifest->annotations()), keys, labels);
  if (!manifest->config() || labels.size() == keys.size()) return labels;
  const auto blob = catalog::find_blob_in(session, view.name, manifest->config()->digest);
  const auto text = blob ? blob_text(context, manifest->config()->digest, blob->size) : std::nullopt;
  if (!text) return std::nullopt;
  const json config = parsed(*text);
  if (config.is_object() && config.contains("config") && config["config"].is_object() &&
      config["config"].contains("Labels"))
    take(config["config"]["Labels"], keys, labels);
  return labels;
}

std::set<std::string> keys_of(const std::vector<const policy::Lifecycle::Rule*>& rules) {
  std::set<std::string> keys;
  for (const policy::Lifecycle::Rule* rule : rules) {
    for (const auto* entries : {&rule->keep, &rule->expire}) {
      for (const policy::Lifecycle::Entry& entry : *entries) {
        for (const policy::LabelSelector& label : entry.selects.labels) keys.insert(label.key);
      }
    }
  }
  return keys;
}

}  // namespace

void add_labels(const RegistryContext& context, const std::vector<const policy::Lifecycle::Rule*>& rules,
                sql::Session& session, RepositoryView& view) {
  const std::set<std::string> keys = keys_of(rules);
  policy::Snapshot& snapshot = view.snapshot;
  std::map<std::string, RowIndex> texts;
  for (std::size_t i = 0; i < snapshot.texts.size(); ++i)
    texts.emplace(snapshot.texts[i], static_cast<RowIndex>(i));
  const auto text = [&](const std::string& value) {
    const auto [place, fresh] = texts.try_emplace(value, static_cast<RowIndex>(snapshot.texts.size()));
    if (fresh) snapshot.texts.push_back(value);
    return place->second;
  };
  for (std::size_t i = 0; i < snapshot.manifests.size(); ++i) {
    const auto digest = Digest::parse(view.digests.text(static_cast<RowIndex>(i)));
    const auto labels = digest ? labels_of(context, keys, session, view, *digest) : std::nullopt;
    if (!labels) continue;
    policy::SnapshotManifest& manifest = snapshot.manifests[i];
    manifest.flags |= policy::SnapshotManifest::labels_known;
    manifest.labels = {static_cast<std::uint32_t>(snapshot.labels.size()),
                       static_cast<std::uint32_t>(labels->size())};
    for (const auto& [key, value] : *labels) snapshot.labels.push_back({text(key), text(value)});
  }
}

}  // namespace stele::gc
