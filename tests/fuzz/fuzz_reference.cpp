// Names against the specification's own regular expressions, run by RE2.

#include <re2/re2.h>

#include "base/reference.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace stele;
using namespace stele::fuzz;

// distribution-spec, "Pulling manifests"; image-spec descriptor.md, "Registered algorithms".
bool matches(std::string_view text, const RE2& grammar) {
  return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), grammar);
}

template <class Name>
void check(const Result<Name>& parsed, std::string_view text, bool valid, Errc refusal) {
  FUZZ_CHECK(parsed.has_value() == valid);
  if (!parsed) return check_error(parsed.error(), refusal);
  FUZZ_CHECK(parsed->str() == text);
  FUZZ_CHECK(Name::parse(parsed->str())->str() == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Latin-1: bytes are bytes, whether they are UTF-8 or not.
  static const RE2 name_grammar(R"([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*)",
                                RE2::Latin1);
  static const RE2 tag_grammar(R"([a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})", RE2::Latin1);
  static const RE2 digest_grammar(R"(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})", RE2::Latin1);
  static const RE2 upload_grammar(R"([a-f0-9]{32})", RE2::Latin1);

  const std::string_view text = text_of(data, size);
  check(RepositoryName::parse(text), text, size <= 255 && matches(text, name_grammar), Errc::name_invalid);
  check(Tag::parse(text), text, matches(text, tag_grammar), Errc::tag_invalid);
  check(Digest::parse(text), text, matches(text, digest_grammar), Errc::digest_invalid);
  check(UploadId::parse(text), text, matches(text, upload_grammar), Errc::upload_unknown);

  const bool colon = text.find(':') != std::string_view::npos;
  const auto reference = Reference::parse(text);
  check(reference, text, matches(text, colon ? digest_grammar : tag_grammar),
        colon ? Errc::digest_invalid : Errc::tag_invalid);
  if (reference)
    FUZZ_CHECK((reference->digest() != nullptr) == colon && (reference->tag() != nullptr) != colon);

  if (const auto digest = Digest::parse(text)) {
    FUZZ_CHECK(std::string(to_string(digest->algorithm())) + ":" + std::string(digest->hex()) == text);
    FUZZ_CHECK(digest->algorithm() == *parse_digest_algorithm(text.substr(0, text.find(':'))));
  }
  return 0;
}
