#include "registry/ordering.hpp"

#include <nlohmann/json.hpp>

#include "policy/version.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {
namespace {

using nlohmann::json;

constexpr const char* version_key = "org.opencontainers.image.version";
constexpr const char* created_key = "org.opencontainers.image.created";
constexpr std::uint64_t largest_config = 4 * 1024 * 1024;
constexpr std::size_t most_children = 100;

json parsed(std::string_view text) {
  return json::parse(text.begin(), text.end(), nullptr, false);
}

// A text member of an object inside an object; empty when there is none.
std::string text_at(const json& object, const char* member, const char* key) {
  if (!object.is_object()) return {};
  const auto inner = object.find(member);
  if (inner == object.end() || !inner->is_object()) return {};
  const auto value = inner->find(key);
  return value == inner->end() || !value->is_string() ? std::string() : value->get<std::string>();
}

// Tools that build reproducibly write the epoch, or the first day that a zip file can hold, for "no time".
bool says_when(std::string_view created) {
  const auto time = parse_timestamp(created);
  constexpr std::int64_t first_of_zip = 315'532'800LL * 1'000'000;  // 1980-01-01T00:00:00Z, to the day
  constexpr std::int64_t day = 24LL * 3600 * 1'000'000;
  return !time || (time->microseconds > day &&
                   (time->microseconds < first_of_zip || time->microseconds >= first_of_zip + day));
}

void take(std::string& value, std::string& from, std::string read, const char* where) {
  if (!value.empty() || read.empty()) return;
  value = std::move(read);
  from = where;
}

// `where`: for people.
void fill(policy::Ordering& ordering, const json& object, const char* member, const char* where) {
  take(ordering.version, ordering.version_from, text_at(object, member, version_key), where);
  std::string created = text_at(object, member, created_key);
  if (says_when(created)) take(ordering.created, ordering.created_from, std::move(created), where);
}

bool complete(const policy::Ordering& ordering) {
  return !ordering.version.empty() && !ordering.created.empty();
}

std::optional<Digest> digest_of(const json& descriptor) {
  if (!descriptor.is_object()) return std::nullopt;
  const auto text = descriptor.find("digest");
  if (text == descriptor.end() || !text->is_string()) return std::nullopt;
  auto digest = Digest::parse(text->get_ref<const std::string&>());
  if (!digest) return std::nullopt;
  return std::move(*digest);
}

// What a rule compares is there and cannot be read: nobody may take that for "does not say" (I8).
Error unreadable(const RepositoryName& repository, const std::string& what, const std::string& why) {
  return Error(Errc::unavailable,
               "the version of the image cannot be read, and its tag's rule compares it: " + what + " in " +
                   repository.str() + ": " + why);
}

// The text of a blob; empty when the repository does not have it (I9).
Result<std::string> blob_text(const RegistryContext& context, const RepositoryName& repository,
                              const Digest& digest) {
  const auto known =
      context.database.read([&](sql::Session& session) -> Result<std::optional<catalog::BlobInfo>> {
        return catalog::find_blob_in(session, repository, digest);
      });
  const std::string what = "the image's configuration " + digest.str();
  if (!known) return unreadable(repository, what, known.error().message());
  if (!*known) return std::string();
  const std::uint64_t size = (*known)->size;
  if (size > largest_config) {
    return unreadable(repository, what,
                      "it has " + std::to_string(size) + " bytes, and at most " +
                          std::to_string(largest_config) + " are read; annotate the manifest instead");
  }
  const auto reader = context.blobs.open(digest);
  if (!reader) {
    if (reader.error().code() == Errc::blob_unknown) context.quarantine.suspect(digest);
    return unreadable(repository, what, reader.error().message() + "; push it again if it is lost");
  }
  std::string text(size, '\0');
  const auto got = (*reader)->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size())));
  if (!got) return unreadable(repository, what, got.error().message());
  if (*got != text.size()) {
    context.quarantine.suspect(digest);
    return unreadable(repository, what, "its file is too short; push it again");
  }
  return text;
}

// buildkit's attestations are listed beside the images.
bool is_attestation(const json& entry) {
  if (text_at(entry, "annotations", "vnd.docker.reference.type") == "attestation-manifest") return true;
  return text_at(entry, "platform", "os") == "unknown";
}

// Empty when the repository does not have it.
Result<std::string> manifest_text(const RegistryContext& context, const RepositoryName& repository,
                                  const Digest& digest) {
  auto stored =
      context.database.read([&](sql::Session& session) -> Result<std::optional<catalog::StoredManifest>> {
        return catalog::manifest_by_digest(session, repository, digest);
      });
  if (!stored) return unreadable(repository, "manifest " + digest.str(), stored.error().message());
  return *stored ? std::move((*stored)->bytes) : std::string();
}

