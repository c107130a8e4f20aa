// What hangs together goes together, or stays (I5).

#include "tests/unit/policy/plan.hpp"

namespace stele::policy {
namespace {

TEST_CASE("judge: what stays keeps its entries and its referrers, all the way down (I5)") {
  World world;
  world.image("latest").entries = {"inner"};
  world.manifest("inner").entries = {"leaf"};
  world.manifest("leaf");
  world.manifest("sbom").subject = "leaf";
  world.manifest("signature-of-sbom").subject = "sbom";
  world.manifest("alone");
  const Plan plan(world, rules("{tags: [latest]}", "{untagged: true}"));
  CHECK(plan.expired() == "@alone");
  CHECK(plan.reason("@inner") == "entry of index latest, which stays");
  CHECK(plan.reason("@leaf") == "entry of an untagged index, which stays");
  CHECK(plan.reason("@sbom") == "its subject, an untagged manifest, stays");
  CHECK(plan.verdict("@signature-of-sbom") == "KEEP");
}

TEST_CASE("judge: a kept referrer does not keep its subject") {
  World world;
  world.image("subject");
  WorldManifest& referrer = world.image("referrer");
  referrer.subject = "subject";
  const Plan plan(world, rules("{tags: [referrer]}", "{everything_else: true}"));
  CHECK(plan.expired() == "subject");
  CHECK(plan.going() == "subject with subject");
}

TEST_CASE("judge: with the tag goes its manifest, with that what hangs from it and has no tag that stays") {
  World world;
  world.image("pr-1").entries = {"amd64", "arm64", "shared", "tagged"};
  world.image("latest").entries = {"shared"};
  world.manifest("amd64");
  world.manifest("arm64");
  world.manifest("shared");
  world.image("tagged");
  world.manifest("sbom").subject = "pr-1";
  const Plan plan(world, rules("", "{tags: [\"pr-*\"]}"));
  CHECK(plan.expired() == "pr-1 @amd64 @arm64 @sbom");
  CHECK(plan.going() == "pr-1 with pr-1, amd64 with @amd64, arm64 with @arm64, sbom with @sbom");
  CHECK(plan.leader("pr-1") == "pr-1");
  CHECK(plan.leader("@amd64") == "pr-1");
  CHECK(plan.rule("@amd64") == "ci");
  CHECK(plan.reason("@amd64") == "goes with tag pr-1: an index that lists it goes");
  CHECK(plan.reason("@sbom") == "goes with tag pr-1: its subject goes");
  CHECK(plan.kept() == "latest tagged @shared");
}

TEST_CASE("judge: an untagged manifest that stays because no rule hits it keeps what it lists (I5)") {
  World world;
  world.manifest("index").entries = {"child"};
  world.image("child");
  const Plan plan(world, rules("", "{tags: [child]}"));
  CHECK(plan.expired() == "child");
  CHECK(plan.going().empty());
  CHECK(
      plan.reason("child") ==
      "expire entry 1 of rule ci (tags child) hits it; its manifest stays: entry of an untagged index, which "
      "stays");
}

TEST_CASE("judge: an untagged child that an entry hits too goes with its index, not by itself") {
  World world;
  world.manifest("child");
  world.manifest("index").entries = {"child"};
  const Plan plan(world, rules("", "{untagged: true}"));
  CHECK(plan.leader("@child") == "@index");
  CHECK(plan.leader("@index") == "@index");
  CHECK(plan.reason("@child") == "goes with an untagged manifest: an index that lists it goes");
}

TEST_CASE("judge: a referrer whose subject is absent is judged as an untagged manifest") {
  World world;
  world.manifest("referrer").subject = "?";
  const Plan plan(world, rules("", "{untagged: true, older_than: 7d}"));
  CHECK(plan.expired() == "@referrer");
  CHECK(plan.reason("@referrer").ends_with("hits it; its subject is not in the repository"));
  CHECK(Plan(world, rules("", "{tags: [\"*\"]}")).expired().empty());
}

TEST_CASE("judge: signatures share the fate of the digest that they name") {
  World world = world_of({{"kept", 90}, {"gone", 90}});
  for (const char* name : {"s1", "s2", "s3", "s4"}) world.manifest(name);
  world.tag(signature_of('1'), "s1").signs = "kept";
  world.tag(signature_of('2'), "s2").signs = "gone";
  world.tag(signature_of('3'), "s3").signs = "?";
  world.tag(signature_of('4'), "s4", days_ago(1)).signs = "s2";  // signed itself
  const Plan plan(world, rules("{tags: [kept]}", "{tags: [\"*\"]}"));
  CHECK(plan.kept() == "kept " + signature_of('1'));
  CHECK(plan.leader(signature_of('2')) == "gone");
  CHECK(plan.leader(signature_of('4')) == "gone");
  CHECK(plan.leader(signature_of('3')) == signature_of('3'));
  CHECK(plan.reason(signature_of('1')) == "a signature stays as long as what it signs: manifest kept");
  CHECK(plan.reason(signature_of('2')) == "goes with tag gone: what it signs goes");
  // Entries that name signatures do not judge those of a digest that is here.
  CHECK(Plan(world, rules("", "{tags: [\"@signature\"]}")).expired() == signature_of('3'));
  CHECK(Plan(world, rules("{tags: [\"@signature\"]}", "{everything_else: true}")).kept() ==
        signature_of('3'));
  // Nor does an entry without tags remove one whose digest is absent; everything_else does.
  CHECK(Plan(world, rules("", "{older_than: 7d}")).verdict(signature_of('3')) == "KEEP");
  CHECK(Plan(world, rules("", "{everything_else: true}")).verdict(signature_of('3')) == "EXPIRE");
  // A protected one stays, and its subject goes all the same.
  world.tags[3].blocker = Blocker{Blocker::Kind::tag_rule, "signatures"};
  const Plan blocked(world, rules("", "{tags: [gone]}"));
  CHECK(blocked.blocked() == signature_of('2'));
  CHECK(blocked.expired() == "gone");
  CHECK(blocked.reason(signature_of('2')) ==
        "what it signs goes, but tag rule signatures protects it; lifecycle: allow in that rule lets it go");
}

TEST_CASE("judge: of two tags on one digest one goes, and the manifest stays until the last") {
  World world = world_of({{"a", 90}});
  world.tag("b", "a", days_ago(90));
  const Plan one(world, rules("", "{tags: [a]}"));
  CHECK(one.expired() == "a");
  CHECK(one.going().empty());
  CHECK(one.judgement().bytes_freed == 0);
  const Plan both(world, rules("", "{tags: [\"*\"]}"));
  CHECK(both.going() == "a with b");
  CHECK(both.item("a").frees_bytes == 1);
  CHECK(both.item("b").frees_bytes == 0);
}

TEST_CASE("judge: BLOCKED names what blocks and the next step (I5)") {
  struct Row {
    Blocker blocker;
    bool on_tag;
    std::string said;
  };
  const std::vector<Row> table{
      {{Blocker::Kind::tag_rule, "releases"},
       true,
       "tag rule releases protects it; lifecycle: allow in that rule lets it go"},
      {{Blocker::Kind::lock, "until 2033-01-01 (compliance)"},
       true,
       "it is locked until 2033-01-01 (compliance); it can go once the lock has ended"},
      {{Blocker::Kind::lock, "until 2033-01-01 (compliance)"},
       false,
       "it is locked until 2033-01-01 (compliance); it can go once the lock has ended"},
      {{Blocker::Kind::hold, "case-7"}, false, "hold case-7 is on it; it can go once the hold is released"},
      {in_use, false, "it is in use by cluster prod; it can go once nothing there runs it"},
  };
  for (const Row& row : table) {
    World world = world_of({{"a", 90}});
    (row.on_tag ? world.tags[0].blocker : world.manifests[0].blocker) = row.blocker;
    const Plan plan(world, rules("", "{older_than: 7d}"));
    CHECK(plan.blocked() == "a");
    CHECK(plan.rule("a") == "ci");
    CHECK(plan.reason("a") == "expire entry 1 of rule ci (older_than 7d) would remove it, but " + row.said);
    CHECK(plan.judgement().items_blocked == 1);
    CHECK(Plan(world, rules("{tags: [a]}", "{older_than: 7d}")).kept() == "a");
    CHECK(Plan(world, rules("", "{tags: [b]}")).kept() == "a");
  }
  World untagged;
  untagged.manifest("u").blocker = in_use;
  CHECK(Plan(untagged, rules("", "{untagged: true}")).blocked() == "@u");
}

TEST_CASE("judge: what blocks a child or a referrer keeps what lists it or is its subject (I5)") {
  World world;
  world.image("outer").entries = {"index"};
  world.image("index").entries = {"amd64", "arm64"};
  world.manifest("amd64").blocker = in_use;
  world.manifest("arm64");
  world.image("subject");
  world.manifest("referrer").subject = "subject";
  world.manifests.back().blocker = Blocker{Blocker::Kind::hold, "case-7"};
  world.image("signed");
  world.manifest("signature").blocker = in_use;
  world.tag(signature_of('1'), "signature").signs = "signed";
  world.image("free");
  const Plan plan(world, rules("", "{everything_else: true}"));
  CHECK(plan.expired() == "free");
  CHECK(plan.blocked() == "index outer signed subject @amd64 @referrer");
  CHECK(plan.kept() == signature_of('1') + " @arm64");
  CHECK(plan.reason("outer") ==
        "expire entry 1 of rule ci (everything_else) would remove it, but an entry or referrer of it may not "
        "go: it "
        "is in use by cluster prod; it can go once nothing there runs it");
}

}  // namespace
}  // namespace stele::policy
