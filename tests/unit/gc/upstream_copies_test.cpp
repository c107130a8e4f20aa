// Mirrored content: what upstream lost is here for the last time, whoever would remove it (field P8, M20).

#include <set>

#include "gc/lifecycle/eviction.hpp"
#include "gc/write_now.hpp"
#include "registry/in_use.hpp"
#include "tests/unit/gc/lifecycle_field.hpp"

namespace stele {
namespace {

using namespace field_test;
using Kind = gc::MirroredRepositories::Kind;

constexpr const char* mirrored = "hub/app";
const std::string old_tags =
    "    expire: [{tags: [\"old-*\"], older_than: 14d}, {untagged: true, older_than: 14d}]\n";

// An upstream that has everything but what it lost, and may not answer.
struct Upstream {
  std::set<std::string> lost;
  bool answers = true;
  Kind kind = Kind::by_tag;
  std::vector<std::string> asked;

  gc::StillThere there() {
    return [this](const RepositoryName& repository, const Reference& reference) -> Result<bool> {
      asked.push_back(repository.str() + (reference.tag() ? ":" : "@") + reference.str());
      if (!answers) return Error(Errc::unavailable, "the line is cut");
      return !lost.contains(reference.str());
    };
  }
  gc::MirroredRepositories repositories() {
    return {[this](const RepositoryName& repository) {
              return repository.str().starts_with("hub/") ? kind : Kind::not_mirrored;
            },
            there()};
  }
};

struct Mirrored : LifecycleFixture {
  explicit Mirrored(const std::string& entries = old_tags) : LifecycleFixture(field_test::rules(entries)) {}

  gc::LifecycleRuns& runs() {
    if (!runs_) runs_ = std::make_unique<gc::LifecycleRuns>(context(), run_settings, upstream.repositories());
    return *runs_;
  }
  gc::RunDetails run() {
    const auto done = sync_wait(runs().run(actor));
    REQUIRE(done.has_value());
    return *done;
  }
  gc::Evicted evict(std::int64_t unused_days, std::uint64_t max_bytes = 0) {
    const gc::EvictionOrder order{"mirror hub", "hub", std::chrono::seconds(unused_days * day), max_bytes};
    const auto done =
        gc::evict(context(), order, upstream.kind == Kind::by_digest, upstream.there(), std::stop_token());
    REQUIRE(done.has_value());
    return *done;
  }
  bool here(const std::string& name) { return has_tag(name, mirrored); }

  Upstream upstream;

