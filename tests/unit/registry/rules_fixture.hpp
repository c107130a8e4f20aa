#pragma once
// A registry whose rules a test changes, and images that nobody checks the references of.

#include <optional>
#include <string>
#include <vector>

#include "base/media_type.hpp"
#include "policy/load.hpp"
#include "registry/policies.hpp"
#include "tests/support/registry_fixture.hpp"

namespace stele::rules_test {

inline RepositoryName name(const std::string& text) {
  return RepositoryName::parse(text).value();
}
inline Tag tag(const std::string& text) {
  return Tag::parse(text).value();
}
inline Digest digest_of(const std::string& text) {
  return Digest::of(DigestAlgorithm::sha256, text);
}

// An image that nobody checks the references of.
inline std::string image(const std::vector<std::string>& layers, const std::string& version = "",
                         const std::string& created = "", const std::string& subject = "") {
  std::string text = R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_manifest) +
                     R"(","config":{"mediaType":"a/b","digest":")" + digest_of("{}").str() +
                     R"(","size":2},"layers":[)";
  for (std::size_t i = 0; i < layers.size(); ++i) {
    text += (i > 0 ? "," : "") + std::string(R"({"mediaType":"a/l","digest":")") +
            digest_of(layers[i]).str() + R"(","size":1})";
  }
  text += R"(],"annotations":{"x":"y")";
  if (!version.empty()) text += R"(,"org.opencontainers.image.version":")" + version + "\"";
  if (!created.empty()) text += R"(,"org.opencontainers.image.created":")" + created + "\"";
  text += "}";
  if (!subject.empty()) {
    text += R"(,"subject":{"mediaType":")" + std::string(media_type::oci_manifest) + R"(","digest":")" +
            subject + R"(","size":1})";
  }
  return text + "}";
}

// `attested`: with an attestation that is not there.
inline std::string index_of(const std::vector<std::string>& children, bool attested = false) {
  std::string bytes =
      R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) + R"(","manifests":[)";
  for (std::size_t i = 0; i < children.size(); ++i) {
    bytes += (i > 0 ? "," : "") + std::string(R"({"mediaType":")") + std::string(media_type::oci_manifest) +
             R"(","digest":")" + digest_of(children[i]).str() + R"(","size":)" +
             std::to_string(children[i].size()) + "}";
  }
  if (attested) {
    bytes += R"(,{"mediaType":"a/b","digest":")" + digest_of("attestation").str() +
             R"(","size":1,"platform":{"os":"unknown","architecture":"unknown"}})";
  }
  return bytes + "]}";
}

inline std::shared_ptr<const policy::Policy> rules(const std::string& text) {
  const auto loaded = policy::load_policy("version: 1\n" + text, "p.yaml");
  INFO(loaded.problems.to_string());
  REQUIRE(loaded.policy);
  return loaded.policy;
}

class RulesFixture : public RegistryFixture {
 public:
  explicit RulesFixture(ReferenceMode mode = ReferenceMode::sparse, const RegistryPlace& place = {})
      : RegistryFixture(mode, {}, place) {}

  void use(const std::shared_ptr<const policy::Policy>& next) {
    REQUIRE(sync_wait(Policies(context()).adopt(next, actor)).has_value());
  }
  void use(const std::string& text) { use(rules(text)); }

  // Empty, or the reason of the refusal.
  std::string push(const std::string& bytes, const std::vector<std::string>& tags,
                   const std::string& repository = "a", std::string_view type = media_type::oci_manifest) {
    const auto manifest = Manifest::parse(type, bytes);
    REQUIRE(manifest.has_value());
    std::vector<Tag> wanted;
    for (const auto& text : tags) wanted.push_back(tag(text));
    return outcome(sync_wait(registry->put_manifest(ManifestPush{
        name(repository), digest_of(bytes), wanted, *manifest, bytes, DigestAlgorithm::sha256, actor})));
  }
  std::string remove(const std::string& reference, const std::string& repository = "a") {
    return outcome(
        sync_wait(registry->delete_manifest(name(repository), Reference::parse(reference).value(), actor)));
  }
  std::optional<Digest> points_to(const std::string& text, const std::string& repository = "a") {
    const auto of = name(repository);
    const auto found = sync_wait(registry->manifest(of, tag(text)));
    if (found) return found->digest;
    return std::nullopt;
  }
  // An image whose version stands only in its configuration's label.
  std::string labelled(const std::string& version) {
    const std::string config =
        R"({"config":{"Labels":{"org.opencontainers.image.version":")" + version + R"("}}})";
    const Digest digest = push_blob("a", config);
    return R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_manifest) +
           R"(","config":{"mediaType":"a/b","digest":")" + digest.str() + R"(","size":)" +
           std::to_string(config.size()) + R"(},"layers":[]})";
  }
  std::string last_message;

  template <class T>
  std::string outcome(const Result<T>& result) {
    if (result) return {};
    const Error error = result.error();
    last_message = error.message();
    for (const auto& member : error.details()) {
      if (member.key == "reason") return member.value;
    }
    return std::string(to_string(error.code()));
  }
};

}  // namespace stele::rules_test
