#pragma once
// Names of things, with the grammar of the distribution specification ("Pulling manifests"). Each is parsed
// once at the edge; inside it is always well-formed.

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/digest.hpp"
#include "base/result.hpp"

namespace stele {

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*, at most 255 bytes.
class RepositoryName {
 public:
  static constexpr std::size_t max_bytes = 255;
  static Result<RepositoryName> parse(std::string_view text);  // name_invalid
  const std::string& str() const { return text_; }
  friend auto operator<=>(const RepositoryName&, const RepositoryName&) = default;

 private:
  explicit RepositoryName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
class Tag {
 public:
  static constexpr std::size_t max_bytes = 128;
  static Result<Tag> parse(std::string_view text);  // tag_invalid
  const std::string& str() const { return text_; }
  friend auto operator<=>(const Tag&, const Tag&) = default;

 private:
  explicit Tag(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// What stands after /manifests/: a digest when it contains a colon, otherwise a tag.
class Reference {
 public:
  static Result<Reference> parse(std::string_view text);  // digest_invalid, tag_invalid
  Reference(Tag tag) : value_(std::move(tag)) {}
  Reference(Digest digest) : value_(std::move(digest)) {}
  const Tag* tag() const { return std::get_if<Tag>(&value_); }
  const Digest* digest() const { return std::get_if<Digest>(&value_); }
  const std::string& str() const { return tag() ? tag()->str() : digest()->str(); }

 private:
  std::variant<Tag, Digest> value_;
};

// An upload session: 32 lower-case hex digits, 128 random bits. Knowing it is not a right: the repository's
// counts.
class UploadId {
 public:
  static UploadId random();
  static Result<UploadId> parse(std::string_view text);  // upload_unknown
  const std::string& str() const { return text_; }
  friend auto operator<=>(const UploadId&, const UploadId&) = default;

 private:
  explicit UploadId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace stele
