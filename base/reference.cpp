#include "base/reference.hpp"

#include "base/printable.hpp"
#include "base/random.hpp"

namespace stele {
namespace {

constexpr bool is_lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
constexpr bool is_word(char c) {
  return is_lower_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

// One path component: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_component(std::string_view text) {
  if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
  for (std::size_t i = 0; i < text.size();) {
    if (is_lower_alnum(text[i])) {
      ++i;
      continue;
    }
    const char separator = text[i];
    std::size_t run = 0;
    while (i < text.size() && text[i] == separator) ++i, ++run;
    const bool allowed = (separator == '.' && run == 1) || (separator == '_' && run <= 2) || separator == '-';
    if (!allowed || i == text.size() || !is_lower_alnum(text[i])) return false;
  }
  return true;
}

}  // namespace

Result<RepositoryName> RepositoryName::parse(std::string_view text) {
  if (text.size() > max_bytes) {
    return Error(Errc::name_invalid, "repository name " + in_quotes(text, 40) + " is " +
                                         std::to_string(text.size()) +
                                         " bytes long; at most 255 are allowed");
  }
  std::string_view rest = text;
  bool valid = !rest.empty();
  while (valid && !rest.empty()) {
    const std::size_t slash = rest.find('/');
    valid = is_component(rest.substr(0, slash)) && slash != rest.size() - 1;
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  }
  if (!valid) {
    return Error(Errc::name_invalid,
                 "repository name " + in_quotes(text, max_bytes) +
                     " is not valid; use lower-case letters, digits and single . _ __ or - "
                     "between them, components separated by /");
  }
  return RepositoryName(std::string(text));
}

Result<Tag> Tag::parse(std::string_view text) {
  bool valid = !text.empty() && text.size() <= max_bytes && is_word(text.front());
  for (std::size_t i = 1; valid && i < text.size(); ++i)
    valid = is_word(text[i]) || text[i] == '.' || text[i] == '-';
  if (!valid) {
    return Error(Errc::tag_invalid,
                 "tag " + in_quotes(text) +
                     " is not valid; use 1 to 128 letters, digits, _ . and -, not starting with . "
                     "or -");
  }
  return Tag(std::string(text));
}

Result<Reference> Reference::parse(std::string_view text) {
  if (text.find(':') != std::string_view::npos) {
    auto digest = Digest::parse(text);
    if (!digest) return digest.error();
    return Reference(std::move(*digest));
  }
  auto tag = Tag::parse(text);
  if (!tag) return tag.error();
  return Reference(std::move(*tag));
}

UploadId UploadId::random() {
  return UploadId(random_hex(16));
}

Result<UploadId> UploadId::parse(std::string_view text) {
  bool valid = text.size() == 32;
  for (std::size_t i = 0; valid && i < text.size(); ++i) {
    valid = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
  }
  if (!valid) return Error(Errc::upload_unknown, "upload session " + in_quotes(text) + " does not exist");
  return UploadId(std::string(text));
}

}  // namespace stele
