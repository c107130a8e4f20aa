// Manifests and indexes. The first line of the input is the Content-Type, the rest the body.

#include <nlohmann/json.hpp>

#include "base/manifest.hpp"
#include "base/media_type.hpp"
#include "base/strict_json.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace stele;
using namespace stele::fuzz;
using nlohmann::json;

void check_descriptor(const Descriptor& descriptor) {
  FUZZ_CHECK(Digest::parse(descriptor.digest.str()).has_value());
  FUZZ_CHECK(descriptor.size <= INT64_MAX);
}

// The body as an independent reading has it: what Manifest kept must be what it says.
void check_agrees(const Manifest& manifest, const json& body) {
  const bool index = manifest.kind() == Manifest::Kind::index;
  FUZZ_CHECK(index ? media_type::is_index(manifest.media_type())
                   : media_type::is_image(manifest.media_type()));
  FUZZ_CHECK(manifest.config().has_value() == !index);
  FUZZ_CHECK(index ? manifest.layers().empty() : manifest.entries().empty());
  const auto& list = index ? manifest.entries() : manifest.layers();
  const json stated = body.value(index ? "manifests" : "layers", json());
  FUZZ_CHECK(list.size() == (stated.is_null() ? 0 : stated.size()));
  for (std::size_t i = 0; i < list.size(); ++i) {
    check_descriptor(list[i]);
    FUZZ_CHECK(stated[i]["digest"] == json(list[i].digest.str()));
    FUZZ_CHECK(stated[i]["size"] == json(list[i].size));
  }
  if (manifest.config()) check_descriptor(*manifest.config());
  if (manifest.subject()) {
    check_descriptor(*manifest.subject());
    FUZZ_CHECK(body["subject"]["digest"] == json(manifest.subject()->digest.str()));
  } else {
    FUZZ_CHECK(!body.contains("subject") || body["subject"].is_null());
  }
}

// What Stele itself writes into a referrers list.
void check_referrer(const Manifest& manifest, std::string_view bytes, const json& body) {
  const Digest digest = Digest::of(DigestAlgorithm::sha256, bytes);
  const auto listed = parse_strict_json(manifest.referrer_descriptor(digest, bytes.size()), "referrer");
  FUZZ_CHECK(listed.has_value());
  FUZZ_CHECK((*listed)["mediaType"] == json(manifest.media_type()));
  FUZZ_CHECK((*listed)["digest"] == json(digest.str()));
  FUZZ_CHECK((*listed)["size"] == json(bytes.size()));
  FUZZ_CHECK(listed->value("artifactType", "") == manifest.artifact_type());
  const json annotations = body.value("annotations", json());
  FUZZ_CHECK(listed->value("annotations", json()) == annotations);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes = text_of(data, size);
  const std::string_view content_type = take_line(bytes);
  const auto manifest = Manifest::parse(content_type, bytes);
  if (!manifest) {
    check_error(manifest.error(), Errc::manifest_invalid);
    return 0;
  }
  // Accepted by the strict reader; a lenient one must then see the same document (no duplicate keys, no
  // trailing text).
  const json body = json::parse(bytes, nullptr, false);
  FUZZ_CHECK(body.is_object());
  check_agrees(*manifest, body);
  check_referrer(*manifest, bytes, body);
  return 0;
}
