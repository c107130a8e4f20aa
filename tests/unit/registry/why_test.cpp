// Why something is here, and how it went (registry/why.hpp).

#include "registry/why.hpp"

#include <algorithm>

#include "base/media_type.hpp"
#include "gc/write_now.hpp"
#include "registry/in_use.hpp"
#include "registry/repositories.hpp"
#include "registry/retention.hpp"
#include "storage/catalog/in_use.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::why_test {
namespace {

using namespace rules_test;

const std::string one = image({"l1"}), two = image({"l2"});

class WhyRegistry : public RulesFixture {
 public:
  using RulesFixture::RulesFixture;

  Result<Why> ask(const std::string& reference = "", const std::string& repository = "a",
                  const Whys::Judge& judge = {}) {
    WhyQuery query{name(repository), std::nullopt};
    if (!reference.empty()) query.reference = Reference::parse(reference).value();
    return sync_wait(Whys(context(), judge).ask(std::move(query)));
  }
  Why why(const std::string& reference = "", const std::string& repository = "a") {
    auto answer = ask(reference, repository);
    INFO((answer ? std::string() : answer.error().message()));
    REQUIRE(answer.has_value());
    return std::move(*answer);
  }
  std::string never(const std::string& reference = "", const std::string& repository = "a") {
    const auto answer = ask(reference, repository);
    REQUIRE_FALSE(answer.has_value());
    CHECK((answer.error().code() == Errc::manifest_unknown || answer.error().code() == Errc::name_unknown));
    return answer.error().message();
  }
  template <class F>
  void write(F f) {
    const auto written = gc::write_now(*writer, {}, [&](sql::Tx& tx) -> Result<void> {
      f(tx, catalog::find_repository(tx, name("a")).value());
      return {};
    });
    REQUIRE(written.has_value());
  }
  void remove_repository() {
    REQUIRE(sync_wait(Repositories(context()).remove(name("a"), actor)).has_value());
  }
};

std::vector<std::string> reasons(const WhyContent& content) {
  std::vector<std::string> all;
  for (const Error& error : content.protections) {
    for (const auto& member : error.details()) {
      if (member.key == "reason") all.push_back(member.value);
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

TEST_CASE("why: a manifest is here for its tags, its indexes, what refers to it and its subject") {
  WhyRegistry registry;
  registry.use("tag_rules: [{name: r, tags: [\"1.*\"], mutability: immutable, delete: deny}]\n");
  REQUIRE(registry.push(one, {"1.0", "latest"}).empty());
  REQUIRE(registry.push(index_of({one}), {"all"}, "a", media_type::oci_index).empty());
  const std::string referrer = image({"l3"}, "", "", digest_of(one).str());
  REQUIRE(registry.push(referrer, {}).empty());

  const Why why = registry.why("1.0");
  CHECK(why.present);
  CHECK(why.digest == digest_of(one));
  REQUIRE(why.content);
  CHECK(why.content->manifest);
  CHECK(why.content->size == one.size());
  CHECK(why.content->pushed_at == registry.clock.now());
  CHECK(why.content->pushed_by == "tester");
  REQUIRE(why.content->tags.size() == 2);
  CHECK(why.content->tags[0].binding.tag == tag("1.0"));
  CHECK(why.content->tags[0].rule == "r");
  CHECK(why.content->tags[0].mutability == policy::Mutability::immutable);
  CHECK_FALSE(why.content->tags[0].may_delete);
  CHECK(why.content->tags[0].lifecycle_protects);
  CHECK(why.content->tags[1].may_delete);
  CHECK(why.content->named_by == std::vector<Digest>{digest_of(index_of({one}))});
  CHECK(why.content->referrers == std::vector<Digest>{digest_of(referrer)});
  CHECK_FALSE(why.content->subject);
  CHECK(why.content->protections.empty());
  CHECK(why.departures.empty());
  CHECK(why.removals.empty());

  const Why of_referrer = registry.why(digest_of(referrer).str());
  REQUIRE(of_referrer.content);
  CHECK(of_referrer.content->subject == digest_of(one));
  CHECK(of_referrer.content->subject_is_here);
  CHECK(of_referrer.content->tags.empty());
}

TEST_CASE("why: every lock, hold and cluster that reaches it is told") {
  WhyRegistry registry;
  registry.use(
      "tag_rules: [{name: keep, tags: [\"1.*\"], mutability: immutable, lock: {for: 10d, mode: "
      "compliance}}]\n");
  REQUIRE(registry.push(one, {}).empty());
  const std::string index = index_of({one});
  REQUIRE(registry.push(index, {"1.0"}, "a", media_type::oci_index).empty());
  NewHold asked{"trial", "2026/77", "subpoena", name("a"), Reference(digest_of(one)), registry.actor};
  REQUIRE(sync_wait(Retention(registry.context()).set_hold(std::move(asked))).has_value());
  registry.write([&](sql::Tx& tx, catalog::RepositoryId) {
    const auto cluster = ClusterName::parse("prod").value();
    catalog::put_in_use_report(tx, {cluster, registry.clock.now(), "tester", 60, 1, 1, 0});
    catalog::add_in_use(tx, cluster, name("a"), digest_of(index), registry.clock.now());
  });
  const Why why = registry.why(digest_of(one).str());
  CHECK(reasons(*why.content) == std::vector<std::string>{"HELD", "IN_USE", "LOCKED"});
  CHECK(registry.why(digest_of(index).str()).content->protections.size() == 2);

  const Why whole = registry.why();
  CHECK(whole.present);
  REQUIRE(whole.whole);
  CHECK(whole.whole->usage.manifests == 2);
  CHECK(whole.whole->lock->rule == "keep");
  CHECK(whole.whole->hold->name == "trial");
  CHECK(whole.whole->in_use == 1);
}

TEST_CASE("why: pulls, leases and the time without a tag are told as far as they are known") {
  WhyRegistry registry;
  REQUIRE(registry.push(one, {"v1"}).empty());
  CHECK(registry.why("v1").content->settling);
  CHECK_FALSE(registry.why("v1").content->pulled_at);
  registry.clock.advance(Leases::default_seconds + 1);
  CHECK_FALSE(registry.why("v1").content->settling);
  CHECK_FALSE(registry.why("v1").content->leased);
  const auto found = sync_wait(registry.registry->manifest(name("a"), tag("v1")));
  registry.registry->count_pull(*found);
  CHECK(registry.why("v1").content->leased);
  CHECK(registry.why("v1").content->pulled_at >= registry.clock.now());  // to ten minutes, rounded up
  const Timestamp untagged_at = registry.clock.now();
  REQUIRE(registry.remove("v1").empty());
  CHECK(registry.why(digest_of(one).str()).content->untagged_since == untagged_at);
}

TEST_CASE("why: a blob is here for the manifests that need it") {
  WhyRegistry registry;
  const Digest layer = registry.push_blob("a", "l1");
  CHECK(registry.why(layer.str()).content->named_by.empty());
  REQUIRE(registry.push(one, {"v1"}).empty());
  const Why why = registry.why(layer.str());
  CHECK(why.present);
  CHECK_FALSE(why.content->manifest);
  CHECK(why.content->size == 2);
  CHECK(why.content->named_by == std::vector<Digest>{digest_of(one)});
}

TEST_CASE("why: the verdict comes from whoever can judge, for what is here") {
  WhyRegistry registry;
  REQUIRE(registry.push(one, {"v1"}).empty());
  CHECK_FALSE(registry.why("v1").content->verdict);
  const Whys::Judge judge = [](const RepositoryName& repository, const std::optional<Tag>& tag,
                               const Digest& digest) -> std::optional<WhyVerdict> {
    CHECK(repository == name("a"));
    CHECK(digest == digest_of(one));
    return WhyVerdict{"EXPIRE", "ci", tag ? "by tag" : "by digest"};
  };
  CHECK(registry.ask("v1", "a", judge)->content->verdict->reason == "by tag");
  CHECK(registry.ask(digest_of(one).str(), "a", judge)->content->verdict->reason == "by digest");
}

TEST_CASE("why: a tag that was deleted, its name bound, its manifest still here") {
  WhyRegistry registry;
  registry.use("tag_rules: [{name: r, tags: [\"1.*\"], mutability: immutable, delete: allow}]\n");
  REQUIRE(registry.push(one, {"1.0"}).empty());
  registry.clock.advance(60);
  const Timestamp deleted_at = registry.clock.now();
  REQUIRE(registry.remove("1.0").empty());
  CHECK(registry.push(two, {"1.0"}) == "TAG_IMMUTABLE");  // a refusal is no removal
  const Why why = registry.why("1.0");
  CHECK_FALSE(why.present);
  REQUIRE(why.removals.size() == 1);
  CHECK(why.removals[0].at == deleted_at);
  CHECK(why.removals[0].actor == "tester");
  CHECK(why.removals[0].action == "tag.delete");
  CHECK(why.removals[0].rule == "r");
  CHECK(why.removals[0].digest == digest_of(one));
  CHECK(why.digest == digest_of(one));
  CHECK(why.bound->digest == digest_of(one));
  CHECK(why.content.has_value());
  CHECK(why.departures.empty());
}

TEST_CASE("why: a name that a later policy released is no longer bound, and its removal is still told") {
  WhyRegistry registry;
  registry.use("tag_rules: [{name: r, tags: [\"1.*\"], mutability: immutable, delete: allow}]\n");
  REQUIRE(registry.push(one, {"1.0"}).empty());
  REQUIRE(registry.remove("1.0").empty());
  registry.use("default: {mutability: mutable}\ntag_rules: []\n");
  const Why why = registry.why("1.0");
  CHECK_FALSE(why.bound);
  CHECK(why.removals.size() == 1);  // the release is none
}

TEST_CASE("why: a manifest that was deleted, and pushed again") {
  WhyRegistry registry;
  REQUIRE(registry.push(one, {"v1"}).empty());
  const Timestamp deleted_at = registry.clock.now();
  REQUIRE(registry.remove(digest_of(one).str()).empty());
  const Why gone = registry.why(digest_of(one).str());
  CHECK_FALSE(gone.present);
  CHECK_FALSE(gone.content);
  REQUIRE(gone.departures.size() == 1);
  CHECK(gone.departures[0].departure.action == "manifest.delete");
  CHECK(gone.departures[0].departure.at == deleted_at);
  CHECK(gone.departures[0].departure.actor == "tester");
  CHECK_FALSE(gone.departures[0].departure.run);
  CHECK_FALSE(gone.departures[0].repository);
  // By its tag too.
  CHECK(registry.why("v1").departures.size() == 1);
  REQUIRE(registry.push(one, {"v1"}).empty());
  const Why again = registry.why(digest_of(one).str());
  CHECK(again.present);
  CHECK(again.departures.size() == 1);
}

TEST_CASE("why: years after its repository was deleted, everything that was in it is told (I4)") {
  WhyRegistry registry;
  REQUIRE(registry.push(one, {"v1"}).empty());
  REQUIRE(registry.push(two, {"v2"}).empty());
  REQUIRE(registry.remove(digest_of(two).str()).empty());
  registry.clock.advance(60);
  const Timestamp deleted_at = registry.clock.now();
  registry.remove_repository();
  registry.clock.advance(5LL * 365 * 24 * 3600);
  registry.restart();

  const auto check = [&] {
    const Why manifest = registry.why(digest_of(one).str());
    CHECK_FALSE(manifest.present);
    REQUIRE(manifest.departures.size() == 1);
    CHECK(manifest.departures[0].departure.at == deleted_at);
    REQUIRE(manifest.departures[0].repository);
    CHECK(manifest.departures[0].repository->action == "repository.delete");
    CHECK_FALSE(registry.why(digest_of(two).str()).departures.at(0).repository);  // it went before
    const Why by_tag = registry.why("v1");
    CHECK_FALSE(by_tag.present);
    REQUIRE(by_tag.removals.size() == 1);
    CHECK(by_tag.removals[0].at == deleted_at);
    CHECK(by_tag.digest == digest_of(one));
    CHECK(by_tag.departures.size() == 1);
  };
  check();
  const Why whole = registry.why();
  CHECK_FALSE(whole.present);
  REQUIRE(whole.departures.size() == 1);
  CHECK(whole.departures[0].departure.action == "repository.delete");
  CHECK(registry.never("v9").find("the repository was deleted") != std::string::npos);
  // Somebody took its name since.
  REQUIRE(registry.push(image({"other"}), {"latest"}).empty());
  check();
  CHECK(registry.why().present);
  CHECK(registry.why().departures.size() == 1);
}

TEST_CASE("why: what lifecycle took is told with its run, and where it can be restored") {
  WhyRegistry registry;
  REQUIRE(registry.push(one, {}).empty());
  const Timestamp now = registry.clock.now();
  const auto move_to_trash = [&](std::int64_t run) {
    registry.write([&](sql::Tx& tx, catalog::RepositoryId id) {
      const auto manifest = catalog::find_manifest(tx, id, digest_of(one)).value();
      const auto event = audit::append(
          tx, audit::Event{"manifest.expire", "a", {}, digest_of(one), std::nullopt, "ci", "older than 14d"},
          registry.actor, now);
      catalog::record_departure(tx, name("a"), digest_of(one), event, run);
      catalog::put_in_trash(tx, {run, id, manifest.digest, manifest.id, {}, now, now + 60, "ci", "older"});
    });
  };
  move_to_trash(7);
  const Why why = registry.why(digest_of(one).str());
  CHECK_FALSE(why.present);
  REQUIRE(why.departures.size() == 1);
  CHECK(why.departures[0].departure.run == 7);
  CHECK(why.departures[0].departure.rule == "ci");
  CHECK(why.departures[0].departure.reason == "older than 14d");
  REQUIRE(why.trash);
  CHECK(why.trash->erase_after == now + 60);
  registry.write([&](sql::Tx& tx, catalog::RepositoryId) { catalog::forget_trash(tx, why.trash->id); });
  const Why erased = registry.why(digest_of(one).str());
  CHECK_FALSE(erased.trash);
  CHECK(erased.departures.size() == 1);
}

TEST_CASE("why: what never was here is said with what is known") {
  WhyRegistry registry;
  CHECK(registry.never("v1", "nobody") ==
        "repository nobody is not here and, as far as the record goes, never was");
  CHECK(registry.never("", "nobody") == registry.never("v1", "nobody"));
  REQUIRE(registry.push(one, {"v1"}).empty());
  CHECK(registry.never("v2").find("with 1 manifests") != std::string::npos);
  CHECK(registry.never(digest_of(two).str()).find("never was") != std::string::npos);
  registry.push_blob("b", "l9");
  CHECK(registry.never(digest_of("l9").str()).find("never was") != std::string::npos);  // another's (I9)
}

}  // namespace
}  // namespace stele::why_test
