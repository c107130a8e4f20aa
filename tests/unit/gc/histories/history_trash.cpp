// What administrators do with the trash in a history.

#include <algorithm>

#include "tests/unit/gc/histories/history.hpp"

namespace stele::histories_test {

using lifecycle_test::name;

void History::restore_item() {
  if (model_.trash.empty()) return;
  const auto at = any_of_map(model_.trash, below(model_.trash.size()));
  const std::int64_t id = at->first;
  const std::string repository = at->second.repository;  // the item goes
  const bool skip = below(2) == 0;
  begin("restore " + std::to_string(id) + " " + named(repository, at->second.content) +
        (skip ? ", without names that are taken" : ""));
  const auto done = sync_wait(Trash(world_.context()).restore({id, skip, world_.actor}));
  if (!done) {
    expect(explains(id, skip), reason_of(done.error()) + ": " + done.error().message());
    ++counts_.refused;
    look_at_all(repository, companions(id));
    return;
  }
  std::set<std::string> manifests, tags;
  for (const Digest& digest : done->manifests) manifests.insert(digest.str());
  for (const Tag& tag : done->tags) tags.insert(tag.str());
  const Returned returned = adopt_returned(repository, {id}, skip);
  expect(!model_.trash.contains(id), "it is still in the trash");
  compare(manifests, returned.manifests, "manifests that came back");
  compare(tags, returned.tags, "tags that came back");
}

void History::restore_run() {
  if (model_.trash.empty()) return;
  const std::int64_t run = any_of_map(model_.trash, below(model_.trash.size()))->second.run;
  const bool skip = below(2) == 0;
  begin("restore run " + std::to_string(run) + (skip ? ", without names that are taken" : ""));
  std::map<std::string, std::set<std::int64_t>> asked;
  for (const auto& [id, item] : model_.trash) {
    if (item.run == run) asked[item.repository].insert(id);
  }
  const auto done = sync_wait(Trash(world_.context()).restore_run({run, skip, world_.actor}));
  if (!done) fail(done.error().message());
  std::int64_t manifests = 0, tags = 0, refused = 0;
  for (const auto& [repository, items] : asked) {
    std::set<std::int64_t> perhaps;
    for (const std::int64_t id : items) perhaps.merge(companions(id));
    look_at_all(repository, perhaps);
    const Returned returned = adopt_returned(repository, items, skip);
    manifests += static_cast<std::int64_t>(returned.manifests.size());
    tags += static_cast<std::int64_t>(returned.tags.size());
    for (const std::int64_t id : items) {
      if (!model_.trash.contains(id)) continue;
      ++refused;
      expect(explains(id, skip), std::to_string(id) + " did not come back, and nothing is in its way");
    }
  }
  counts_.refused += refused;
  expect(done->manifests == manifests && done->tags == tags && done->refused == refused,
         "the answer counts otherwise: " + std::to_string(done->manifests) + " for " +
             std::to_string(manifests) + ", " + std::to_string(done->tags) + " for " + std::to_string(tags) +
             ", " + std::to_string(done->refused) + " for " + std::to_string(refused));
}

void History::erase_item() {
  if (model_.trash.empty()) return;
  const auto at = any_of_map(model_.trash, below(model_.trash.size()));
  begin("erase " + std::to_string(at->first));
  const bool expected = model_.may_erase(at->second);
  const auto done = sync_wait(Trash(world_.context()).erase(at->first, world_.actor));
  if (done.has_value() != expected) fail(done ? "it was erased" : done.error().message());
  if (done) model_.trash.erase(at);
}

// A restoration that is refused leases some of what it would have brought back: now all of it is leased.
void History::look_at_all(const std::string& repository, const std::set<std::int64_t>& items) {
  const auto in = name(repository);
  for (const std::int64_t id : items) {
    const Digest& digest = contents()[model_.trash.at(id).content].digest;
    const Reference reference(digest);
    [[maybe_unused]] const auto found = sync_wait(world_.registry->manifest(in, reference));
    model_.look(digest);
  }
}

// What comes back with an item, should nothing be in the way: entries, what refers to it, its signatures.
std::set<std::int64_t> History::companions(std::int64_t item) const {
  std::set<std::int64_t> found{item};
  std::vector<std::int64_t> open{item};
  while (!open.empty()) {
    const Trashed& next = model_.trash.at(open.back());
    open.pop_back();
    const Content& content = contents()[next.content];
    for (const auto& [id, other] : model_.trash) {
      if (other.repository != next.repository) continue;
      const bool is_entry = other.whole && std::find(content.entries.begin(), content.entries.end(),
                                                     other.content) != content.entries.end();
      const bool refers = other.whole && contents()[other.content].subject == next.content;
      const bool signs = other.tags.contains(signature_tag(next.content));
      const bool is_itself = !next.whole && other.whole && other.content == next.content;
      if ((is_entry || refers || signs || is_itself) && found.insert(id).second) open.push_back(id);
    }
  }
  return found;
}

// Whether something is in the way of a restoration.
bool History::explains(std::int64_t id, bool skip) const {
  const std::string& repository = model_.trash.at(id).repository;
  const auto in_trash = [&](std::size_t content) {
    return std::any_of(model_.trash.begin(), model_.trash.end(), [&](const auto& entry) {
      return entry.second.repository == repository && entry.second.content == content && entry.second.whole;
    });
  };
  const auto found = model_.repositories.find(repository);
  for (const std::int64_t companion : companions(id)) {
    const Trashed& item = model_.trash.at(companion);
    if (!model_.has(repository, item.content)) {
      if (!item.whole && !in_trash(item.content)) return true;
      for (const std::size_t entry : contents()[item.content].entries) {
        if (!model_.has(repository, entry) && !in_trash(entry)) return true;
      }
    }
    if (skip || found == model_.repositories.end()) continue;
    for (const std::string& tag : item.tags) {
      const auto bound = found->second.tags.find(tag);
      if (bound != found->second.tags.end() && bound->second.content != item.content) return true;
    }
  }
  return false;
}

// What left the trash came back, and nothing else: itself and what hangs on it, as old as it was, with its
// names, of which none that is bound to something else has moved (I3).
History::Returned History::adopt_returned(const std::string& repository, const std::set<std::int64_t>& asked,
                                          bool skip) {
  const Listing listing = world_.listing();
  std::set<std::int64_t> allowed, left;
  for (const std::int64_t id : asked) allowed.merge(companions(id));
  std::map<std::size_t, std::vector<Trashed>> whole;
  std::map<std::string, std::set<std::size_t>> names;
  for (const auto& [id, item] : model_.trash) {
    if (item.repository != repository || listing.trash.contains(id)) continue;
    expect(allowed.contains(id), "item " + std::to_string(id) + " left the trash, which nobody asked for");
    left.insert(id);
    if (item.whole) whole[item.content].push_back(item);
    for (const std::string& tag : item.tags) names[tag].insert(item.content);
  }
  for (const std::int64_t id : left) model_.trash.erase(id);

  Returned returned;
  std::set<std::size_t> inserted;
  ModelRepository& in = model_.at(repository);
  for (const auto& [content, items] : whole) {
    const std::string digest = contents()[content].digest.str();
    const auto row = listing.manifests.find({repository, digest});
    if (row == listing.manifests.end()) fail(named(repository, content) + " left the trash and is gone");
    const auto [at, fresh] = in.manifests.try_emplace(content);
    if (fresh) {
      at->second.pushed = row->second;
      const bool as_old = std::any_of(items.begin(), items.end(),
                                      [&](const Trashed& item) { return item.was.pushed == row->second; });
      expect(as_old, named(repository, content) + " is not as old as it was");
      model_.look(contents()[content].digest);
      returned.manifests.insert(digest);
      inserted.insert(content);
      ++counts_.restored;
    }
    for (const Trashed& item : items) {
      at->second.pulled = std::max(at->second.pulled, item.was.written);
      at->second.written = std::max(at->second.written, item.was.written);
    }
    // Nothing that belongs to it is left behind.
    for (const auto& [id, other] : model_.trash) {
      if (other.repository == repository && other.whole)
        expect(contents()[other.content].subject != content, "what refers to it stayed in the trash");
      if (other.repository == repository && other.tags.contains(signature_tag(content)))
        expect(listing.tags.contains({repository, signature_tag(content)}), "its signature stayed");
    }
  }
  for (const auto& [tag, wanted] : names) {
    const auto row = listing.tags.find({repository, tag});
    if (row == listing.tags.end()) fail("tag " + tag + " of " + repository + " did not come back");
    const auto known = in.tags.find(tag);
    if (known != in.tags.end()) {
      expect(skip || wanted.contains(known->second.content),
             "a name that is bound elsewhere was no obstacle");
      continue;  // check() says that it has not moved
    }
    const std::size_t content = place_of(row->second.first);
    expect(wanted.contains(content), "tag " + tag + " came back to another manifest");
    const auto bound = model_.bound.find({repository, tag});
    expect(bound == model_.bound.end() || bound->second == content, tag + " was bound twice (I3)");
    in.tags[tag] = {content, model_.now, model_.now, model_.now};
    returned.tags.insert(tag);
  }
  // No sentence says in which order names that come back together are bound.
  std::vector<std::pair<std::int64_t, std::string>> places;
  for (const std::string& tag : returned.tags)
    places.emplace_back(listing.tag_places.at({repository, tag}), tag);
  std::sort(places.begin(), places.end());
  for (const auto& [place, tag] : places) in.tags.at(tag).place = ++model_.bindings;
  for (const std::size_t content : inserted) {
    if (model_.tags_of(repository, content).empty()) in.manifests.at(content).untagged = model_.now;
  }
  return returned;
}

}  // namespace stele::histories_test
