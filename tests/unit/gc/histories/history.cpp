#include "tests/unit/gc/histories/history.hpp"

#include "tests/unit/gc/histories/leftovers.hpp"

namespace stele::histories_test {
namespace {

using lifecycle_test::day;
using lifecycle_test::name;

const std::vector<std::string>& repository_names() {
  static const std::vector<std::string> names{"a", "b", "team/c"};
  return names;
}

}  // namespace

HistoryCounts& HistoryCounts::operator+=(const HistoryCounts& other) {
  operations += other.operations;
  removed += other.removed;
  untagged += other.untagged;
  survived += other.survived;
  restored += other.restored;
  refused += other.refused;
  erased += other.erased;
  collected += other.collected;
  waited += other.waited;
  interrupted += other.interrupted;
  return *this;
}

History::History(std::uint64_t seed, HistoryKind kind) : seed_(seed), kind_(kind), random_(seed) {
  if (kind_.restarts) world_.run_settings.batch = 2;  // so that there is a middle
  model_.now = world_.now();
  model_.pulls_since = world_.opened_at();
  use(all_rules()[1]);
}

void History::fail(const std::string& what) const {
  std::string before;
  for (const std::string& done : done_) before += "\n  " + done;
  FAIL("TEST_SEED=" << seed_ << ", step " << step_ << ": " << what << before);
  std::abort();  // FAIL throws
}

void History::run() {
  for (step_ = 0; step_ < kind_.operations; ++step_) {
    const std::size_t kind = below(1000);
    if (kind < 180) {
      begin_push();
    } else if (kind < 270) {
      finish_push();
    } else if (kind < 350) {
      tag_what_is_there();
    } else if (kind < 390) {
      delete_tag();
    } else if (kind < 430) {
      delete_manifest();
    } else if (kind < 460) {
      delete_blob();
    } else if (kind < 463) {
      delete_repository();
    } else if (kind < 500) {
      mount();
    } else if (kind < 570) {
      pull();
    } else if (kind < 590) {
      pull_everything_of_a_tag();
    } else if (kind < 620) {
      look_at_blob();
    } else if (kind < 630) {
      report_in_use();
    } else if (kind < 638) {
      set_hold();
    } else if (kind < 652) {
      release_hold();
    } else if (kind < 668) {
      change_rules();
    } else if (kind < 690) {
      plan();
    } else if (kind < 715) {
      apply_plan();
    } else if (kind < 760) {
      run_lifecycle();
    } else if (kind < 775) {
      answer_waiting();
    } else if (kind < 805) {
      restore_item();
    } else if (kind < 815) {
      restore_run();
    } else if (kind < 822) {
      erase_item();
    } else if (kind < 835) {
      world_.flush();
      model_.write_pulls();
    } else if (kind_.restarts && kind < 850) {
      restart();
    } else {
      pass_time(step_seconds * (below(12) == 0 ? 18 : 1 + static_cast<Seconds>(below(4))));
    }
    ++counts_.operations;
    if (below(2) == 0) collect(false);
    if (below(4) == 0) erase_due();
    if (step_ % 8 == 0) check(step_ % 64 == 0);
  }
  end();
}

// --- random choices

std::string History::any_repository() {
  return repository_names()[below(repository_names().size())];
}

std::string History::any_tag() {
  const std::size_t kind = below(40);
  if (kind < 2) return "1.0." + std::to_string(below(3));
  if (kind < 7) return "sha-" + std::to_string(below(4));
  if (kind < 10) return "main";
  if (kind < 12) return "dev";
  return "pr-" + std::to_string(below(6));
}

std::size_t History::any_live(const std::string& repository) {
  const auto found = model_.repositories.find(repository);
  if (found == model_.repositories.end() || found->second.manifests.empty()) return any_content();
  auto at = found->second.manifests.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(below(found->second.manifests.size())));
  return at->first;
}

void History::begin(std::string what) {
  done_.push_back(std::to_string(step_) + " " + std::to_string(model_.now % 10'000'000) + " " +
                  std::move(what));
  if (done_.size() > 60) done_.pop_front();
}

std::string History::named(const std::string& repository, std::size_t content) {
  return repository + "@" + std::to_string(content);
}

// --- what clients do

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
  const auto done = sync_wait(Repositories(world_.parts()).remove(name(repository), world_.actor));
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

// --- what happens by itself

void History::pass_time(Seconds seconds) {
  begin("time " + std::to_string(seconds));
  world_.pass(seconds);
  model_.now = world_.now();
}

void History::collect(bool all) {
  gc::Collector collector(world_.parts());
  for (;;) {
    const auto done = sync_wait(collector.step());
    expect(done.has_value(), "the collector failed");
    expect(done->reviews == 0 || model_.now >= model_.settled_at, "collected within a lease of the start");
    counts_.collected += static_cast<std::int64_t>(done->blobs_removed);
    if (!all || done->reviews == 0) return;
  }
}

