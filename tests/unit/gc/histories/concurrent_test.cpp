// Clients at work beside lifecycle runs, restorations, the collector and a clock that runs: what must hold
// whatever comes between what. STELE_LIFECYCLE_OPERATIONS: a tenth of it is how many operations.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include "registry/trash.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/gc/histories/leftovers.hpp"

namespace stele {
namespace {

using histories_test::contents;
using histories_test::digest_of;
using histories_test::Listing;
using histories_test::Model;
using histories_test::Seconds;
using histories_test::World;
using lifecycle_test::day;
using lifecycle_test::name;

// What went wrong, from any thread: the test framework takes it from one alone.
class Complaints {
 public:
  void add(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (texts_.size() < 10) texts_.push_back(text);
  }
  std::string all() const {
    const std::lock_guard lock(mutex_);
    std::string text;
    for (const std::string& one : texts_) text += "\n  " + one;
    return text;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> texts_;
};

// One client, with names of its own: pr-N-*, keep-N (which no rule touches) and 1.N.* (immutable). It deletes
// content in a repository of its own alone, so that nobody pulls what is taken away on purpose.
class Client {
 public:
  Client(World& world, Complaints& complaints, std::size_t number, std::uint64_t seed)
      : world_(world),
        complaints_(complaints),
        number_(std::to_string(number)),
        random_(seed),
        own_("own-" + number_) {}

  void operate() {
    // It works on few things for a while, then rests and turns to others: what it leaves becomes due.
    if (operations_++ % 50 == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(8));
      focus_ = below(contents().size());
    }
    begun_ = world_.now();
    const std::size_t kind = below(100);
    if (kind < 45) {
      push();
    } else if (kind < 75) {
      pull();
    } else if (kind < 85) {
      delete_one();
    } else {
      mount();
    }
  }

  // Immutable names, and what they are bound to.
  const std::map<std::pair<std::string, std::string>, std::size_t>& bound() const { return bound_; }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }
  std::size_t any_content() { return (focus_ + below(4)) % contents().size(); }
  std::string any_repository() {
    const std::size_t kind = below(4);
    return kind == 0 ? own_ : kind == 1 ? "b" : "a";
  }
  std::string any_tag() {
    const std::size_t kind = below(20);
    if (kind == 0) return "1." + number_ + "." + std::to_string(below(2));
    if (kind < 4) return "keep-" + number_;
    return "pr-" + number_ + "-" + std::to_string(below(3));
  }

  // Since the operation began: what it has looked at is leased still.
  bool is_leased() const { return world_.now() - begun_ <= histories_test::lease_seconds; }
  void demand(bool so, const std::string& what) {
    if (!so && is_leased()) complaints_.add("client " + number_ + ": " + what);
  }

  bool push_blob(const std::string& repository, const std::string& blob) {
    const Digest digest = digest_of(blob);
    if (world_.registry->blob_size(name(repository), digest)) return true;
    const auto id = world_.uploads->start(name(repository), world_.actor, DigestAlgorithm::sha256);
    if (!id) return false;
    TextSource source(blob);
    const auto in = name(repository);
    return sync_wait(world_.uploads->finish(in, *id, source, std::nullopt, digest, world_.actor)).has_value();
  }

  Result<PushedManifest> put(const std::string& repository, std::size_t content, const std::string& tag) {
    const auto& pushed = contents()[content];
    const std::string_view type = pushed.entries.empty() ? media_type::oci_manifest : media_type::oci_index;
    const auto manifest = Manifest::parse(type, pushed.bytes);
    const Reference reference = tag.empty() ? Reference(pushed.digest) : Reference(lifecycle_test::tag(tag));
    return sync_wait(world_.registry->put_manifest(ManifestPush{
        name(repository), reference, {}, *manifest, pushed.bytes, DigestAlgorithm::sha256, world_.actor}));
  }

  bool has_manifest(const std::string& repository, std::size_t content) {
    const auto in = name(repository);
    const Reference reference(contents()[content].digest);
    return sync_wait(world_.registry->manifest(in, reference)).has_value();
  }

  void provide(const std::string& repository, std::size_t content) {
    for (const std::string& blob : contents()[content].blobs)
      demand(push_blob(repository, blob), "a blob could not be pushed to " + repository);
    for (const std::size_t entry : contents()[content].entries) {
      if (has_manifest(repository, entry)) continue;
      provide(repository, entry);
      const auto pushed = put(repository, entry, "");
      demand(pushed.has_value(), "an entry was refused: " + (pushed ? "" : pushed.error().message()));
    }
  }

