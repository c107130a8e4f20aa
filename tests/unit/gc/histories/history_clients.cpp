// What clients do in a history.

#include "tests/unit/gc/histories/history.hpp"

namespace stele::histories_test {

using lifecycle_test::name;

void History::provide_blob(const std::string& repository, const std::string& blob) {
  const Digest digest = digest_of(blob);
  if (look_at(repository, digest)) return;
  world_.push_blob(repository, blob);
  model_.at(repository);
  model_.look(digest);
  model_.blobs[{repository, digest.str()}] = model_.now;
}

// Whether the repository has it. What was seen there within a lease is there (I5).
bool History::look_at(const std::string& repository, const Digest& digest) {
  const bool there = world_.registry->blob_size(name(repository), digest).has_value();
  const auto seen = model_.blobs.find({repository, digest.str()});
  const bool must = seen != model_.blobs.end() && model_.now - seen->second <= model_.lease;
  expect(there || !must, "blob " + digest.str() + " of " + repository + " was seen within a lease");
  expect(there || !model_.is_needed(repository, digest.str()),
         "blob " + digest.str() + " of " + repository + " is needed");
  model_.look(digest);
  if (there) model_.blobs[{repository, digest.str()}] = model_.now;
  return there;
}

void History::provide(const std::string& repository, std::size_t content) {
  for (const std::string& blob : contents()[content].blobs) provide_blob(repository, blob);
  for (const std::size_t entry : contents()[content].entries) {
    const auto in = name(repository);
    const Reference reference(contents()[entry].digest);
    const bool there = sync_wait(world_.registry->manifest(in, reference)).has_value();
    expect(there == model_.has(repository, entry), "a look at " + named(repository, entry));
    model_.look(contents()[entry].digest);
    if (there) continue;
    provide(repository, entry);
    put(repository, entry, "");
  }
}

void History::begin_push() {
  PendingPush push{any_repository(), any_content(), any_tag()};
  if (const auto of = contents()[push.content].signs) push.tag = signature_tag(*of);
  if (below(8) == 0) push.tag.clear();
  begin("push " + named(push.repository, push.content) + " " + push.tag);
  provide(push.repository, push.content);
  if (below(3) > 0) return put(push.repository, push.content, push.tag);
  pending_.push_back(std::move(push));
  if (pending_.size() > 6) pending_.pop_front();
}

void History::finish_push() {
  if (pending_.empty()) return begin_push();
  const PendingPush push = pending_.front();
  pending_.pop_front();
  begin("finish push " + named(push.repository, push.content) + " " + push.tag);
  put(push.repository, push.content, push.tag);
}

void History::put(const std::string& repository, std::size_t content, const std::string& tag) {
  bool complete = true;
  for (const std::string& blob : contents()[content].blobs) {
    const std::string digest = digest_of(blob).str();
    const bool linked = world_.is_linked(repository, digest);
    const auto seen = model_.blobs.find({repository, digest});
    if (!linked && seen != model_.blobs.end() && model_.now - seen->second <= model_.lease)
      fail("blob " + digest + " of " + repository + " went within a lease");
    complete = complete && linked;
  }
  for (const std::size_t entry : contents()[content].entries)
    complete = complete && model_.has(repository, entry);
  const auto bound = model_.bound.find({repository, tag});
  const bool allowed = !Model::is_immutable(tag) || bound == model_.bound.end() || bound->second == content;
  const auto pushed = world_.put_content(repository, content, tag);
  model_.look(contents()[content].digest);
  if (pushed.has_value() != (complete && allowed)) {
    fail("push of " + named(repository, content) + " to " + tag + ": " +
         (pushed ? "accepted" : pushed.error().message()));
  }
  if (!pushed) return;
  const bool fresh = model_.at(repository).manifests.try_emplace(content, ModelManifest{model_.now}).second;
  if (fresh) model_.leave_trash(repository, content);
  if (!tag.empty()) {
    model_.bind(repository, tag, content);
  } else if (!fresh) {
    model_.push_again_untagged(repository, content);
  }
}

void History::tag_what_is_there() {
  const std::string repository = any_repository();
  const std::size_t content = any_live(repository);
  const std::string tag = any_tag();
  begin("tag " + named(repository, content) + " " + tag);
  put(repository, content, tag);
}

void History::delete_tag() {
  const std::string repository = any_repository();
  const std::string tag = below(8) == 0 ? signature_tag(any_content()) : any_tag();
  begin("delete tag " + repository + ":" + tag);
  const auto found = model_.repositories.find(repository);
  const bool there = found != model_.repositories.end() && found->second.tags.contains(tag);
  const bool expected = there && Model::may_delete(tag) && !model_.is_held_name(repository, tag);
  const auto done =
      sync_wait(world_.registry->delete_manifest(name(repository), lifecycle_test::tag(tag), world_.actor));
  if (done.has_value() != expected) fail(done ? "it was done" : done.error().message());
  if (done) model_.unbind(repository, tag);
}

void History::delete_manifest() {
  const std::string repository = any_repository();
  const std::size_t content = below(4) == 0 ? any_content() : any_live(repository);
  begin("delete manifest " + named(repository, content));
  const auto tags = model_.tags_of(repository, content);
  const bool expected = model_.has(repository, content) &&
                        model_.indexes_listing(repository, content).empty() &&
                        !model_.is_protected_content(repository, content) &&
                        std::all_of(tags.begin(), tags.end(), [&](const std::string& tag) {
                          return Model::may_delete(tag) && !model_.is_held_name(repository, tag);
                        });
  const auto done =
      sync_wait(world_.registry->delete_manifest(name(repository), contents()[content].digest, world_.actor));
  if (done.has_value() != expected) fail(done ? "it was done" : done.error().message());
  if (!done) return;
  for (const std::string& tag : tags) model_.unbind(repository, tag);
  model_.at(repository).manifests.erase(content);
}

void History::delete_blob() {
  const std::string repository = any_repository();
  const auto& blobs = contents()[any_content()].blobs;
  if (blobs.empty()) return;
  const Digest digest = digest_of(blobs[below(blobs.size())]);
  begin("delete blob " + repository + "@" + digest.str());
  const bool whole_is_held = std::any_of(model_.holds.begin(), model_.holds.end(), [&](const auto& entry) {
    const Hold& hold = entry.second;
    return hold.repository == repository && !hold.content && hold.tag.empty();
  });
  const bool expected = world_.is_linked(repository, digest.str()) &&
                        !model_.is_needed(repository, digest.str()) && !whole_is_held;
  const auto done = sync_wait(world_.registry->delete_blob(name(repository), digest, world_.actor));
  if (done.has_value() != expected) fail(done ? "it was done" : done.error().message());
  if (done) model_.blobs.erase({repository, digest.str()});
}

void History::delete_repository() {
  const std::string repository = any_repository();
  begin("delete repository " + repository);
  const bool there = world_.count("repositories WHERE name = '" + repository + "'") == 1;
  bool expected = there && !model_.is_held(repository);
  if (there) {
    for (const auto& [tag, binding] : model_.at(repository).tags)
      expected = expected && Model::may_delete(tag);
  }
  const auto done = sync_wait(Repositories(world_.context()).remove(name(repository), world_.actor));
  if (done.has_value() != expected) fail(done ? "it was done" : done.error().message());
  if (done) model_.forget_repository(repository);
}

void History::mount() {
  const std::string from = any_repository();
  const std::string to = any_repository();
  const auto& blobs = contents()[any_content()].blobs;
  if (blobs.empty()) return;
  const Digest digest = digest_of(blobs[below(blobs.size())]);
  begin("mount " + digest.str() + " from " + from + " to " + to);
  const bool expected = world_.is_linked(from, digest.str());
  const auto done = sync_wait(world_.registry->mount_blob({name(to), digest, name(from), world_.actor}));
  expect(done.has_value() && *done == expected, "it was not as expected");
  model_.look(digest);
  if (!*done) return;
  model_.at(to);
  model_.blobs[{to, digest.str()}] = model_.now;
}

bool History::pull_one(const std::string& repository, const Reference& reference,
                       std::optional<std::size_t> content) {
  const auto in = name(repository);
  const auto found = sync_wait(world_.registry->manifest(in, reference));
  if (reference.digest()) model_.look(*reference.digest());
  const bool expected = content && model_.has(repository, *content);
  if (found.has_value() != expected) fail("a pull of " + repository + " by " + reference.str());
  if (!found) return false;
  expect(found->digest == contents()[*content].digest && found->bytes == contents()[*content].bytes,
         reference.str() + " of " + repository + " is another manifest");
  model_.look(found->digest);
  world_.registry->count_pull(*found);
  model_.at(repository).manifests.at(*content).pulled = model_.now;
  return true;
}

void History::pull() {
  const std::string repository = any_repository();
  if (below(2) == 0) {
    const std::size_t content = any_live(repository);
    begin("pull " + named(repository, content));
    pull_one(repository, contents()[content].digest, content);
    return;
  }
  const std::string tag = any_tag();
  begin("pull " + repository + ":" + tag);
  const auto& tags = model_.at(repository).tags;
  const auto bound = tags.find(tag);
  const bool found = pull_one(repository, lifecycle_test::tag(tag),
                              bound == tags.end() ? std::nullopt : std::optional(bound->second.content));
  if (!found || below(2) == 0) return;
  // A HEAD of somebody who may push: for lifecycle it was pushed again.
  const auto head =
      sync_wait(world_.registry->manifest(name(repository), Reference(lifecycle_test::tag(tag))));
  if (!head) return fail("a HEAD of " + repository + ":" + tag);
  world_.registry->count_push(name(repository), lifecycle_test::tag(tag), *head);
  model_.at(repository).tags.at(tag).pushed = model_.now;
}

void History::pull_everything_of_a_tag() {
  const std::string repository = any_repository();
  const auto& tags = model_.at(repository).tags;
  if (tags.empty()) return;
  auto at = tags.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(below(tags.size())));
  begin("pull all of " + repository + ":" + at->first);
  pull_one(repository, lifecycle_test::tag(at->first), at->second.content);
  pull_below(repository, at->second.content);
}

// Entries and blobs (I2).
void History::pull_below(const std::string& repository, std::size_t content) {
  for (const std::string& blob : contents()[content].blobs) {
    const Digest digest = digest_of(blob);
    const auto found = world_.registry->blob(name(repository), digest);
    if (!found) fail("blob " + digest.str() + " of " + named(repository, content) + " is not there");
    std::string bytes(found->size, ' ');
    expect(found->reader->read_at(0, std::as_writable_bytes(std::span(bytes.data(), bytes.size())))
                   .has_value() &&
               bytes == blob,
           "blob " + digest.str() + " has other bytes");
    model_.look(digest);
    model_.blobs[{repository, digest.str()}] = model_.now;
  }
  for (const std::size_t entry : contents()[content].entries) {
    expect(pull_one(repository, contents()[entry].digest, entry), "an entry is not there");
    pull_below(repository, entry);
  }
}

void History::look_at_blob() {
  const std::string repository = any_repository();
  const auto& blobs = contents()[any_content()].blobs;
  if (blobs.empty()) return;
  const Digest digest = digest_of(blobs[below(blobs.size())]);
  begin("look at blob " + repository + "@" + digest.str());
  look_at(repository, digest);
}

}  // namespace stele::histories_test
