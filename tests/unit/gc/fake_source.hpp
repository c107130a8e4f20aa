#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gc/blob_source.hpp"
#include "tests/support/registry_fixture.hpp"

namespace stele::gc_test {

// An upstream that has what a test gave it.
class FakeSource final : public gc::BlobSource {
 public:
  std::optional<std::string> content;
  bool fails = false;
  std::vector<RepositoryName> asked;

  Task<Result<std::optional<Found>>> open(const Digest&, const std::vector<RepositoryName>& names) override {
    asked = names;
    if (fails) co_return Error(Errc::unavailable, "the upstream does not answer");
    std::optional<Found> found;
    if (content) {
      found.emplace(Found{names.front(), std::make_unique<TextSource>(*content)});
    }
    co_return found;
  }
};

}  // namespace stele::gc_test
