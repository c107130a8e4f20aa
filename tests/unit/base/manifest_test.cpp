#include "base/manifest.hpp"

#include <nlohmann/json.hpp>

#include "base/media_type.hpp"
#include "base/strict_json.hpp"
#include "tests/support/catch.hpp"

namespace stele {
namespace {

using nlohmann::json;

const std::string some_digest = "sha256:" + std::string(64, 'a');

json descriptor(const std::string& type, json size = 5) {
  return {{"mediaType", type}, {"digest", some_digest}, {"size", size}};
}

json image() {
  return {{"schemaVersion", 2},
          {"mediaType", media_type::oci_manifest},
          {"config", descriptor("application/vnd.oci.image.config.v1+json")},
          {"layers", json::array({descriptor("application/vnd.oci.image.layer.v1.tar")})}};
}

json index() {
  return {{"schemaVersion", 2},
          {"mediaType", media_type::oci_index},
          {"manifests", json::array({descriptor(std::string(media_type::oci_manifest))})}};
}

Result<Manifest> parse(const json& body, std::string_view type) {
  return Manifest::parse(type, body.dump());
}

TEST_CASE("base: an image manifest") {
  const auto parsed = parse(image(), "application/vnd.oci.image.manifest.v1+json; charset=utf-8");
  REQUIRE(parsed.has_value());
  CHECK(parsed->kind() == Manifest::Kind::image);
  CHECK(parsed->layers().size() == 1);
  CHECK(parsed->config()->size == 5);
  CHECK(parsed->artifact_type() == "application/vnd.oci.image.config.v1+json");
  CHECK(parse(image(), "")->media_type() == media_type::oci_manifest);
}

TEST_CASE("base: an index, also of layers, as buildkit's cache export writes it") {
  json body = index();
  body["manifests"].push_back(descriptor("application/vnd.oci.image.layer.v1.tar+gzip"));
  body["artifactType"] = "application/x";
  const auto parsed = parse(body, media_type::oci_index);
  REQUIRE(parsed.has_value());
  CHECK(parsed->entries().size() == 2);
  CHECK(parsed->artifact_type() == "application/x");
  CHECK(parse(index(), media_type::oci_index)->artifact_type().empty());
}

// Go's encoding/json, which most clients read with, takes such a key for the known one, the last one wins,
// and folds two letters beyond ASCII (\u017f is an s, \u212a a k).
TEST_CASE("base: a manifest whose keys differ from known ones only in case is refused (I2)") {
  const auto refused = [](const json& body, std::string_view type) {
    const auto parsed = parse(body, type);
    return !parsed && parsed.error().message().find("only in case") != std::string::npos;
  };
  for (const char* key : {"LAYERS", "Manifests", "manife\u017fts", "Subject", "SchemaVersion", "mediatype",
                          "artifacttype", "Annotations", "CONFIG"}) {
    json body = image();
    body[key] = json::array();
    CHECK(refused(body, media_type::oci_manifest));
  }
  for (const char* key : {"Digest", "SIZE", "dige\u017ft", "MediaType", "Platform", "URLs", "Data"}) {
    json config = image(), layer = image(), subject = image(), entry = index();
    config["config"][key] = "x";
    layer["layers"][0][key] = "x";
    subject["subject"] = descriptor("a/b");
    subject["subject"][key] = "x";
    entry["manifests"][0][key] = "x";
    CHECK(refused(config, media_type::oci_manifest));
    CHECK(refused(layer, media_type::oci_manifest));
    CHECK(refused(subject, media_type::oci_manifest));
    CHECK(refused(entry, media_type::oci_index));
  }
  json platform = index();
  platform["manifests"][0]["platform"] = {{"os", "linux"}, {"OS", "windows"}};
  CHECK(refused(platform, media_type::oci_index));
  // Keys that nobody knows, and those of annotations, are whatever they like to be.
  json free = image();
  free["Unheard"] = 1;
  free["annotations"] = {{"Layers", "x"}, {"layers", "y"}};
  free["layers"][0]["annotations"] = {{"Digest", "x"}};
  CHECK(parse(free, media_type::oci_manifest).has_value());
}

TEST_CASE("base: a manifest has at most so many descriptors (I10)") {
  json most = image(), more = index();
  for (std::size_t i = 1; i < Manifest::most_descriptors; ++i) most["layers"].push_back(most["layers"][0]);
  CHECK(parse(most, media_type::oci_manifest).has_value());
  more["manifests"] = most["layers"];
  more["manifests"].push_back(most["layers"][0]);
  const auto refused = parse(more, media_type::oci_index);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message().find("10001 descriptors") != std::string::npos);
}

TEST_CASE("base: what is not a manifest is refused with a reason") {
  json both = image();
  both["manifests"] = json::array();
  json no_config = image();
  no_config.erase("config");
  json no_entries = index();
  no_entries.erase("manifests");
  json schema1{{"schemaVersion", 1}, {"name", "x"}, {"fsLayers", json::array()}};
  json no_size = image();
  no_size["layers"][0].erase("size");
  json bad_digest = image();
  bad_digest["config"]["digest"] = "sha256:nonsense";
  json bad_annotation = image();
  bad_annotation["annotations"] = {{"k", 1}};
  json list_subject = image();
  list_subject["subject"] = json::array();
  const auto refused = [](const json& body, std::string_view type) {
    const auto parsed = parse(body, type);
    return !parsed && parsed.error().code() == Errc::manifest_invalid && !parsed.error().message().empty();
  };
  CHECK(refused(both, media_type::oci_manifest));
  CHECK(refused(both, media_type::oci_index));
  CHECK(refused(no_config, media_type::oci_manifest));
  CHECK(refused(no_entries, media_type::oci_index));
  CHECK(refused(schema1, media_type::docker_schema1));
  CHECK(refused(schema1, media_type::docker_schema1_signed));
  CHECK(refused(schema1, ""));
  CHECK(refused(image(), media_type::docker_manifest));  // disagrees with its mediaType
  CHECK(refused(image(), "application/json"));
  CHECK(refused(no_size, media_type::oci_manifest));
  CHECK(refused(bad_digest, media_type::oci_manifest));
  CHECK(refused(bad_annotation, media_type::oci_manifest));
  CHECK(refused(list_subject, media_type::oci_manifest));
  CHECK(refused(json::array(), media_type::oci_manifest));
  for (const char* text : {"", "{", "null", "\"x\"", "{\"schemaVersion\":2", "{} {}"}) {
    CHECK_FALSE(Manifest::parse(media_type::oci_manifest, text).has_value());
  }
}

TEST_CASE("base: sizes are whole numbers that fit, also past 2^53") {
  const auto with_size = [](const std::string& size) {
    std::string text = image().dump();
    const std::string from = "\"size\":5";
    return Manifest::parse(media_type::oci_manifest,
                           text.replace(text.rfind(from), from.size(), "\"size\":" + size));
  };
  CHECK(with_size("9007199254740993")->layers()[0].size == 9007199254740993U);
  CHECK(with_size("9223372036854775807").has_value());
  for (const char* size :
       {"-1", "1.5", "1e3", "9223372036854775808", "18446744073709551616", "\"5\"", "null"}) {
    INFO(size);
    CHECK_FALSE(with_size(size).has_value());
  }
}

TEST_CASE("base: hostile JSON is refused (I10)") {
  std::string deep(10'000, '[');
  CHECK(parse_strict_json(deep, "manifest").error().message().find("nested deeper") != std::string::npos);
  std::string allowed = std::string(max_json_depth, '[') + std::string(max_json_depth, ']');
  CHECK(parse_strict_json(allowed, "manifest").has_value());
  CHECK_FALSE(parse_strict_json("[" + allowed + "]", "manifest").has_value());
  CHECK(parse_strict_json(R"({"a":1,"b":{"a":2}})", "manifest").has_value());
  CHECK_FALSE(parse_strict_json(R"({"a":1,"a":2})", "manifest").has_value());
  CHECK_FALSE(parse_strict_json(R"([{"x":{"a":1,"\u0061":2}}])", "manifest").has_value());
  CHECK_FALSE(parse_strict_json("\"\xff\"", "manifest").has_value());
  CHECK_FALSE(parse_strict_json("\"\xc0\xae\"", "manifest").has_value());
}

TEST_CASE("base: a referrer's descriptor is JSON whatever its annotations say") {
  json body = image();
  body["subject"] = descriptor(std::string(media_type::oci_manifest));
  body["artifactType"] = "application/\"quoted\"";
  body["annotations"] = {{"k\"\n", "v\\\t"}, {"ü", "ö"}};
  const std::string text = body.dump();
  const auto parsed = Manifest::parse(media_type::oci_manifest, text);
  REQUIRE(parsed.has_value());
  const Digest digest = Digest::of(DigestAlgorithm::sha256, text);
  const json made = json::parse(parsed->referrer_descriptor(digest, text.size()));
  CHECK(made["mediaType"] == media_type::oci_manifest);
  CHECK(made["digest"] == digest.str());
  CHECK(made["size"] == text.size());
  CHECK(made["artifactType"] == body["artifactType"]);
  CHECK(made["annotations"] == body["annotations"]);
}

}  // namespace
}  // namespace stele
