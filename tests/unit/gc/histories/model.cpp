#include "tests/unit/gc/histories/model.hpp"

#include <algorithm>
#include <tuple>

namespace stele::histories_test {
namespace {

const std::set<std::string>& blobs_of(std::size_t content) {
  static const std::vector<std::set<std::string>> digests = [] {
    std::vector<std::set<std::string>> all;
    for (const Content& one : contents()) {
      all.emplace_back();
      for (const std::string& blob : one.blobs) all.back().insert(digest_of(blob).str());
    }
    return all;
  }();
  return digests[content];
}

}  // namespace

bool Model::is_immutable(const std::string& tag) {
  return tag.starts_with("1.") || tag.starts_with("sha-");
}
bool Model::may_delete(const std::string& tag) {
  return !is_immutable(tag) && !signed_by(tag);
}

bool Model::has(const std::string& repository, std::size_t content) const {
  const auto found = repositories.find(repository);
  return found != repositories.end() && found->second.manifests.contains(content);
}

std::set<std::string> Model::tags_of(const std::string& repository, std::size_t content) const {
  std::set<std::string> tags;
  const auto found = repositories.find(repository);
  if (found == repositories.end()) return tags;
  for (const auto& [tag, binding] : found->second.tags) {
    if (binding.content == content) tags.insert(tag);
  }
  return tags;
}

bool Model::is_leased(const Digest& digest) const {
  if (now < settled_at) return true;
  const auto found = looked_at.find(digest.str());
  return found != looked_at.end() && now - found->second <= lease;
}

std::set<std::size_t> Model::indexes_listing(const std::string& repository, std::size_t content) const {
  std::set<std::size_t> found;
  for (std::size_t other = 0; other < contents().size(); ++other) {
    if (lists(other, content) && has(repository, other)) found.insert(other);
  }
  return found;
}

template <class Predicate>
bool Model::any_above(const std::string& repository, std::size_t content, Predicate predicate) const {
  std::set<std::size_t> seen{content};
  std::vector<std::size_t> open{content};
  const auto reach = [&](std::size_t next) {
    if (seen.insert(next).second) open.push_back(next);
  };
  while (!open.empty()) {
    const std::size_t next = open.back();
    open.pop_back();
    if (predicate(next)) return true;
    bool known = has(repository, next);
    for (const std::size_t index : indexes_listing(repository, next)) reach(index);
    for (const auto& [id, item] : trash) {
      if (item.repository != repository || !item.whole) continue;
      known = known || item.content == next;
      if (lists(item.content, next)) reach(item.content);
    }
    if (known && contents()[next].subject) reach(*contents()[next].subject);
  }
  return false;
}

bool Model::is_held(const std::string& repository) const {
  return std::any_of(holds.begin(), holds.end(),
                     [&](const auto& hold) { return hold.second.repository == repository; });
}

bool Model::is_protected_content(const std::string& repository, std::size_t content) const {
  return any_above(repository, content, [&](std::size_t reached) {
    return std::any_of(holds.begin(), holds.end(), [&](const auto& entry) {
      const Hold& hold = entry.second;
      return hold.repository == repository && (hold.content ? *hold.content == reached : hold.tag.empty());
    });
  });
}

bool Model::is_protected_use(const std::string& repository, std::size_t content) const {
  return any_above(repository, content, [&](std::size_t reached) {
    return std::any_of(in_use.begin(), in_use.end(),
                       [&](const auto& cluster) { return cluster.second.contains({repository, reached}); });
  });
}

bool Model::is_held_name(const std::string& repository, const std::string& tag) const {
  return std::any_of(holds.begin(), holds.end(), [&](const auto& entry) {
    const Hold& hold = entry.second;
    return hold.repository == repository && (hold.tag == tag || (!hold.content && hold.tag.empty()));
  });
}

bool Model::is_needed(const std::string& repository, const std::string& blob_digest) const {
  const auto found = repositories.find(repository);
  if (found != repositories.end()) {
    for (const auto& [content, manifest] : found->second.manifests) {
      if (blobs_of(content).contains(blob_digest)) return true;
    }
  }
  return std::any_of(trash.begin(), trash.end(), [&](const auto& entry) {
    const Trashed& item = entry.second;
    return item.repository == repository && item.whole && blobs_of(item.content).contains(blob_digest);
  });
}

void Model::bind(const std::string& repository, const std::string& tag, std::size_t content) {
  ModelRepository& in = at(repository);
  const auto known = in.tags.find(tag);
  if (known != in.tags.end() && known->second.content == content) {
    known->second.pushed = known->second.written = now;
    return;
  }
  if (known != in.tags.end()) unbind(repository, tag);
  in.tags[tag] = {content, now, now, now, ++bindings};
  if (is_immutable(tag)) bound[{repository, tag}] = content;
}

void Model::leave_trash(const std::string& repository, std::size_t content) {
  ModelManifest& manifest = at(repository).manifests.at(content);
  for (auto& [id, item] : trash) {  // the newest last
    if (item.repository != repository || item.content != content || !item.whole) continue;
    item.whole = false;
    manifest.pushed = item.was.pushed;
    manifest.untagged = now;
    manifest.pulled = manifest.written = std::max(manifest.written, item.was.written);
  }
  std::erase_if(trash, [&](const auto& item) {
    return item.second.repository == repository && item.second.content == content && item.second.tags.empty();
  });
}

void Model::push_again_untagged(const std::string& repository, std::size_t content) {
  if (tags_of(repository, content).empty()) at(repository).manifests.at(content).untagged = now;
}

void Model::unbind(const std::string& repository, const std::string& tag) {
  ModelRepository& in = at(repository);
  const std::size_t content = in.tags.at(tag).content;
  in.tags.erase(tag);
  if (tags_of(repository, content).empty()) in.manifests.at(content).untagged = now;
}

void Model::forget_repository(const std::string& repository) {
  repositories.erase(repository);
  std::erase_if(trash, [&](const auto& item) { return item.second.repository == repository; });
  std::erase_if(blobs, [&](const auto& blob) { return blob.first.first == repository; });
}

void Model::write_pulls() {
  for (auto& [name, repository] : repositories) {
    for (auto& [content, manifest] : repository.manifests) manifest.written = manifest.pulled;
    for (auto& [tag, binding] : repository.tags) binding.written = binding.pushed;
  }
}

void Model::crash() {
  looked_at.clear();
  settled_at = now + lease;
  pulls_since = now;
  for (auto& [name, repository] : repositories) {
    for (auto& [content, manifest] : repository.manifests) manifest.pulled = manifest.written;
    for (auto& [tag, binding] : repository.tags) binding.pushed = binding.written;
  }
}

void Model::apply(const std::string& repository, const Removed& removed) {
  ModelRepository& in = at(repository);
  for (const auto& [content, tags] : removed.manifests) {
    for (const std::string& tag : tags) in.tags.erase(tag);
    in.manifests.erase(content);
  }
  for (const auto& [content, tags] : removed.names) {
    for (const std::string& tag : tags) unbind(repository, tag);
  }
}

bool Model::may_erase(const Trashed& item) const {
  if (!item.whole || has(item.repository, item.content)) return true;
  return !is_protected_content(item.repository, item.content) &&
         !is_protected_use(item.repository, item.content);
}

}  // namespace stele::histories_test