  void push() {
    const std::string repository = any_repository();
    const std::size_t content = any_content();
    const auto& of = contents()[content].signs;
    // Signatures are bound by whoever comes first, always to the same.
    const std::string tag = of ? histories_test::signature_tag(*of) : any_tag();
    provide(repository, content);
    const auto known = bound_.find({repository, tag});
    const bool refused = known != bound_.end() && known->second != content;
    const auto pushed = put(repository, content, tag);
    if (refused) return demand(!pushed, repository + ":" + tag + " was bound twice (I3)");
    demand(pushed.has_value(), "a push to " + repository + ":" + tag +
                                   " was refused: " + (pushed ? "" : pushed.error().message()));
    if (!pushed) return;
    if (Model::is_immutable(tag)) bound_[{repository, tag}] = content;
    if (tag.starts_with("keep-")) kept_[{repository, tag}] = content;
    look_below(repository, content, "pushed just now");
  }

  // Everything that it needs is there (I2, I5).
  void look_below(const std::string& repository, std::size_t content, const std::string& why) {
    for (const std::string& blob : contents()[content].blobs)
      demand(world_.registry->blob(name(repository), digest_of(blob)).has_value(),
             "a blob of " + repository + " is gone; its manifest was " + why);
    for (const std::size_t entry : contents()[content].entries) {
      demand(has_manifest(repository, entry),
             "an entry is gone from " + repository + "; its index was " + why);
      look_below(repository, entry, why);
    }
  }

  void pull() {
    const std::string repository = any_repository();
    const std::string tag = any_tag();
    const auto in = name(repository);
    const Reference reference(lifecycle_test::tag(tag));
    const auto found = sync_wait(world_.registry->manifest(in, reference));
    const auto must = [&](const auto& names, const char* what) {
      const auto known = names.find({repository, tag});
      if (known == names.end()) return;
      // Whatever time has passed.
      if (!found || found->digest != contents()[known->second].digest)
        complaints_.add(repository + ":" + tag + what);
    };
    must(bound_, " is not what it was bound to (I3)");
    must(kept_, " is not what it was pushed as, and no rule takes it (I5)");
    if (!found) return;
    world_.registry->count_pull(*found);
    look_below(repository, histories_test::place_of(found->digest.str()), "pulled by " + tag);
  }

  void delete_one() {
    const std::string tag = "pr-" + number_ + "-" + std::to_string(below(3));
    if (below(2) == 0) {
      const auto in = name(any_repository());
      [[maybe_unused]] const auto done =
          sync_wait(world_.registry->delete_manifest(in, lifecycle_test::tag(tag), world_.actor));
      return;
    }
    const std::size_t content = any_content();
    const auto done =
        sync_wait(world_.registry->delete_manifest(name(own_), contents()[content].digest, world_.actor));
    if (!done) return;
    std::erase_if(kept_,
                  [&](const auto& kept) { return kept.first.first == own_ && kept.second == content; });
    demand(!has_manifest(own_, content), "a manifest that was deleted is there");
  }

  void mount() {
    const std::string from = any_repository();
    const auto& blobs = contents()[any_content()].blobs;
    if (blobs.empty()) return;
    const Digest digest = digest_of(blobs.front());
    const bool there = world_.registry->blob_size(name(from), digest).has_value();
    const auto done = sync_wait(world_.registry->mount_blob({name(own_), digest, name(from), world_.actor}));
    if (!there) return;
    demand(done && *done, "a blob that was seen in " + from + " could not be mounted");
    if (done && *done)
      demand(world_.registry->blob(name(own_), digest).has_value(), "a blob that was mounted is not there");
  }

