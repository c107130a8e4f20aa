#include "registry/ordering.hpp"

#include <nlohmann/json.hpp>

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

void fill(policy::Ordering& ordering, const json& object, const char* member) {
  if (ordering.version.empty()) ordering.version = text_at(object, member, version_key);
  if (ordering.created.empty()) ordering.created = text_at(object, member, created_key);
  if (!says_when(ordering.created)) ordering.created.clear();
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
Result<std::string> blob_text(const RegistryParts& parts, const RepositoryName& repository,
                              const Digest& digest) {
  const auto known =
      parts.database.read([&](sql::Session& session) -> Result<std::optional<catalog::BlobInfo>> {
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
  const auto reader = parts.blobs.open(digest);
  if (!reader) {
    if (reader.error().code() == Errc::blob_unknown) parts.quarantine.suspect(digest);
    return unreadable(repository, what, reader.error().message() + "; push it again if it is lost");
  }
  std::string text(size, '\0');
  const auto got = (*reader)->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size())));
  if (!got) return unreadable(repository, what, got.error().message());
  if (*got != text.size()) {
    parts.quarantine.suspect(digest);
    return unreadable(repository, what, "its file is too short; push it again");
  }
  return text;
}

// buildkit's attestations are listed beside the images.
bool is_attestation(const json& entry) {
  if (text_at(entry, "annotations", "vnd.docker.reference.type") == "attestation-manifest") return true;
  return text_at(entry, "platform", "os") == "unknown";
}

Result<policy::Ordering> of_image(const RegistryParts& parts, const RepositoryName& repository,
                                  const json& manifest) {
  policy::Ordering ordering;
  fill(ordering, manifest, "annotations");
  if (complete(ordering) || !manifest.is_object() || !manifest.contains("config")) return ordering;
  if (const auto config = digest_of(manifest["config"])) {
    const auto text = blob_text(parts, repository, *config);
    if (!text) return text.error();
    const json content = parsed(*text);
    if (content.is_object() && content.contains("config")) fill(ordering, content["config"], "Labels");
    // What every build writes, also without labels (image-spec, config.md).
    if (ordering.created.empty() && content.is_object() && content.contains("created") &&
        content["created"].is_string()) {
      ordering.created = content["created"].get<std::string>();
      if (!says_when(ordering.created)) ordering.created.clear();
    }
  }
  return ordering;
}

// Empty when the repository does not have it.
Result<std::string> manifest_text(const RegistryParts& parts, const RepositoryName& repository,
                                  const Digest& digest) {
  auto stored =
      parts.database.read([&](sql::Session& session) -> Result<std::optional<catalog::StoredManifest>> {
        return catalog::manifest_by_digest(session, repository, digest);
      });
  if (!stored) return unreadable(repository, "manifest " + digest.str(), stored.error().message());
  return *stored ? std::move((*stored)->bytes) : std::string();
}

// What all of them say; empty when they do not agree.
std::string agreed(const std::vector<std::string>& values) {
  for (const std::string& value : values) {
    if (value != values.front()) return {};
  }
  return values.empty() ? std::string() : values.front();
}

}  // namespace

Result<policy::Ordering> read_ordering(const RegistryParts& parts, const RepositoryName& repository,
                                       std::string_view manifest_bytes) {
  const json manifest = parsed(manifest_bytes);
  if (!manifest.is_object() || !manifest.contains("manifests")) return of_image(parts, repository, manifest);
  policy::Ordering own;
  fill(own, manifest, "annotations");
  const json& entries = manifest["manifests"];
  if (complete(own) || !entries.is_array() || entries.size() > most_children) return own;
  std::vector<std::string> versions, creations;
  for (const json& entry : entries) {
    if (is_attestation(entry)) continue;
    Result<policy::Ordering> child = policy::Ordering();
    if (const auto digest = digest_of(entry)) {
      const auto text = manifest_text(parts, repository, *digest);
      if (!text) return text.error();
      child = of_image(parts, repository, parsed(*text));
      if (!child) return child.error();
    }
    versions.push_back(child->version);
    creations.push_back(child->created);
  }
  if (own.version.empty()) own.version = agreed(versions);
  if (own.created.empty()) own.created = agreed(creations);
  return own;
}

Result<policy::Ordering> read_ordering(const RegistryParts& parts, const RepositoryName& repository,
                                       const Digest& manifest) {
  const auto text = manifest_text(parts, repository, manifest);
  if (!text) return text.error();
  return read_ordering(parts, repository, *text);
}

}  // namespace stele
