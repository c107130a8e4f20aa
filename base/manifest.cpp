#include "base/manifest.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "base/media_type.hpp"
#include "base/printable.hpp"
#include "base/strict_json.hpp"

namespace stele {
namespace {

using nlohmann::json;

Error invalid(std::string message) {
  return Error(Errc::manifest_invalid, std::move(message));
}

const json* member(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

using Keys = std::span<const std::string_view>;
constexpr std::string_view manifest_keys[]{"schemaVersion", "mediaType", "artifactType", "config",
                                           "layers",        "manifests", "subject",      "annotations"};
constexpr std::string_view descriptor_keys[]{"mediaType",   "digest", "size",         "urls",
                                             "annotations", "data",   "artifactType", "platform"};
constexpr std::string_view platform_keys[]{"os",         "architecture", "variant",
                                           "os.version", "os.features",  "features"};

// As Go's encoding/json compares keys: ASCII, and two letters that fold to ASCII ones.
std::string folded(std::string_view key) {
  constexpr std::string_view long_s = "\u017f", kelvin = "\u212a";
  std::string text;
  for (std::size_t i = 0; i < key.size();) {
    if (key.substr(i).starts_with(long_s)) {
      text += 's';
      i += long_s.size();
    } else if (key.substr(i).starts_with(kelvin)) {
      text += 'k';
      i += kelvin.size();
    } else {
      const char c = key[i++];
      text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return text;
}

// What is one key for us and another for a client would make one digest mean two things (I2).
Result<void> check_keys(const json& object, Keys known, const std::string& where) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string small = folded(key);
    for (const std::string_view one : known) {
      if (small != folded(one)) continue;
      return invalid("manifest: " + where + "key " + in_quotes(key) + " differs from " + in_quotes(one) +
                     " only in case, so that clients would read something else than this registry; leave it "
                     "out");
    }
  }
  return {};
}

// A string member; empty when absent.
Result<std::string> text_member(const json& object, const char* key, const std::string& where) {
  const json* value = member(object, key);
  if (!value) return std::string();
  if (!value->is_string()) return invalid("manifest: " + where + key + " is not a string");
  return value->get<std::string>();
}

Result<Descriptor> parse_descriptor(const json& value, const std::string& where) {
  if (!value.is_object()) return invalid("manifest: " + where + " is not a descriptor (an object)");
  if (auto keys = check_keys(value, descriptor_keys, where + ": "); !keys) return keys.error();
  if (const json* platform = member(value, "platform"); platform && platform->is_object()) {
    if (auto keys = check_keys(*platform, platform_keys, where + ".platform: "); !keys) return keys.error();
  }
  auto type = text_member(value, "mediaType", where + ".");
  if (!type) return type.error();
  const json* digest_value = member(value, "digest");
  if (!digest_value || !digest_value->is_string()) return invalid("manifest: " + where + " has no digest");
  auto digest = Digest::parse(digest_value->get_ref<const std::string&>());
  if (!digest) return invalid("manifest: " + where + ".digest: " + digest.error().message());
  const json* size = member(value, "size");
  if (!size || !size->is_number_integer() ||
      (size->is_number_unsigned() ? size->get<std::uint64_t>() > INT64_MAX : size->get<std::int64_t>() < 0)) {
    return invalid("manifest: " + where + ".size is not a whole number of bytes");
  }
  return Descriptor{std::move(*type), std::move(*digest), size->get<std::uint64_t>()};
}

Result<std::vector<Descriptor>> parse_descriptors(const json& object, const char* key) {
  std::vector<Descriptor> descriptors;
  const json* list = member(object, key);
  if (!list) return descriptors;
  if (!list->is_array()) return invalid(std::string("manifest: ") + key + " is not a list");
  if (list->size() > Manifest::most_descriptors) {
    return invalid(std::string("manifest: ") + key + " lists " + std::to_string(list->size()) +
                   " descriptors; at most " + std::to_string(Manifest::most_descriptors) + " are taken");
  }
  descriptors.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto descriptor = parse_descriptor((*list)[i], std::string(key) + "[" + std::to_string(i) + "]");
    if (!descriptor) return descriptor.error();
    descriptors.push_back(std::move(*descriptor));
  }
  return descriptors;
}

// The type that header and body agree on.
Result<std::string> agreed_media_type(std::string_view content_type, const json& body) {
  const std::string header = media_type::essence(content_type);
  auto stated = text_member(body, "mediaType", "");
  if (!stated) return stated.error();
  const std::string& type = header.empty() ? *stated : header;
  if (type == media_type::docker_schema1 || type == media_type::docker_schema1_signed ||
      member(body, "schemaVersion") == nullptr || *member(body, "schemaVersion") == 1) {
    return invalid(
        "this is a Docker schema 1 manifest, or has no schemaVersion 2; push with a client from after 2017");
  }
  if (*member(body, "schemaVersion") != 2) return invalid("manifest: schemaVersion is not 2");
  if (type.empty())
    return invalid("the request has no Content-Type and the manifest no mediaType; send one of them");
  if (!stated->empty() && *stated != type) {
    return invalid("Content-Type is " + printable(type) + " but the manifest's mediaType is " +
                   printable(*stated));
  }
  if (!media_type::is_image(type) && !media_type::is_index(type)) {
    return invalid("manifests of type " + in_quotes(type) +
                   " are not supported; use an OCI image manifest or index, or their Docker schema 2 forms");
  }
  return type;
}

}  // namespace

std::vector<Digest> digests_of(const std::vector<Descriptor>& descriptors) {
  std::vector<Digest> digests;
  digests.reserve(descriptors.size());
  for (const Descriptor& descriptor : descriptors) digests.push_back(descriptor.digest);
  std::sort(digests.begin(), digests.end());
  digests.erase(std::unique(digests.begin(), digests.end()), digests.end());
  return digests;
}

Result<Manifest> Manifest::parse(std::string_view content_type, std::string_view bytes) {
  const auto body = parse_strict_json(bytes, "manifest");
  if (!body) return body.error();
  if (!body->is_object()) return invalid("manifest is not a JSON object");
  if (auto keys = check_keys(*body, manifest_keys, ""); !keys) return keys.error();
  auto type = agreed_media_type(content_type, *body);
  if (!type) return type.error();
  if (body->contains("manifests") && body->contains("layers")) {
    return invalid("manifest has both \"manifests\" and \"layers\"; it is either an index or an image");
  }

  Manifest manifest;
  manifest.kind_ = media_type::is_index(*type) ? Kind::index : Kind::image;
  manifest.media_type_ = std::move(*type);
  auto artifact_type = text_member(*body, "artifactType", "");
  if (!artifact_type) return artifact_type.error();
  manifest.artifact_type_ = std::move(*artifact_type);

  // What one client reads as an image and another as an index would be two things under one digest;
  // containerd refuses it too.
  const bool index = manifest.kind_ == Kind::index;
  if (const char* foreign = index ? "config" : "manifests"; member(*body, foreign)) {
    return invalid("manifest: " + std::string(index ? "an index" : "an image") + " has no \"" + foreign +
                   "\"");
  }

  if (!index) {
    const json* config = member(*body, "config");
    if (!config) return invalid("image manifest has no config");
    auto descriptor = parse_descriptor(*config, "config");
    if (!descriptor) return descriptor.error();
    if (manifest.artifact_type_.empty()) manifest.artifact_type_ = descriptor->media_type;
    manifest.config_ = std::move(*descriptor);
    auto layers = parse_descriptors(*body, "layers");
    if (!layers) return layers.error();
    manifest.layers_ = std::move(*layers);
  } else {
    if (!member(*body, "manifests")) return invalid("index has no \"manifests\" list");
    auto entries = parse_descriptors(*body, "manifests");
    if (!entries) return entries.error();
    manifest.entries_ = std::move(*entries);
  }

  if (const json* subject = member(*body, "subject")) {
    auto descriptor = parse_descriptor(*subject, "subject");
    if (!descriptor) return descriptor.error();
    manifest.subject_ = std::move(*descriptor);
  }
  if (const json* annotations = member(*body, "annotations")) {
    if (!annotations->is_object()) return invalid("manifest: annotations is not an object");
    for (const auto& [key, value] : annotations->items()) {
      if (!value.is_string()) return invalid("manifest: annotation " + in_quotes(key) + " is not a string");
    }
    manifest.annotations_ = annotations->dump();
  }
  return manifest;
}

std::string Manifest::referrer_descriptor(const Digest& digest, std::uint64_t size) const {
  std::string text = R"({"mediaType":)" + json(media_type_).dump() + R"(,"digest":")" + digest.str() +
                     R"(","size":)" + std::to_string(size);
  if (!artifact_type_.empty()) text += R"(,"artifactType":)" + json(artifact_type_).dump();
  if (!annotations_.empty()) text += R"(,"annotations":)" + annotations_;
  return text + '}';
}

}  // namespace stele
