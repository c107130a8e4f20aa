// What a tag under a rule may lose when it moves: append-only compares descriptors, a tag that may not be
// deleted is not emptied either, and a refusal says when the offered index contains what the tag points to.

#include "registry/retention.hpp"
#include "registry/tag_moves.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele {
namespace {

using namespace rules_test;
using Rules = RulesFixture;

// A signature's layer as cosign writes it: two signers have the same payload.
std::string signature(const std::string& signer, const std::string& payload = "payload",
                      const std::string& type = "application/vnd.dev.cosign.simplesigning.v1+json") {
  return R"({"mediaType":")" + type + R"(","digest":")" + digest_of(payload).str() + R"(","size":7)" +
         (signer.empty() ? ""
                         : R"(,"annotations":{"dev.cosignproject.cosign/signature":")" + signer + "\"}") +
         "}";
}

std::string joined(const std::vector<std::string>& descriptors) {
  std::string text;
  for (const auto& descriptor : descriptors) text += (text.empty() ? "" : ",") + descriptor;
  return text;
}

std::string signatures(const std::vector<std::string>& layers, const std::string& note = "") {
  return R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_manifest) +
         R"(","config":{"mediaType":"a/b","digest":")" + digest_of("{}").str() + R"(","size":2},"layers":[)" +
         joined(layers) + R"(],"annotations":{"note":")" + note + R"("}})";
}

std::string entry(const std::string& child, const std::string& more) {
  return R"({"mediaType":")" + std::string(media_type::oci_manifest) + R"(","digest":")" +
         digest_of(child).str() + R"(","size":)" + std::to_string(child.size()) + more + "}";
}

std::string index_with(const std::vector<std::string>& entries) {
  return R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) + R"(","manifests":[)" +
         joined(entries) + "]}";
}

const std::string append_only =
    "tag_rules: [{name: s, tags: [log], mutability: append-only, delete: allow}]\n";

TEST_CASE("append-only: a second signer of the same payload cannot drop the first signature (I3)") {
  Rules registry;
  registry.use(append_only);
  const std::string first = signatures({signature("alice")}), second = signatures({signature("bob")}),
                    both = signatures({signature("bob"), signature("alice")});
  REQUIRE(registry.push(first, {"log"}).empty());
  const bool deleted = GENERATE(false, true);
  if (deleted) {
    REQUIRE(registry.remove("log").empty());
    REQUIRE(registry.remove(digest_of(first).str()).empty());
  }
  CHECK(registry.push(second, {"log"}) == "TAG_APPEND_ONLY");
  // The refusal shows the descriptor, not only a digest that the offered manifest has too.
  INFO(registry.last_message);
  CHECK(registry.last_message.find(digest_of("payload").str()) != std::string::npos);
  CHECK(registry.last_message.find("cosign.simplesigning") != std::string::npos);
  CHECK(registry.last_message.find("alice") != std::string::npos);
  CHECK(registry.push(both, {"log"}).empty());
  CHECK(registry.push(first, {"log"}) == "TAG_APPEND_ONLY");
}

TEST_CASE("append-only: digest, media type, platform, annotations and how often: none may be lost (I3)") {
  Rules registry;
  registry.use(append_only);
  const std::string child = image({"l1"});
  const std::string amd = R"(,"platform":{"architecture":"amd64","os":"linux"})",
                    arm = R"(,"platform":{"architecture":"arm64","os":"linux"})";
  const auto index_moves = [&](const std::vector<std::string>& old, const std::vector<std::string>& next) {
    REQUIRE(registry.push(index_with(old), {"log"}, "i", media_type::oci_index).empty());
    return registry.push(index_with(next), {"log"}, "i", media_type::oci_index);
  };
  const auto image_moves = [&](const std::vector<std::string>& old, const std::vector<std::string>& next) {
    REQUIRE(registry.push(signatures(old, "old"), {"log"}, "m").empty());
    return registry.push(signatures(next, "next"), {"log"}, "m");
  };
  SECTION("another media type") {
    CHECK(image_moves({signature("a")}, {signature("a", "payload", "other/type")}) == "TAG_APPEND_ONLY");
  }
  SECTION("an annotation that is gone") {
    CHECK(image_moves({signature("a")}, {signature("")}) == "TAG_APPEND_ONLY");
  }
  SECTION("once instead of twice") {
    CHECK(image_moves({signature("a"), signature("a")}, {signature("a"), signature("b")}) ==
          "TAG_APPEND_ONLY");
  }
  SECTION("another platform") {
    CHECK(index_moves({entry(child, amd)}, {entry(child, arm)}) == "TAG_APPEND_ONLY");
    CHECK(registry.last_message.find("linux/amd64") != std::string::npos);
  }
  SECTION("no platform any more") {
    CHECK(index_moves({entry(child, amd)}, {entry(child, "")}) == "TAG_APPEND_ONLY");
  }
  SECTION("another order, members in another order, and empty annotations are the same") {
    const std::string turned = R"(,"annotations":{},"platform":{"os":"linux","architecture":"amd64"})";
    CHECK(index_moves({entry(child, amd), entry(child, arm)}, {entry(child, arm), entry(child, turned)})
              .empty());
  }
  SECTION("twice instead of once is more") {
    CHECK(image_moves({signature("a")}, {signature("a"), signature("a")}).empty());
  }
}