// The version label in the configuration of an image that is here; empty: it has none, or is not here.
Result<std::string> label_of(const RegistryContext& context, const RepositoryName& repository,
                             const Digest& manifest) {
  const auto text = manifest_text(context, repository, manifest);
  if (!text) return text.error();
  const json image = parsed(*text);
  if (!image.is_object() || !image.contains("config")) return std::string();
  const auto config = digest_of(image["config"]);
  if (!config) return std::string();
  const auto content = blob_text(context, repository, *config);
  if (!content) return content.error();
  const json configuration = parsed(*content);
  if (!configuration.is_object() || !configuration.contains("config")) return std::string();
  return text_at(configuration["config"], "Labels", version_key);
}

// "24.04" of "docker.io/library/ubuntu:24.04"; empty: there is no tag.
std::string tag_in(const std::string& name) {
  const std::size_t colon = name.rfind(':');
  if (colon == std::string::npos || name.find('/', colon) != std::string::npos) return {};
  return name.substr(colon + 1, name.find('@', colon) - colon - 1);
}

// Is the version the base image's, by its name or, where it is here too, by its label (image-spec,
// annotations.md)?
Result<bool> is_of_base(const RegistryContext& context, const RepositoryName& repository,
                        const json& manifest, const json& config, const std::string& version) {
  const auto said = [&](const char* key) {
    std::string value = text_at(manifest, "annotations", key);
    return value.empty() ? text_at(config, "Labels", key) : value;
  };
  if (tag_in(said("org.opencontainers.image.base.name")) == version) return true;
  const auto base = Digest::parse(said("org.opencontainers.image.base.digest"));
  if (!base) return false;
  auto label = label_of(context, repository, *base);
  if (!label) return label.error();
  return *label == version;
}

Result<policy::Ordering> of_image(const RegistryContext& context, const RepositoryName& repository,
                                  const json& manifest) {
  policy::Ordering ordering;
  fill(ordering, manifest, "annotations", "annotation of the manifest");
  if (complete(ordering) || !manifest.is_object() || !manifest.contains("config")) return ordering;
  if (const auto config = digest_of(manifest["config"])) {
    const auto text = blob_text(context, repository, *config);
    if (!text) return text.error();
    const json content = parsed(*text);
    if (!content.is_object()) return ordering;
    if (content.contains("config")) {
      const bool own_version = !ordering.version.empty();
      fill(ordering, content["config"], "Labels", "label of the configuration");
      // Labels are inherited: one that the base image has too says nothing of this one.
      if (!own_version && !ordering.version.empty()) {
        auto inherited = is_of_base(context, repository, manifest, content["config"], ordering.version);
        if (!inherited) return inherited.error();
        if (*inherited) ordering.version = ordering.version_from = {};
      }
    }
    // What every build writes, also without labels (image-spec, config.md).
    if (content.contains("created") && content["created"].is_string()) {
      std::string created = content["created"].get<std::string>();
      if (says_when(created))
        take(ordering.created, ordering.created_from, std::move(created), "created of the configuration");
    }
  }
  return ordering;
}

// What all of them say; empty when they do not agree.
std::string agreed(const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    if (value != values.front()) return {};
  }
  return values.empty() ? std::string() : values.front();
}

}  // namespace

Result<policy::Ordering> read_ordering(const RegistryContext& context, const RepositoryName& repository,
                                       std::string_view manifest_bytes) {
  const json manifest = parsed(manifest_bytes);
  if (!manifest.is_object() || !manifest.contains("manifests"))
    return of_image(context, repository, manifest);
  policy::Ordering own;
  fill(own, manifest, "annotations", "annotation of the index");
  const json& entries = manifest["manifests"];
  if (complete(own) || !entries.is_array() || entries.size() > most_children) return own;
  std::vector<std::string> versions, creations;
  for (const json& entry : entries) {
    if (is_attestation(entry)) continue;
    Result<policy::Ordering> child = policy::Ordering();
    if (const auto digest = digest_of(entry)) {
      const auto text = manifest_text(context, repository, *digest);
      if (!text) return text.error();
      child = of_image(context, repository, parsed(*text));
      if (!child) return child.error();
    }
    versions.push_back(child->version);
    creations.push_back(child->created);
  }
  take(own.version, own.version_from, agreed(versions), "all images of the index");
  take(own.created, own.created_from, agreed(creations), "all images of the index");
  return own;
}

Result<policy::Ordering> read_ordering(const RegistryContext& context, const RepositoryName& repository,
                                       const Digest& manifest) {
  const auto text = manifest_text(context, repository, manifest);
  if (!text) return text.error();
  return read_ordering(context, repository, *text);
}

void prefer_tags(sql::Session& session, catalog::ManifestId manifest, policy::Ordering& ordering) {
  constexpr std::int64_t most_tags = 100;
  std::string highest;
  for (const Tag& tag : catalog::tags_of_manifest(session, manifest, most_tags)) {
    if (!policy::is_full_version(tag.str())) continue;
    if (highest.empty() || policy::compare_versions(highest, tag.str()).value_or(0) < 0) highest = tag.str();
  }
  if (highest.empty()) return;
  ordering.version = highest;
  ordering.version_from = "its tag";
}

}  // namespace stele