  World& world_;
  Complaints& complaints_;
  const std::string number_;
  std::mt19937_64 random_;
  const std::string own_;
  std::size_t operations_ = 0;
  std::size_t focus_ = 0;
  Seconds begun_ = 0;
  std::map<std::pair<std::string, std::string>, std::size_t> bound_, kept_;
};

template <class F>
class Repeated {
 public:
  explicit Repeated(F work)
      : thread_([this, work] {
          while (!stop_) work();
        }) {}
  ~Repeated() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// The model of what is there now.
Model model_of(const Listing& listing, Seconds now) {
  Model model(histories_test::lease_seconds);
  model.now = now;
  for (const auto& [key, pushed] : listing.manifests)
    model.at(key.first).manifests[histories_test::place_of(key.second)].pushed = pushed;
  for (const auto& [key, binding] : listing.tags)
    model.at(key.first).tags[key.second] = {histories_test::place_of(binding.first), binding.second,
                                            listing.tag_pushes.at(key), listing.tag_pushes.at(key),
                                            listing.tag_places.at(key)};
  return model;
}

void carry_out(World& world, const std::string& when) {
  INFO(when);
  const auto done = sync_wait(world.runs().run(world.actor));
  REQUIRE(done.has_value());
  INFO(done->run.message);
  REQUIRE(done->run.state == "done");
}

void erase_all_due(World& world) {
  const auto erased = sync_wait(Trash(world.context()).erase_due(100'000));
  REQUIRE(erased.has_value());
}

void collect_all(World& world) {
  gc::Collector collector(world.context());
  for (;;) {
    const auto step = sync_wait(collector.step());
    REQUIRE(step.has_value());
    if (step->reviews == 0) return;
  }
}

// All that may go goes, and nothing else: what the clients bound last is there until then.
void check_the_end(World& world, const std::vector<Client>& clients) {
  world.pass(2 * histories_test::step_seconds * 3);
  world.flush();
  const histories_test::Rules& rules = histories_test::rules_for_the_end();
  world.load(histories_test::policy_text(rules));
  Model model = model_of(world.listing(), world.now());
  model.rules = &rules;
  for (const Client& client : clients) {
    for (const auto& [key, content] : client.bound())
      CHECK(model.at(key.first).tags.at(key.second).content == content);
  }
  carry_out(world, "the last run");
  for (auto& [repository, in] : model.repositories) {
    const auto verdicts = model.judge(repository);
    model.apply(repository, model.carried_out(repository, verdicts, nullptr));
  }
  world.pass(histories_test::trash_for + day + histories_test::step_seconds);
  erase_all_due(world);
  CHECK(world.count("trash") == 0);
  for (int i = 0; i < 3; ++i) {
    world.pass(3 * histories_test::step_seconds);
    collect_all(world);
  }
  CHECK(histories_test::leftovers(world, model) == "");
}

TEST_CASE(
    "lifecycle histories: four clients beside runs, restorations, collection and the clock (I2, I3, I5)") {
  const char* const chosen = std::getenv("STELE_LIFECYCLE_OPERATIONS");
  const std::int64_t operations = std::max<std::int64_t>(chosen ? std::atoll(chosen) / 10 : 0, 5000);
  const std::uint64_t seed = test_seed("lifecycle histories beside one another");
  INFO("TEST_SEED=" << seed << ", which does not repeat what the threads did");
  World world;
  world.load(histories_test::policy_text(histories_test::all_rules()[1]));
  world.run_settings.batch = 3;

  Complaints complaints;
  std::atomic<std::int64_t> done{0}, runs{0}, removed{0}, restored{0}, collected{0};
  std::vector<Client> clients;
  for (std::size_t i = 0; i < 4; ++i) clients.emplace_back(world, complaints, i, seed + i);
  {
    const Repeated collecting([&] {
      thread_local std::optional<gc::Collector> collector;
      if (!collector) collector.emplace(world.context());
      const auto step = sync_wait(collector->step());
      if (!step) return complaints.add("collection: " + step.error().message());
      collected += static_cast<std::int64_t>(step->links_removed);
      const auto erased = sync_wait(Trash(world.context()).erase_due(20));
      if (!erased) complaints.add("erasing: " + erased.error().message());
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    });
    world.runs();
    const Repeated running([&] {
      [[maybe_unused]] const auto flushed = world.pulls->flush();
      const auto run = sync_wait(world.runs().run(world.actor));
      if (!run) return complaints.add("run: " + run.error().message());
      if (run->run.state != "done") complaints.add("run: " + run->run.state + ": " + run->run.message);
      ++runs;
      removed += run->run.removed;
      const Trash trash(world.context());
      const auto items = sync_wait(trash.list({std::nullopt, std::nullopt, 0, 10}));
      if (!items || items->items.empty() || runs % 4 != 0) return;
      const auto back = sync_wait(trash.restore({items->items.back().item.id, true, world.actor}));
      if (back) restored += static_cast<std::int64_t>(back->manifests.size());
    });
    const Repeated passing([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      world.pass(histories_test::step_seconds);
    });
    std::vector<std::thread> threads;
    for (Client& client : clients) {
      threads.emplace_back([&] {
        // On until the others came to do something.
        while (done++ < operations || removed == 0 || collected == 0) client.operate();
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  INFO(complaints.all());
  REQUIRE(complaints.all().empty());
  std::cout << "lifecycle histories beside each other: " << operations << " operations, " << runs << " runs, "
            << removed << " manifests removed, " << restored << " restored, " << collected
            << " links to blobs collected\n";
  CHECK(removed > 0);
  CHECK(collected > 0);

  check_the_end(world, clients);
}

}  // namespace
}  // namespace stele
