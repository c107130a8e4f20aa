#pragma once
// Upload sessions of one repository, and the calls that tests make most.

#include <string>

#include "tests/support/registry_fixture.hpp"

namespace stele::uploads_test {

inline const auto repository = RepositoryName::parse("team/app").value();
inline constexpr auto sha256 = DigestAlgorithm::sha256;

inline Errc code(const auto& result) {
  return result ? Errc{-1} : result.error().code();
}

inline std::string content(std::size_t size, unsigned seed = 1) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return text;
}

struct UploadFixture : RegistryFixture {
  // The wall and the boot clock go on together, as they do.
  void pass(std::int64_t seconds) {
    clock.advance(seconds);
    boot.advance(seconds);
  }
  using RegistryFixture::RegistryFixture;
  UploadId start(DigestAlgorithm algorithm = sha256) {
    return uploads->start(repository, actor, algorithm).value();
  }
  Result<std::uint64_t> append(const UploadId& id, std::string text, std::optional<ChunkRange> range = {},
                               bool announced = true, bool breaks = false) {
    TextSource source(std::move(text), announced, breaks);
    return sync_wait(uploads->append(repository, id, source, range, actor));
  }
  Result<void> finish(const UploadId& id, const Digest& digest, std::string text = "",
                      std::optional<ChunkRange> range = {}) {
    TextSource source(std::move(text));
    return sync_wait(uploads->finish(repository, id, source, range, digest, actor));
  }
  Result<std::uint64_t> offset(const UploadId& id) {
    return sync_wait(uploads->offset(repository, id, actor));
  }
  std::string stored(const Digest& digest) {
    const auto blob = registry->blob(repository, digest);
    REQUIRE(blob.has_value());
    std::string text(blob->size, '\0');
    REQUIRE(blob->reader->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size()))).value() ==
            text.size());
    return text;
  }
};

}  // namespace stele::uploads_test
