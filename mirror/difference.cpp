#include "mirror/difference.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/printable.hpp"
#include "base/strict_json.hpp"

namespace stele::mirror {
namespace {

using Json = nlohmann::json;

constexpr std::size_t most_platforms = 100;
constexpr std::size_t longest_text = 500;  // of what upstream may write as it likes

struct Entry {
  std::string platform;
  Digest digest;
};

// "linux/arm/v7", "windows/amd64 10.0.17763.1"; empty where it is none.
std::string platform_of(const Json& entry) {
  const auto found = entry.find("platform");
  if (found == entry.end() || !found->is_object()) return {};
  const std::string os = text_of(*found, "os");
  const std::string architecture = text_of(*found, "architecture");
  if (os.empty() || architecture.empty() || os == "unknown") return {};
  std::string text = os + '/' + architecture;
  if (const std::string variant = text_of(*found, "variant"); !variant.empty()) text += '/' + variant;
  if (const std::string version = text_of(*found, "os.version"); !version.empty()) text += ' ' + version;
  return printable(text, longest_text);
}

Result<std::vector<Entry>> entries_of(const ManifestText& text) {
  const auto manifest = Manifest::parse(text.media_type, text.bytes);
  if (!manifest) return manifest.error();
  std::vector<Entry> entries;
  if (manifest->kind() == Manifest::Kind::image) {
    entries.push_back({std::string(), text.digest});
    return entries;
  }
  const Json json = Json::parse(text.bytes, nullptr, false);
  for (const Json& item : json["manifests"]) {
    std::string platform = platform_of(item);
    auto digest = Digest::parse(text_of(item, "digest"));
    if (platform.empty() || !digest) continue;
    const bool known = std::any_of(entries.begin(), entries.end(),
                                   [&](const Entry& entry) { return entry.platform == platform; });
    if (!known) entries.push_back({std::move(platform), std::move(*digest)});
    if (entries.size() == most_platforms) break;
  }
  return entries;
}

std::string base_of(const Manifest& manifest) {
  const Json json = Json::parse(manifest.annotations(), nullptr, false);
  if (!json.is_object()) return {};
  std::string text = text_of(json, "org.opencontainers.image.base.name");
  if (const std::string digest = text_of(json, "org.opencontainers.image.base.digest"); !digest.empty())
    text += '@' + digest;
  return printable(text, longest_text);
}

std::uint64_t bytes_of(const Manifest& manifest) {
  std::uint64_t bytes = manifest.config() ? manifest.config()->size : 0;
  for (const Descriptor& layer : manifest.layers()) bytes += layer.size;
  return bytes;
}

Result<Manifest> image_of(const ManifestText& text) {
  auto manifest = Manifest::parse(text.media_type, text.bytes);
  if (manifest && manifest->kind() == Manifest::Kind::index)
    return Error(Errc::manifest_invalid, text.digest.str() + " is an index and not an image");
  return manifest;
}

// Those of `layers` that `other` has not; their number is returned.
std::size_t list_missing(const std::vector<Descriptor>& layers, const std::vector<Descriptor>& other,
                         std::vector<Descriptor>& into) {
  std::set<std::string> known;
  for (const Descriptor& layer : other) known.insert(layer.digest.str());
  std::size_t count = 0;
  for (const Descriptor& layer : layers) {
    if (known.contains(layer.digest.str())) continue;
    ++count;
    if (into.size() < LayerChanges::most_listed) into.push_back(layer);
  }
  return count;
}

}  // namespace

Result<LayerChanges> compare_layers(const ManifestText& held, const ManifestText& upstream) {
  const auto before = image_of(held);
  if (!before) return before.error();
  const auto after = image_of(upstream);
  if (!after) return after.error();
  LayerChanges changes;
  changes.held_bytes = bytes_of(*before);
  changes.upstream_bytes = bytes_of(*after);
  changes.added_count = list_missing(after->layers(), before->layers(), changes.added);
  changes.removed_count = list_missing(before->layers(), after->layers(), changes.removed);
  changes.kept = after->layers().size() - changes.added_count;
  changes.held_base = base_of(*before);
  changes.upstream_base = base_of(*after);
  return changes;
}

Result<std::vector<ImageChange>> compare(const ManifestText& held, const ManifestText& upstream) {
  const auto before = entries_of(held);
  if (!before) return before.error();
  const auto after = entries_of(upstream);
  if (!after) return after.error();
  std::vector<ImageChange> changes;
  for (const Entry& entry : *before) changes.push_back({entry.platform, entry.digest, {}, {}});
  for (const Entry& entry : *after) {
    const auto same = std::find_if(changes.begin(), changes.end(), [&](const ImageChange& change) {
      return change.held && change.platform == entry.platform;
    });
    if (same != changes.end()) {
      same->upstream = entry.digest;
    } else {
      changes.push_back({entry.platform, {}, entry.digest, {}});
    }
  }
  if (changes.size() == 1 && changes.front().platform.empty()) {
    auto layers = compare_layers(held, upstream);
    if (!layers) return layers.error();
    changes.front().layers = std::move(*layers);
  }
  return changes;
}

}  // namespace stele::mirror
