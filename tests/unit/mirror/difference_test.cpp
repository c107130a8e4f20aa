// What a tag would bring, told from two manifests.

#include "mirror/difference.hpp"

#include "base/media_type.hpp"
#include "tests/support/catch.hpp"

namespace stele::mirror::difference_test {
namespace {

std::string digest_of(const std::string& seed) {
  return Digest::of(DigestAlgorithm::sha256, seed).str();
}

ManifestText text(std::string_view media_type, std::string bytes) {
  Digest digest = Digest::of(DigestAlgorithm::sha256, bytes);
  return {std::move(digest), std::string(media_type), std::move(bytes)};
}

std::string descriptor(const std::string& seed, int size, const std::string& more = "") {
  return R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" + digest_of(seed) +
         R"(","size":)" + std::to_string(size) + more + "}";
}

ManifestText image(const std::vector<std::string>& layers, const std::string& annotations = "{}") {
  std::string list;
  for (const std::string& layer : layers) list += (list.empty() ? "" : ",") + descriptor(layer, 100);
  return text(media_type::oci_manifest, R"({"schemaVersion":2,"config":)" + descriptor("config", 7) +
                                            R"(,"layers":[)" + list + R"(],"annotations":)" + annotations +
                                            "}");
}

// "linux/amd64=a": a platform and the seed of its digest.
ManifestText index(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string list;
  for (const auto& [platform, seed] : entries) {
    const std::string more = platform.empty() ? "" : R"(,"platform":)" + platform;
    list += (list.empty() ? "" : ",") +
            (R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" + digest_of(seed) +
             R"(","size":1)" + more + "}");
  }
  return text(media_type::oci_index, R"({"schemaVersion":2,"manifests":[)" + list + "]}");
}

std::string platform(const std::string& architecture, const std::string& more = "") {
  return R"({"os":"linux","architecture":")" + architecture + '"' + more + "}";
}

// "linux/amd64 changed": one a line.
std::string told(const Result<std::vector<ImageChange>>& changes) {
  std::string lines;
  for (const ImageChange& change : changes.value()) {
    const char* const what = !change.held                     ? "added"
                             : !change.upstream               ? "removed"
                             : change.held == change.upstream ? "same"
                                                              : "changed";
    lines += change.platform + " " + what + "\n";
  }
  return lines;
}

TEST_CASE("mirror difference: layers that came, went and stayed, with bytes and base") {
  const auto before = image({"a", "b"}, R"({"org.opencontainers.image.base.name":"debian:12"})");
  const auto after = image({"b", "c", "d"}, R"({"org.opencontainers.image.base.name":"debian:13",
                                                "org.opencontainers.image.base.digest":"sha256:1"})");
  const auto changes = compare(before, after);
  REQUIRE(changes.has_value());
  REQUIRE(changes->size() == 1);
  REQUIRE(changes->front().layers.has_value());
  const LayerChanges& layers = *changes->front().layers;
  CHECK(layers.kept == 1);
  CHECK(layers.added_count == 2);
  CHECK(layers.removed_count == 1);
  REQUIRE(layers.removed.size() == 1);
  CHECK(layers.removed.front().digest.str() == digest_of("a"));
  CHECK(layers.held_bytes == 207);
  CHECK(layers.upstream_bytes == 307);
  CHECK(layers.held_base == "debian:12");
  CHECK(layers.upstream_base == "debian:13@sha256:1");
}

TEST_CASE("mirror difference: more layers than are listed are counted") {
  std::vector<std::string> many;
  for (int i = 0; i < 150; ++i) many.push_back("layer " + std::to_string(i));
  const auto layers = compare_layers(image({}), image(many));
  REQUIRE(layers.has_value());
  CHECK(layers->added_count == 150);
  CHECK(layers->added.size() == LayerChanges::most_listed);
  CHECK(layers->kept == 0);
}

TEST_CASE("mirror difference: platforms of an index, without what is none") {
  const std::string unknown = R"({"os":"unknown","architecture":"unknown"})";
  const auto before = index(
      {{platform("amd64"), "a"}, {platform("arm", R"(,"variant":"v7")"), "b"}, {unknown, "c"}, {"", "d"}});
  const auto after = index(
      {{platform("arm", R"(,"variant":"v7")"), "b"}, {platform("amd64"), "A"}, {platform("riscv64"), "r"}});
  CHECK(told(compare(before, after)) == "linux/amd64 changed\nlinux/arm/v7 same\nlinux/riscv64 added\n");
  CHECK(told(compare(after, before)) == "linux/arm/v7 same\nlinux/amd64 changed\nlinux/riscv64 removed\n");
}

TEST_CASE("mirror difference: an image that becomes an index goes, and its platforms come") {
  CHECK(told(compare(image({"a"}), index({{platform("amd64"), "x"}}))) == " removed\nlinux/amd64 added\n");
  CHECK(told(compare(index({{platform("amd64"), "x"}}), image({"a"}))) == "linux/amd64 removed\n added\n");
}

TEST_CASE("mirror difference: what upstream writes steers no terminal, and what is no manifest is refused") {
  const auto changes = compare(index({}), index({{R"({"os":"linux","architecture":"a\u001b[31m"})", "x"}}));
  REQUIRE(changes.has_value());
  REQUIRE(changes->size() == 1);
  CHECK(changes->front().platform.find('\x1b') == std::string::npos);
  CHECK_FALSE(compare(image({}), text(media_type::oci_index, "{}")).has_value());
  CHECK_FALSE(compare_layers(image({}), index({})).has_value());
}

}  // namespace
}  // namespace stele::mirror::difference_test
