// If-Match and If-None-Match of those who write, decided inside the write transaction (RFC 9110, 13; I3).

#include "registry/preconditions.hpp"

#include <array>
#include <atomic>
#include <thread>

#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::preconditions_test {
namespace {

using namespace rules_test;

const std::string one = image({"l1"}), two = image({"l2"});

EntityCondition anything() {
  return {true, {}};
}
EntityCondition only(const std::string& bytes) {
  return {false, {digest_of(bytes).str()}};
}

class Conditional : public RulesFixture {
 public:
  std::string put(const std::string& bytes, const std::string& reference, const Preconditions& conditions) {
    const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
    ManifestPush push{
        name("a"), Reference::parse(reference).value(), {}, *manifest, bytes, DigestAlgorithm::sha256, actor};
    push.conditions = &conditions;
    return outcome(sync_wait(registry->put_manifest(std::move(push))));
  }
  std::string remove_if(const std::string& reference, const Preconditions& conditions) {
    return outcome(sync_wait(
        registry->delete_manifest(name("a"), Reference::parse(reference).value(), actor, &conditions)));
  }
};

TEST_CASE("preconditions: If-Match, then If-None-Match, on what is there (RFC 9110, 13.2.2)") {
  const Digest first = digest_of(one);
  const Preconditions none_there{std::nullopt, anything()}, any_there{anything(), std::nullopt},
      this_one{only(one), std::nullopt}, not_this{std::nullopt, only(one)}, both{only(one), only(one)};
  CHECK_FALSE(none_there.unmet(std::nullopt).has_value());
  CHECK(none_there.unmet(first).has_value());
  CHECK(any_there.unmet(std::nullopt).has_value());
  CHECK_FALSE(any_there.unmet(first).has_value());
  CHECK_FALSE(this_one.unmet(first).has_value());
  CHECK(this_one.unmet(digest_of(two)).has_value());
  CHECK(this_one.unmet(std::nullopt).has_value());
  CHECK(not_this.unmet(first).has_value());
  CHECK_FALSE(not_this.unmet(digest_of(two)).has_value());
  CHECK(both.unmet(first)->message().find("If-None-Match") != std::string::npos);
  CHECK(both.unmet(digest_of(two))->message().find("If-Match") != std::string::npos);
}

TEST_CASE("preconditions: a write whose condition does not hold leaves nothing (I3)") {
  Conditional registry;
  const Preconditions if_none{std::nullopt, anything()}, if_one{only(one), std::nullopt},
      if_two{only(two), std::nullopt};
  CHECK(registry.put(one, "t", if_one) == "PRECONDITION_FAILED");
  CHECK(registry.count("repositories") == 0);
  REQUIRE(registry.put(one, "t", if_none).empty());
  CHECK(registry.put(two, "t", if_none) == "PRECONDITION_FAILED");
  CHECK(registry.put(two, "t", if_two) == "PRECONDITION_FAILED");
  CHECK(registry.count("manifests") == 1);
  REQUIRE(registry.put(two, "t", if_one).empty());
  CHECK(registry.points_to("t") == digest_of(two));
  CHECK(registry.put(one, digest_of(one).str(), if_none) == "PRECONDITION_FAILED");

  const auto events = registry.count("events");
  CHECK(registry.remove_if("t", if_one) == "PRECONDITION_FAILED");
  CHECK(registry.remove_if(digest_of(two).str(), if_one) == "PRECONDITION_FAILED");
  CHECK(registry.points_to("t") == digest_of(two));
  CHECK(registry.count("events") == events);
  // What would fail without the condition fails as it does (RFC 9110, 13.2.1).
  CHECK(registry.remove_if("nothing", if_one) == "manifest_unknown");
  REQUIRE(registry.remove_if("t", if_two).empty());
  CHECK_FALSE(registry.points_to("t").has_value());
}

TEST_CASE("preconditions: of two pushes that want to be the first, exactly one is (I3)") {
  Conditional registry;
  constexpr int races = 50;
  const Preconditions if_none{std::nullopt, anything()};
  const std::array<std::string, 2> images{one, two};
  std::atomic<int> arrived{0}, won{0}, late{0};
  std::vector<std::thread> threads;
  for (const std::string& bytes : images) {
    threads.emplace_back([&] {
      const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
      for (int round = 0; round < races; ++round) {
        ++arrived;
        while (arrived < (round + 1) * 2) std::this_thread::yield();
        ManifestPush push{
            name("race"),  tag("t" + std::to_string(round)), {}, *manifest, bytes, DigestAlgorithm::sha256,
            registry.actor};
        push.conditions = &if_none;
        const auto pushed = sync_wait(registry.registry->put_manifest(std::move(push)));
        if (pushed) {
          ++won;
        } else if (is_unmet_precondition(pushed.error())) {
          ++late;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(won == races);
  CHECK(late == races);
  CHECK(registry.count("tag_history") == races);
}

}  // namespace
}  // namespace stele::preconditions_test
