#include "tests/unit/gc/histories/contents.hpp"

#include <stdexcept>

#include "base/media_type.hpp"
#include "tests/support/catch.hpp"

namespace stele::histories_test {
namespace {

std::string descriptor(std::string_view type, const std::string& digest, std::size_t size) {
  return R"({"mediaType":")" + std::string(type) + R"(","digest":")" + digest + R"(","size":)" +
         std::to_string(size) + "}";
}

class Maker {
 public:
  std::size_t image(std::vector<std::string> layers, std::optional<std::size_t> subject = {},
                    std::optional<std::size_t> signs = {}) {
    const std::string config = R"({"number":)" + std::to_string(made_.size() / 2) + "}";
    std::string bytes =
        R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_manifest) + R"(","config":)" +
        descriptor("application/vnd.oci.image.config.v1+json", digest_of(config).str(), config.size()) +
        R"(,"layers":[)";
    for (std::size_t i = 0; i < layers.size(); ++i) {
      bytes += (i > 0 ? "," : "") + descriptor("application/vnd.oci.image.layer.v1.tar",
                                               digest_of(layers[i]).str(), layers[i].size());
    }
    bytes += "]";
    if (subject) {
      const Content& of = made_[*subject];
      bytes += R"(,"subject":)" + descriptor(type_of(of), of.digest.str(), of.bytes.size());
    }
    bytes += R"(,"annotations":{"number":")" + std::to_string(made_.size()) + R"("}})";
    layers.push_back(config);
    return add({bytes, digest_of(bytes), std::move(layers), {}, subject, signs});
  }

  std::size_t index(std::vector<std::size_t> entries) {
    std::string bytes =
        R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) + R"(","manifests":[)";
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const Content& entry = made_[entries[i]];
      bytes += (i > 0 ? "," : "") + descriptor(type_of(entry), entry.digest.str(), entry.bytes.size());
    }
    bytes += "]}";
    return add({bytes, digest_of(bytes), {}, std::move(entries)});
  }

  std::vector<Content> made() && { return std::move(made_); }

 private:
  static std::string_view type_of(const Content& content) {
    return content.entries.empty() ? media_type::oci_manifest : media_type::oci_index;
  }
  std::size_t add(Content content) {
    made_.push_back(std::move(content));
    return made_.size() - 1;
  }
  std::vector<Content> made_;
};

std::vector<Content> make() {
  Maker maker;
  std::vector<std::size_t> images;
  for (int i = 0; i < 10; ++i)
    images.push_back(maker.image({"layer " + std::to_string(i), "layer " + std::to_string(i / 3 * 3)}));
  const std::size_t pair = maker.index({images[0], images[1]});
  const std::size_t three = maker.index({images[1], images[2], images[3]});
  maker.index({images[4], images[5]});
  const std::size_t nested = maker.index({pair, images[6]});
  const std::size_t sbom = maker.image({"sbom of an index"}, pair);
  maker.image({"sbom of an image"}, images[4]);
  maker.image({"what refers to what refers"}, sbom);
  maker.image({"layer 7", "sbom of another"}, images[7]);
  maker.image({"attestation of the nested one"}, nested);
  for (const std::size_t of : {images[0], images[5], three, nested, sbom})
    maker.image({"signature of " + std::to_string(of)}, {}, of);
  return std::move(maker).made();
}

}  // namespace

Digest digest_of(const std::string& bytes) {
  return Digest::of(DigestAlgorithm::sha256, bytes);
}

const std::vector<Content>& contents() {
  static const std::vector<Content> all = [] {
    std::vector<Content> made = make();
    // Two that share a slot of the leases (registry/leases.hpp) would keep each other: the model knows
    // nothing of that.
    std::map<std::string, std::string> slots;
    const auto take = [&](const Digest& digest) {
      const auto [at, fresh] = slots.emplace(digest.hex().substr(0, 5), digest.str());
      REQUIRE((fresh || at->second == digest.str()));
    };
    for (const Content& content : made) {
      take(content.digest);
      for (const std::string& blob : content.blobs) take(digest_of(blob));
    }
    return made;
  }();
  return all;
}

std::string signature_tag(std::size_t content) {
  return "sha256-" + std::string(contents()[content].digest.hex()) + ".sig";
}

std::optional<std::size_t> signed_by(const std::string& tag) {
  static const std::map<std::string, std::size_t> known = [] {
    std::map<std::string, std::size_t> tags;
    for (std::size_t i = 0; i < contents().size(); ++i) tags.emplace(signature_tag(i), i);
    return tags;
  }();
  const auto found = known.find(tag);
  return found == known.end() ? std::nullopt : std::optional(found->second);
}

std::size_t place_of(const std::string& digest) {
  static const std::map<std::string, std::size_t> known = [] {
    std::map<std::string, std::size_t> places;
    for (std::size_t i = 0; i < contents().size(); ++i) places.emplace(contents()[i].digest.str(), i);
    return places;
  }();
  const auto found = known.find(digest);
  // Catch2's macros are not for several threads.
  if (found == known.end()) throw std::logic_error("no history pushed " + digest);
  return found->second;
}

bool lists(std::size_t index, std::size_t content) {
  const auto& entries = contents()[index].entries;
  return std::find(entries.begin(), entries.end(), content) != entries.end();
}

}  // namespace stele::histories_test
