#pragma once
// A registry that has run for longer than a lease, with what the tests of gc/ do to it.

#include <span>
#include <string>

#include "gc/collector.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::gc_test {

using rules_test::name;
using rules_test::tag;

inline constexpr std::int64_t lease = Leases::default_seconds;

inline std::string image_of(const Digest& config, const std::string& note = "") {
  return R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_manifest) +
         R"(","config":{"mediaType":"a/b","digest":")" + config.str() +
         R"(","size":2},"layers":[],"annotations":{"n":")" + note + R"("}})";
}

// A registry that has just started, with a way to change rows.
class Started : public RegistryFixture {
 public:
  explicit Started(const RegistryPlace& place = {}) : RegistryFixture(ReferenceMode::strict, {}, place) {}

  template <class F>
  void write(F body) {
    const auto run = [&]() -> Task<Result<void>> {
      auto pending = writer->write({}, [&](sql::Tx& tx) -> Result<void> {
        body(tx);
        return {};
      });
      co_return co_await pending;
    };
    REQUIRE(sync_wait(run()).has_value());
  }
};

// A registry that has run for longer than a lease.
class Settled : public Started {
 public:
  explicit Settled(const RegistryPlace& place = {}) : Started(place) { clock.advance(lease + 1); }

  Result<PushedManifest> push_image(const std::string& bytes, const std::string& to = "v1",
                                    const std::string& repository = "a") {
    const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
    REQUIRE(manifest.has_value());
    return sync_wait(registry->put_manifest(
        ManifestPush{name(repository), tag(to), {}, *manifest, bytes, DigestAlgorithm::sha256, actor}));
  }

  bool delete_image(const Digest& digest, const std::string& repository = "a") {
    return sync_wait(registry->delete_manifest(name(repository), digest, actor)).has_value();
  }

  // Steps until nothing is due.
  gc::Collected collect() {
    gc::Collector collector(context());
    gc::Collected total;
    for (;;) {
      const auto step = sync_wait(collector.step());
      REQUIRE(step.has_value());
      if (step->reviews == 0) return total;
      total += *step;
    }
  }

  // Time goes on without anybody looking.
  gc::Collected collect_after(std::int64_t seconds) {
    clock.advance(seconds);
    return collect();
  }

  // What a pull gets; empty: no such blob.
  std::string content(const std::string& repository, const Digest& digest) {
    const auto found = registry->blob(name(repository), digest);
    if (!found) return "";
    std::string bytes(found->size, ' ');
    const auto read =
        found->reader->read_at(0, std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
    REQUIRE(read.has_value());
    return bytes;
  }

  bool has(const std::string& repository, const Digest& digest) {
    return registry->blob_size(name(repository), digest).has_value();
  }
  bool has_file(const Digest& digest) { return blobs->open(digest).has_value(); }
};

}  // namespace stele::gc_test
