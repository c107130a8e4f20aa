#pragma once
// What the histories push: few contents, which share layers and children, so that the same come and go again
// and again. Images, indexes (one of them nested), what refers to some, and signatures by tag.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.hpp"

namespace stele::histories_test {

struct Content {
  std::string bytes;
  Digest digest;
  std::vector<std::string> blobs;    // the contents of configuration and layers
  std::vector<std::size_t> entries;  // of an index: places in contents()
  std::optional<std::size_t> subject = {};
  std::optional<std::size_t> signs = {};  // it is pushed to this one's signature tag
};

// The same in every run. An entry stands before whatever lists it.
const std::vector<Content>& contents();

Digest digest_of(const std::string& bytes);

// "sha256-….sig"
std::string signature_tag(std::size_t content);
// The place of what a signature tag signs; nothing: it is no such tag.
std::optional<std::size_t> signed_by(const std::string& tag);
// The place of a digest; of one of contents().
std::size_t place_of(const std::string& digest);
// Whether the index has it for an entry.
bool lists(std::size_t index, std::size_t content);

}  // namespace stele::histories_test