TEST_CASE("append-only: a name that an earlier version wrote down with digests alone is still bound (I3)") {
  Rules registry;
  registry.use(append_only);
  const std::string old = signatures({signature("alice")}), next = signatures({signature("bob")}),
                    without = signatures({signature("bob", "else")});
  REQUIRE(registry.push(old, {"log"}).empty());
  REQUIRE(registry.remove("log").empty());
  auto pending = registry.writer->write({}, [&](sql::Tx& tx) -> Result<void> {
    tx.execute("UPDATE removed_names SET content = $1", digest_of("payload").str() + "\n");
    return {};
  });
  REQUIRE(
      sync_wait([](auto waiting) -> Task<Result<void>> { co_return co_await waiting; }(std::move(pending)))
          .has_value());
  CHECK(registry.push(without, {"log"}) == "TAG_APPEND_ONLY");
  CHECK(registry.push(next, {"log"}).empty());
}

TEST_CASE("append-only: a damaged manifest can be removed, and its name stays bound by its digests (I3)") {
  Rules registry;
  registry.use(append_only);
  const std::string old = signatures({signature("alice")}), without = signatures({signature("bob", "else")});
  REQUIRE(registry.push(old, {"log"}).empty());
  auto pending = registry.writer->write({}, [&](sql::Tx& tx) -> Result<void> {
    tx.execute("UPDATE manifests SET bytes = x'7b7d' WHERE digest = $1", digest_of(old).str());
    return {};
  });
  REQUIRE(
      sync_wait([](auto waiting) -> Task<Result<void>> { co_return co_await waiting; }(std::move(pending)))
          .has_value());
  CHECK(registry.push(without, {"log"}) == "corrupt");  // nobody can tell what would be lost (I8)
  REQUIRE(registry.remove("log").empty());
  CHECK(registry.push(without, {"log"}) == "TAG_APPEND_ONLY");
}

TEST_CASE("tag rules: what may not be deleted is not emptied by a move either (I3)") {
  Rules registry;
  registry.use("tag_rules: [{name: kept, tags: [stable], mutability: mutable, delete: deny}]\n");
  const std::string real = image({"l1"}), other = image({"l2"}), dummy = signatures({}, "dummy"),
                    dummy_index = index_with({});
  REQUIRE(registry.push(real, {"stable", "free"}).empty());
  CHECK(registry.push(dummy, {"stable"}) == "TAG_DELETE_DENIED");
  INFO(registry.last_message);
  CHECK(registry.last_message.find("neither layers nor entries") != std::string::npos);
  CHECK(registry.last_message.find("rule kept") != std::string::npos);
  CHECK(registry.push(dummy_index, {"stable"}, "a", media_type::oci_index) == "TAG_DELETE_DENIED");
  CHECK(registry.points_to("stable") == digest_of(real));
  CHECK(registry.count("events WHERE action = 'tag.refused' AND reason = 'TAG_DELETE_DENIED'") == 2);
  // Nor to one whose layer is the empty descriptor, as regctl makes it.
  const std::string empty_layer = R"({"mediaType":"application/vnd.oci.empty.v1+json","digest":")" +
                                  digest_of("{}").str() + R"(","size":2})";
  CHECK(registry.push(signatures({empty_layer}, "regctl"), {"stable"}) == "TAG_DELETE_DENIED");
  // Nor by copying a dummy that is already here.
  REQUIRE(registry.push(dummy, {"source"}).empty());
  CHECK(registry.outcome(sync_wait(
            TagMoves(registry.context())
                .promote(Promotion{name("a"), tag("source"), name("a"), {tag("stable")}, registry.actor}))) ==
        "TAG_DELETE_DENIED");
  CHECK(registry.push(other, {"stable"}).empty());  // it is mutable: to something it moves
  CHECK(registry.push(dummy, {"free"}).empty());    // delete: allow
  // The first binding always passes, and nothing may follow on nothing.
  registry.use("tag_rules: [{name: kept, tags: [stable, new], mutability: mutable, delete: deny}]\n");
  REQUIRE(registry.push(dummy, {"new"}).empty());
  CHECK(registry.push(signatures({}, "another"), {"new"}).empty());
}

TEST_CASE("tag rules: a hold keeps a tag from being emptied by a move") {
  Rules registry;
  registry.use("tag_rules: []\n");
  const std::string real = image({"l1"}), other = image({"l2"}), dummy = signatures({}, "dummy");
  REQUIRE(registry.push(real, {"t"}).empty());
  const bool all = GENERATE(false, true);
  NewHold hold{"case-hold", "C-1", "because", name("a"), std::nullopt, registry.actor};
  if (!all) hold.reference = tag("t");
  REQUIRE(sync_wait(Retention(registry.context()).set_hold(std::move(hold))).has_value());
  CHECK(registry.push(dummy, {"t"}) == "HELD");
  INFO(registry.last_message);
  CHECK(registry.last_message.find("case-hold") != std::string::npos);
  CHECK(registry.points_to("t") == digest_of(real));
  CHECK(registry.push(other, {"t"}).empty());
}

TEST_CASE("tag rules: the refusal says that the offered index contains what the tag points to") {
  Rules registry;
  const std::string platform = image({"l1"}), other = image({"l2"});
  REQUIRE(registry.push(platform, {"3.0.0"}).empty());
  CHECK(registry.push(index_of({platform, other}), {"3.0.0"}, "a", media_type::oci_index) == "TAG_IMMUTABLE");
  CHECK(registry.last_message.find("an index that contains it") != std::string::npos);
  CHECK(registry.push(index_of({other}), {"3.0.0"}, "a", media_type::oci_index) == "TAG_IMMUTABLE");
  CHECK(registry.last_message.find("contains it") == std::string::npos);
}

}  // namespace
}  // namespace stele
