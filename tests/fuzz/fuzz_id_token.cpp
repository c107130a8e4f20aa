// What somebody shows as an ID token, and what an issuer answers: a line that is the header, a line that is
// the body, and a set of keys. As they stand, and in the form of a token.

#include <set>

#include "auth/base64.hpp"
#include "auth/id_token.hpp"
#include "auth/json_web_keys.hpp"
#include "base/printable.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace stele;

void check_token(const Result<auth::IdToken>& token) {
  if (!token) {
    fuzz::check_error(token.error(), Errc::unauthorized);
    FUZZ_CHECK(find_unprintable(token.error().message()) == std::string_view::npos);
    return;
  }
  FUZZ_CHECK(token->algorithm == "RS256" || token->algorithm == "ES256");
  FUZZ_CHECK(!token->issuer.empty() && !token->subject.empty() && token->subject.size() <= 255);
  FUZZ_CHECK(is_printable_line(token->subject));
  std::set<std::string> names;
  for (const Claim& claim : token->claims) FUZZ_CHECK(names.insert(claim.name).second);
  const auto holds = token->holds("here", 1'900'000'000, 60);
  if (holds) {
    FUZZ_CHECK(token->expires_at > 1'900'000'000 - 60);
  } else {
    fuzz::check_error(holds.error(), Errc::unauthorized);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  check_token(auth::IdToken::parse(text));
  (void)auth::looks_like_token(text);
  (void)auth::issuer_in(text);

  std::string_view rest = text;
  const std::string_view header = fuzz::take_line(rest), body = fuzz::take_line(rest);
  const std::string token =
      auth::base64url_encode(header) + "." + auth::base64url_encode(body) + "." + auth::base64url_encode("s");
  FUZZ_CHECK(auth::looks_like_token(token) == header.starts_with('{') || token.size() > 16 * 1024);
  const auto parsed = auth::IdToken::parse(token);
  check_token(parsed);
  if (parsed) {
    FUZZ_CHECK(auth::issuer_in(token) == parsed->issuer);
    auth::IdToken whole = *parsed;
    if (const auto read = whole.read_claims(); !read) fuzz::check_error(read.error(), Errc::unauthorized);
    FUZZ_CHECK(whole.claims.size() <= 256);
  }

  const auto keys = auth::JsonWebKeys::parse(rest);
  if (!keys) {
    fuzz::check_error(keys.error(), Errc::parameter_invalid);
  } else if (parsed) {
    const auto outcome = keys->verify(parsed->algorithm, parsed->key, parsed->signed_text, parsed->signature);
    FUZZ_CHECK(outcome != auth::JsonWebKeys::Outcome::verified);
  }
  return 0;
}