 private:
  std::unique_ptr<gc::LifecycleRuns> runs_;
};

bool says(const gc::RunDetails& details, const std::string& words) {
  return details.run.message.find(words) != std::string::npos;
}

TEST_CASE("field P8: a rule takes no last copy: one question before it, and gone upstream is BLOCKED (I5)") {
  Mirrored fixture;
  const Digest lost = fixture.push("lost", "old-1", mirrored);
  const Digest there = fixture.push("there", "old-2", mirrored);
  fixture.push("young", "new", mirrored);
  fixture.push("local", "old-1", "a");
  fixture.pass(15 * day);
  fixture.upstream.lost.insert("old-1");
  SECTION("by tag") {}
  SECTION("a pinned one by its digest") {
    fixture.upstream.kind = Kind::by_digest;
    fixture.upstream.lost = {lost.str()};
  }
  const auto done = fixture.run();
  CHECK(says(done, "hub/app: BLOCKED: old-1: gone upstream"));
  CHECK(done.run.blocked == 1);
  CHECK(done.run.removed == 2);  // the other, and the local one, of which nobody was asked
  CHECK(fixture.here("old-1"));
  CHECK(fixture.has(lost, mirrored));
  CHECK_FALSE(fixture.has(there, mirrored));
  CHECK_FALSE(fixture.has_tag("old-1", "a"));
  const bool by_digest = fixture.upstream.kind == Kind::by_digest;
  CHECK(std::set<std::string>(fixture.upstream.asked.begin(), fixture.upstream.asked.end()) ==
        (by_digest ? std::set<std::string>{"hub/app@" + lost.str(), "hub/app@" + there.str()}
                   : std::set<std::string>{"hub/app:old-1", "hub/app:old-2"}));
  CHECK(fixture.upstream.asked.size() == 2);
  // Once upstream has it again it goes.
  fixture.upstream.lost.clear();
  CHECK(fixture.run().run.removed == 1);
  CHECK_FALSE(fixture.here("old-1"));
}

TEST_CASE(
    "field P8: an upstream that does not answer keeps what it has, and is not asked again and again (I5)") {
  Mirrored fixture;
  for (int n = 0; n < 5; ++n)
    fixture.push("image " + std::to_string(n), "old-" + std::to_string(n), mirrored);
  fixture.push("local", "old-1", "a");
  fixture.pass(15 * day);
  fixture.upstream.answers = false;
  const auto done = fixture.run();
  CHECK(done.run.state == "done");
  CHECK(says(done, "whether it could be fetched again is not known: the line is cut"));
  CHECK(done.run.removed == 1);
  CHECK_FALSE(fixture.has_tag("old-1", "a"));
  CHECK(fixture.count("manifests") == 5);
  CHECK(fixture.upstream.asked.size() == 1);
  fixture.upstream.answers = true;
  CHECK(fixture.run().run.removed == 5);
}

TEST_CASE("field P8: upstream is asked for nothing that stays anyway (I5)") {
  Mirrored fixture;
  const Digest used = fixture.push("used", "old-1", mirrored);
  fixture.push("held", "old-2", mirrored);
  const Digest looked_at = fixture.push("looked at", "old-3", mirrored);
  fixture.pass(15 * day);
  const InUse in_use(fixture.context());
  NewInUseReport report{
      ClusterName::parse("prod").value(), {"hub/app@" + used.str()}, 3600, false, {}, false, fixture.actor};
  REQUIRE(sync_wait(in_use.report(std::move(report))).has_value());
  const Retention retention(fixture.context());
  REQUIRE(sync_wait(retention.set_hold(
                        NewHold{"trial", "1/26", "court", name(mirrored), tag("old-2"), fixture.actor}))
              .has_value());
  REQUIRE(sync_wait(fixture.registry->manifest(name(mirrored), looked_at)).has_value());
  const auto plan = fixture.plan();
  CHECK(item(plan, "old-1").reason.find("in use by cluster prod") != std::string::npos);
  CHECK(item(plan, "old-1").verdict == Verdict::blocked);
  CHECK(item(plan, "old-2").verdict == Verdict::blocked);
  CHECK(fixture.run().run.removed == 0);
  CHECK(fixture.upstream.asked.empty());
  CHECK(fixture.count("tags") == 3);
}

TEST_CASE("field P8: a plan that is applied takes no last copy either, and no more than it says (I5)") {
  Mirrored fixture;
  fixture.push("lost", "old-1", mirrored);
  fixture.push("there", "old-2", mirrored);
  fixture.push("struck out", "old-3", mirrored);
  fixture.pass(15 * day);
  fixture.upstream.lost.insert("old-1");
  auto plan = fixture.plan();
  std::erase_if(plan.approved.items[mirrored], [](const auto& one) { return one.first == "old-3"; });
  const auto done = sync_wait(fixture.runs().apply(plan.approved, fixture.actor));
  REQUIRE(done.has_value());
  CHECK(done->run.removed == 1);
  CHECK(says(*done, "BLOCKED: old-1: gone upstream"));
  CHECK(fixture.here("old-1"));
  CHECK_FALSE(fixture.here("old-2"));
  CHECK(fixture.here("old-3"));
  CHECK(fixture.upstream.asked == std::vector<std::string>{"hub/app:old-1", "hub/app:old-2"});
}

TEST_CASE(
    "field P8: what hangs from a last copy stays with it, and its other names are asked for by themselves") {
  Mirrored fixture;
  const Digest child = fixture.push("child", "", mirrored);
  const Digest index = fixture.push_index({child}, "old-1", mirrored);
  const Digest sbom = fixture.push("sbom", "", mirrored, index.str());
  REQUIRE(fixture.put(LifecycleFixture::index_of({child}), "old-2", mirrored).has_value());
  fixture.pass(15 * day);
  fixture.upstream.lost.insert("old-1");
  CHECK(fixture.run().run.removed == 0);
  CHECK(fixture.here("old-1"));
  for (const Digest& digest : {child, index, sbom}) CHECK(fixture.has(digest, mirrored));
}

TEST_CASE(
    "eviction: by age and by size what is held, locked, in use or kept stays, with all that it needs (I5)") {
  Mirrored fixture;
  fixture.load(
      "tag_rules:\n  - {name: retained, tags: [locked], mutability: mutable, lifecycle: allow, lock: {for: "
      "1y, mode: "
      "compliance}}\n  - {name: fixed, tags: [fixed], mutability: immutable}\n" +
      field_test::rules("    keep: [{tags: [kept]}]\n"));
  const Digest child = fixture.push("child", "", mirrored);
  const Digest held = fixture.push_index({child}, "held", mirrored);
  const Digest held_digest = fixture.push("held by digest", "other-name", mirrored);
  fixture.push("locked", "locked", mirrored);
  fixture.push("fixed", "fixed", mirrored);
  fixture.push("kept", "kept", mirrored);
  const Digest used = fixture.push("used", "used", mirrored);
  const Digest free = fixture.push("free", "free", mirrored);
  const Digest lost = fixture.push("lost", "lost", mirrored);
  fixture.upstream.lost.insert("lost");
  const Retention retention(fixture.context());
  REQUIRE(sync_wait(retention.set_hold(
                        NewHold{"trial", "1/26", "court", name(mirrored), tag("held"), fixture.actor}))
              .has_value());
  REQUIRE(sync_wait(retention.set_hold(
                        NewHold{"trial", "1/26", "court", name(mirrored), held_digest, fixture.actor}))
              .has_value());
  const InUse in_use(fixture.context());
  NewInUseReport report{
      ClusterName::parse("prod").value(), {"hub/app@" + used.str()}, 3600, false, {}, false, fixture.actor};
  REQUIRE(sync_wait(in_use.report(std::move(report))).has_value());
  fixture.pass(40 * day);
  gc::Evicted done;
  SECTION("by age") {
    done = fixture.evict(30);
    CHECK(done.problem.empty());
  }
  SECTION("by size") {
    done = fixture.evict(0, 1);
    CHECK(done.problem.find("more than max_size") != std::string::npos);
  }
  CHECK(done.manifests == 1);
  CHECK(done.gone_upstream == 1);
  CHECK_FALSE(fixture.has(free, mirrored));
  for (const char* name : {"held", "other-name", "locked", "fixed", "kept", "used", "lost"}) {
    INFO(name);
    CHECK(fixture.here(name));
  }
  for (const Digest& digest : {child, held, held_digest, used, lost}) CHECK(fixture.has(digest, mirrored));
  CHECK(std::set<std::string>(fixture.upstream.asked.begin(), fixture.upstream.asked.end()) ==
        std::set<std::string>{"hub/app:free", "hub/app:lost"});
  // A year later the lock has ended; the hold has no end.
  fixture.upstream.lost.clear();
  fixture.pass(400 * day);
  CHECK(fixture.evict(30).manifests == 2);
  CHECK_FALSE(fixture.here("locked"));
  CHECK_FALSE(fixture.here("lost"));
  CHECK(fixture.here("held"));
}

TEST_CASE(
    "eviction: what has no push time is not old; an upstream that does not answer ends the round (I5, I8)") {
  Mirrored fixture;
  fixture.push("first", "1", mirrored);
  fixture.push("second", "2", mirrored);
  fixture.pass(40 * day);
  SECTION("no push time") {
    for (const char* statement : {"UPDATE tags SET pushed_at = 0", "UPDATE manifests SET created_at = 0"}) {
      const auto written = gc::write_now(*fixture.writer, {}, [&](sql::Tx& tx) -> Result<void> {
        tx.execute(statement);
        return {};
      });
      REQUIRE(written.has_value());
    }
    CHECK(fixture.evict(30).manifests == 0);
    CHECK(fixture.upstream.asked.empty());
  }
  SECTION("no answer") {
    fixture.upstream.answers = false;
    const auto done = fixture.evict(30);
    CHECK(done.manifests == 0);
    CHECK(done.problem.find("keeps what it has: the line is cut") != std::string::npos);
    CHECK(fixture.upstream.asked.size() == 1);
  }
  CHECK(fixture.here("1"));
  CHECK(fixture.here("2"));
}

}  // namespace
}  // namespace stele
