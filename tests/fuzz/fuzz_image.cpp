// An image as a cluster wrote it: what is read out of it is well-formed, and means the same when it is
// written down again.

#include "base/image_reference.hpp"
#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stele;
  const auto read = parse_image_reference(fuzz::text_of(data, size));
  if (!read) return 0;
  FUZZ_CHECK(read->name || (read->digest && read->host.empty()));
  FUZZ_CHECK(read->tag.has_value() != read->digest.has_value());
  FUZZ_CHECK(read->host.empty() ? !read->whole.has_value() : read->name.has_value());
  if (read->whole) FUZZ_CHECK(read->whole->str() == read->host + "/" + read->name->str());
  // REGISTRY/app names a host, registry/app does not: written down in lower case it is a name, or too long
  // for one.
  const bool marked = read->host.find_first_of(".:") != std::string::npos || read->host == "localhost";
  if (!read->host.empty() && !marked && !read->whole) return 0;
  std::string text = read->host.empty() ? "" : read->host + "/";
  if (read->name) text += read->name->str();
  if (read->tag) text += ":" + read->tag->str();
  if (read->digest) text += (read->name ? "@" : "") + read->digest->str();
  const auto again = parse_image_reference(text);
  FUZZ_CHECK(again.has_value());
  FUZZ_CHECK(again->digest == read->digest && again->tag == read->tag);
  if (read->host.empty() || marked) FUZZ_CHECK(again->host == read->host && again->name == read->name);
  return 0;
}
