#pragma once
// What a registry must know of a manifest: image-spec manifest.md and image-index.md, Docker schema 2. The
// bytes themselves are kept as they came and never rewritten.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"
#include "base/result.hpp"

namespace stele {

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;
};

// Each digest that these name, once and in order: 10,000 descriptors of one layer cost one query.
std::vector<Digest> digests_of(const std::vector<Descriptor>& descriptors);

// Immutable after parsing. Bounded by the size of the bytes it was parsed from.
class Manifest {
 public:
  enum class Kind { image, index };
  // Of layers or entries: each digest costs a query and a row when it is pushed.
  static constexpr std::size_t most_descriptors = 10'000;

  // `content_type` is the request's header, possibly with parameters, possibly empty (then the body's
  // mediaType counts). manifest_invalid for: JSON that strict_json.hpp refuses, an unknown type, Docker
  // schema 1, a mediaType that disagrees with the header, both `manifests` and `layers`, a key of the
  // manifest, of a descriptor or of its platform that differs from a known one only in case, or a descriptor
  // without a valid digest and size.
  static Result<Manifest> parse(std::string_view content_type, std::string_view bytes);

  Kind kind() const { return kind_; }
  const std::string& media_type() const { return media_type_; }
  // The artifact type under which a referrer is listed: `artifactType`, for images otherwise the config's
  // media type.
  const std::string& artifact_type() const { return artifact_type_; }
  const std::optional<Descriptor>& config() const { return config_; }
  const std::vector<Descriptor>& layers() const { return layers_; }
  // Entries of an index. Not every entry is a manifest: buildkit's cache export lists layers.
  const std::vector<Descriptor>& entries() const { return entries_; }
  const std::optional<Descriptor>& subject() const { return subject_; }
  // The `annotations` object as JSON text, or empty.
  const std::string& annotations() const { return annotations_; }

  // This manifest's entry in the referrers list of its subject, as JSON text (distribution-spec, "Listing
  // Referrers").
  std::string referrer_descriptor(const Digest& digest, std::uint64_t size) const;

 private:
  Manifest() = default;
  Kind kind_ = Kind::image;
  std::string media_type_;
  std::string artifact_type_;
  std::optional<Descriptor> config_;
  std::vector<Descriptor> layers_;
  std::vector<Descriptor> entries_;
  std::optional<Descriptor> subject_;
  std::string annotations_;
};

}  // namespace stele
