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

// --- what happens by itself

void History::pass_time(Seconds seconds) {
  begin("time " + std::to_string(seconds));
  world_.pass(seconds);
  model_.now = world_.now();
}

void History::collect(bool all) {
  gc::Collector collector(world_.context());
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
  const auto done = sync_wait(Trash(world_.context()).erase_due(10'000));
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
