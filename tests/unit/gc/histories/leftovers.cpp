#include "tests/unit/gc/histories/leftovers.hpp"

#include <algorithm>

namespace stele::histories_test {
namespace {

using Names = std::set<std::pair<std::string, std::string>>;

std::string difference(const std::string& what, const Names& found, const Names& expected) {
  std::string text;
  const auto tell = [&](const Names& in, const Names& other, const char* how) {
    for (const auto& one : in) {
      if (!other.contains(one)) text += "\n" + what + how + one.first + " " + one.second;
    }
  };
  tell(found, expected, " too much: ");
  tell(expected, found, " missing: ");
  return text;
}

}  // namespace

std::string leftovers(World& world, const Model& model) {
  Names manifests, tags, links, blobs;
  for (const auto& [repository, in] : model.repositories) {
    for (const auto& [content, manifest] : in.manifests) {
      manifests.emplace(repository, contents()[content].digest.str());
      for (const std::string& blob : contents()[content].blobs) {
        links.emplace(repository, digest_of(blob).str());
        blobs.emplace("", digest_of(blob).str());
      }
    }
    for (const auto& [tag, binding] : in.tags) tags.emplace(repository, tag);
  }
  const Listing listing = world.listing();
  Names found_manifests, found_tags, rows, files;
  for (const auto& [key, pushed] : listing.manifests) found_manifests.insert(key);
  for (const auto& [key, binding] : listing.tags) found_tags.insert(key);
  for (const auto& [digest, state] : listing.blobs) rows.emplace("", digest);
  for (const std::string& digest : world.blob_files()) files.emplace("", digest);
  std::string text = difference("manifests", found_manifests, manifests) +
                     difference("tags", found_tags, tags) + difference("links", listing.links, links) +
                     difference("rows of blobs", rows, blobs) + difference("files", files, blobs);
  if (world.count("reviews") != 0) text += "\nsomething is still queued";
  if (world.count("trash") != 0) text += "\nsomething is still in the trash";
  if (world.files("uploads") != 0) text += "\nan upload was left";
  return text;
}

}  // namespace stele::histories_test
