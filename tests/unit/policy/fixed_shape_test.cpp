#include "policy/fixed_shape.hpp"

#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

TEST_CASE("policy: versions, commits and dates are known by their shape, moving names are not") {
  struct Row {
    const char* tag;
    const char* shape;
  };
  const Row table[] = {
      {"1.4.2", "version"},
      {"v1.4.2-alpine", "version"},
      {"app-1.4.2", "version"},
      {"1.1.196.439", "version"},
      {"a1b2c3d", "commit"},
      {"main-a1b2c3d", "commit"},
      {"0123456789abcdef0123456789abcdef01234567", "commit"},
      {"20240131", "date"},
      {"2024-01-31", "date"},
      {"nightly-20240131", "date"},
      {"2024.01.31-2", "date"},
      {"20240131T101500Z", "date"},
      {"latest", ""},
      {"main", ""},
      {"1.4", ""},
      {"1", ""},
      {"1.4-alpine", ""},
      {"defaced", ""},   // a word
      {"12345678", ""},  // a pipeline's number
      {"20241331", ""},  // no month has this number
      {"abc123", ""},    // too short for a commit
      {"pr-1234567", ""},
      {"", ""},
  };
  for (const Row& row : table) {
    INFO(row.tag);
    CHECK(fixed_shape(row.tag) == row.shape);
  }
}

}  // namespace
}  // namespace stele::policy
