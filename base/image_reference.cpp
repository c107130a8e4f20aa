#include "base/image_reference.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace stele {
namespace {

constexpr std::size_t longest_host = 261;  // a name and a port

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string_view without_scheme(std::string_view text) {
  const std::size_t end = text.find("://");
  if (end == std::string_view::npos || end == 0) return text;
  const std::string_view scheme = text.substr(0, end);
  const bool valid = std::all_of(scheme.begin(), scheme.end(), [](char c) {
    return is_alphanumeric(c) || c == '-' || c == '+' || c == '.';
  });
  return valid ? text.substr(end + 3) : text;
}

bool is_host(std::string_view part) {
  const bool possible =
      part.size() <= longest_host && std::all_of(part.begin(), part.end(), [](char c) {
        return is_alphanumeric(c) || std::string_view("-._:[]").find(c) != std::string_view::npos;
      });
  if (!possible) return false;
  return part == "localhost" || std::any_of(part.begin(), part.end(), [](char c) {
           return c == '.' || c == ':' || (c >= 'A' && c <= 'Z');
         });
}

std::optional<Digest> bare_digest(std::string_view text) {
  if (auto digest = Digest::parse(text)) return std::move(*digest);
  // A name of 64 hex digits is nobody's: docker has always refused it.
  if (text.size() != 64) return std::nullopt;
  auto digest = Digest::parse("sha256:" + std::string(text));
  if (!digest) return std::nullopt;
  return std::move(*digest);
}

std::optional<RepositoryName> name_of(std::string_view text) {
  auto name = RepositoryName::parse(text);
  if (!name) return std::nullopt;
  return std::move(*name);
}

}  // namespace

std::optional<ImageReference> parse_image_reference(std::string_view text) {
  std::string_view rest = trimmed(text, " \t\r\n");
  if (rest.size() > ImageReference::max_bytes) return std::nullopt;
  rest = without_scheme(rest);
  ImageReference reference;
  if ((reference.digest = bare_digest(rest))) return reference;

  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    auto digest = Digest::parse(rest.substr(at + 1));
    if (!digest) return std::nullopt;
    reference.digest = std::move(*digest);
    rest = rest.substr(0, at);
  }
  const std::size_t last_slash = rest.rfind('/');
  const std::size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && (last_slash == std::string_view::npos || colon > last_slash)) {
    auto tag = Tag::parse(rest.substr(colon + 1));
    if (!tag) return std::nullopt;
    if (!reference.digest) reference.tag = std::move(*tag);
    rest = rest.substr(0, colon);
  }
  if (!reference.digest && !reference.tag) reference.tag = Tag::parse("latest").value();

  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos && is_host(rest.substr(0, slash))) {
    reference.host = lower_case(rest.substr(0, slash));
    reference.whole = name_of(reference.host + std::string(rest.substr(slash)));
    rest = rest.substr(slash + 1);
  }
  reference.name = name_of(rest);
  if (!reference.name) return std::nullopt;
  return reference;
}

}  // namespace stele