void History::erase_due() {
  std::vector<std::int64_t> goes, stays;
  for (const auto& [id, item] : model_.trash) {
    if (item.erase_after <= model_.now) (model_.may_erase(item) ? goes : stays).push_back(id);
  }
  const auto done = sync_wait(Trash(world_.parts()).erase_due(10'000));
  expect(done.has_value(), "erasing failed");
  expect(std::cmp_equal(done->items, goes.size()) && std::cmp_equal(done->postponed, stays.size()),
         "erased " + std::to_string(done->items) + " of " + std::to_string(goes.size()) + ", postponed " +
             std::to_string(done->postponed) + " of " + std::to_string(stays.size()));
  for (const std::int64_t id : goes) model_.trash.erase(id);
  for (const std::int64_t id : stays) model_.trash.at(id).erase_after = model_.now + day;
  counts_.erased += done->items;
}

// --- comparison

void History::check(bool files) {
  const Listing listing = world_.listing();
  std::map<std::pair<std::string, std::string>, Seconds> manifests;
  std::map<std::pair<std::string, std::string>, std::pair<std::string, Seconds>> tags;
  std::map<std::pair<std::string, std::string>, Seconds> pushes;
  std::map<std::int64_t, std::pair<std::string, std::string>> trash;
  for (const auto& [repository, in] : model_.repositories) {
    for (const auto& [content, manifest] : in.manifests)
      manifests[{repository, contents()[content].digest.str()}] = manifest.pushed;
    for (const auto& [tag, binding] : in.tags) {
      tags[{repository, tag}] = {contents()[binding.content].digest.str(), binding.bound};
      pushes[{repository, tag}] = binding.written;
    }
  }
  for (const auto& [id, item] : model_.trash)
    trash[id] = {item.repository, contents()[item.content].digest.str()};
  compare(listing.manifests, manifests, "manifests");
  compare(listing.tags, tags, "tags");
  compare(listing.tag_pushes, pushes, "last pushes of tags");
  compare(listing.trash, trash, "items of the trash");

  const auto expect_blob = [&](const std::string& repository, const std::string& digest, const char* why) {
    const auto row = listing.blobs.find(digest);
    if (!listing.links.contains({repository, digest}) || row == listing.blobs.end() || row->second != "live")
      fail("blob " + digest + " of " + repository + " is not there; it is " + why);
    if (files && !world_.blobs->open(Digest::parse(digest).value()))
      fail("the file of blob " + digest + " is not there; it is " + why);
  };
  const auto expect_blobs = [&](const std::string& repository, std::size_t content, const char* why) {
    for (const std::string& blob : contents()[content].blobs)
      expect_blob(repository, digest_of(blob).str(), why);
  };
  for (const auto& [repository, in] : model_.repositories) {
    for (const auto& [content, manifest] : in.manifests) {
      expect_blobs(repository, content, "needed (I2)");
      for (const std::size_t entry : contents()[content].entries) {
        if (!in.manifests.contains(entry))
          fail("an entry of " + named(repository, content) + " is gone (I2)");
      }
    }
  }
  for (const auto& [id, item] : model_.trash) {
    if (item.whole) expect_blobs(item.repository, item.content, "needed by the trash");
  }
  for (const auto& [blob, seen] : model_.blobs) {
    if (model_.now - seen <= model_.lease) expect_blob(blob.first, blob.second, "leased (I5)");
  }
  for (const auto& [key, content] : model_.bound) {
    const auto bound = listing.tags.find(key);
    if (bound != listing.tags.end() && bound->second.first != contents()[content].digest.str())
      fail(key.first + ":" + key.second + " was bound twice (I3)");
  }
}

void History::end() {
  begin("end: by the rules in force");
  for (int i = 0; i < 3; ++i) {
    pass_time(lease_seconds + 1100);
    if (pending_.size() > 3) finish_push();
    run_lifecycle();
    collect(true);
    erase_due();
    check(true);
  }
  while (!model_.waiting.empty()) answer_waiting();

  begin("end: everything goes that may");
  while (!model_.holds.empty()) release_hold();
  for (auto& [cluster, uses] : model_.in_use) report(cluster, {});
  use(rules_for_the_end());
  pass_time(lease_seconds + 300);
  run_lifecycle();
  check(true);
  pass_time(trash_for + day + step_seconds);
  erase_due();
  expect(model_.trash.empty(), "the trash is not empty");
  for (int i = 0; i < 3; ++i) {
    pass_time(lease_seconds + 300);
    collect(true);
  }
  check(true);

  const std::string left = leftovers(world_, model_);
  expect(left.empty(), "in the end" + left);
}

void History::restart() {
  begin("restart");
  if (below(2) == 0 && model_.now >= model_.settled_at) interrupt_run();
  world_.stop_runs();
  world_.restart_without_leases();
  world_.flush();
  model_.crash();
}

}  // namespace stele::histories_test
