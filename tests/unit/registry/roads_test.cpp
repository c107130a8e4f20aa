// Immutability by every road: each way to set a tag, to what it has or to something else, before and after
// each way to remove it, under each mutability, with and without reloads of the policy meanwhile. Never two
// digests (I3).

#include <atomic>
#include <thread>

#include "registry/policies.hpp"
#include "registry/repositories.hpp"
#include "registry/tag_moves.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele {
namespace {

using namespace rules_test;

// `other` is older than `held` and lacks one of its layers.
const std::string held = image({"l1", "l2"}, "1.1.0"), other = image({"l2"}, "0.9.0");

enum class TagWrite { put, tags_of_a_digest, retag, promote, roll_back };
enum class Before { nothing, bound, tag_deleted, digest_deleted, repository_deleted };

struct Kind {
  const char* rule;
  const char* refusal;  // of `other`; null: none
  bool deletes;
  bool goes_back;  // by a rollback
};
const Kind kinds[] = {{"mutability: mutable", nullptr, true, true},
                      {"mutability: immutable, delete: deny", "TAG_IMMUTABLE", false, false},
                      {"mutability: immutable, delete: allow", "TAG_IMMUTABLE", true, false},
                      {"mutability: forward-only", "TAG_FORWARD_ONLY", true, true},
                      {"mutability: append-only, delete: allow", "TAG_APPEND_ONLY", true, false}};

class TagWrites : public RulesFixture {
 public:
  std::string set(TagWrite write, const std::string& repository, const std::string& bytes) {
    // The content is there in any case: pushing by digest is always allowed.
    const std::string source = write == TagWrite::promote ? repository + "/source" : repository;
    if (write != TagWrite::put) {
      if (const auto refused = push(bytes, {}, source); !refused.empty()) return refused;
    }
    switch (write) {
      case TagWrite::put: {
        const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
        return outcome(sync_wait(registry->put_manifest(
            ManifestPush{name(repository), tag("t"), {}, *manifest, bytes, DigestAlgorithm::sha256, actor})));
      }
      case TagWrite::tags_of_a_digest:
        return push(bytes, {"t"}, repository);
      case TagWrite::retag:
      case TagWrite::promote:
        return outcome(
            sync_wait(TagMoves(context()).promote(Promotion{name(source),
                                                            Reference::parse(digest_of(bytes).str()).value(),
                                                            name(repository),
                                                            {tag("t")},
                                                            actor})));
      case TagWrite::roll_back:
        return outcome(sync_wait(TagMoves(context()).rollback(
            Rollback{name(repository), tag("t"), digest_of(bytes), std::nullopt, "because", actor})));
    }
    return "no such write";
  }

  std::string remove_by(Before how, const std::string& repository) {
    if (how == Before::tag_deleted) return remove("t", repository);
    if (how == Before::digest_deleted) return remove(digest_of(held).str(), repository);
    return outcome(sync_wait(Repositories(context()).remove(name(repository), actor)));
  }
};

// Every other version frees the names that `u` was bound to: a reload changes what is decided beside the
// road, and writes.
std::string policy_text(const char* rule, int version) {
  return "tag_rules: [{name: r, tags: [t], " + std::string(rule) + "}, {name: u, tags: [u], " +
         (version % 2 == 0 ? "mutability: immutable, delete: allow" : "mutability: mutable") + "}]  # " +
         std::to_string(version) + "\n";
}

// What is to come of setting the tag; "" when it moves, the code of the refusal, or of there being nothing to
// go back to.
std::string expected(const Kind& kind, Before before, TagWrite write, bool same) {
  const bool has_history = before != Before::nothing && before != Before::repository_deleted;
  if (write == TagWrite::roll_back && !has_history) return "manifest_unknown";
  if (before == Before::nothing || same || kind.refusal == nullptr) return "";
  if (write == TagWrite::roll_back && kind.goes_back) return "";
  return kind.refusal;
}

void check_every_write(const Kind& kind, bool reloading) {
  TagWrites registry;
  std::atomic<bool> done{false};
  std::atomic<int> reloads{0};
  std::thread reloader;
  int number = 0;
  for (const Before before : {Before::nothing, Before::bound, Before::tag_deleted, Before::digest_deleted,
                              Before::repository_deleted}) {
    for (const TagWrite write : {TagWrite::put, TagWrite::tags_of_a_digest, TagWrite::retag,
                                 TagWrite::promote, TagWrite::roll_back}) {
      for (const bool same : {true, false}) {
        const std::string repository = "r" + std::to_string(++number);
        INFO(kind.rule << ", before " << static_cast<int>(before) << ", write " << static_cast<int>(write)
                       << (same ? ", same" : ", other") << (reloading ? ", reloading" : ""));
        if (before != Before::nothing) {
          // A past in which it moved, so that there is something to go back to.
          registry.use("tag_rules: [{name: m, tags: [t], mutability: mutable}]\n");
          REQUIRE(registry.push(other, {"t"}, repository).empty());
          REQUIRE(registry.push(held, {"t"}, repository).empty());
        }
        registry.use(policy_text(kind.rule, 0));
        if (reloading) {
          REQUIRE(registry.push(held, {"u"}, "beside").empty());
          REQUIRE(registry.remove("u", "beside").empty());
          done = false;
          reloader = std::thread([&] {
            for (int version = 1; !done; ++version) {
              const auto loaded =
                  policy::load_policy("version: 1\n" + policy_text(kind.rule, version % 7), "p.yaml");
              if (sync_wait(Policies(registry.context()).adopt(loaded.policy, registry.actor)).has_value())
                ++reloads;
            }
          });
        }
        // One is over and the next at work when the road is taken, and again before the answer is looked at.
        const auto another_reload = [&] {
          if (!reloading) return;
          for (const int seen = reloads; reloads == seen;) std::this_thread::yield();
        };
        std::string removed, set;
        another_reload();
        if (before > Before::bound) removed = registry.remove_by(before, repository);
        const auto refusals = registry.count("events WHERE action = 'tag.refused'");
        set = registry.set(write, repository, same ? held : other);
        another_reload();
        if (reloading) {
          done = true;
          reloader.join();
        }
        const Before in_fact = before > Before::bound && !kind.deletes ? Before::bound : before;
        if (before > Before::bound) CHECK(removed == (kind.deletes ? "" : "TAG_DELETE_DENIED"));
        const std::string wanted = expected(kind, in_fact, write, same);
        CHECK(set == wanted);
        CHECK(registry.count("events WHERE action = 'tag.refused'") - refusals ==
              (wanted.starts_with("TAG_") ? 1 : 0));
        const auto points_to = registry.points_to("t", repository);
        if (set.empty()) {
          CHECK(points_to == digest_of(same ? held : other));
        } else if (in_fact == Before::bound) {
          CHECK(points_to == digest_of(held));
        } else {
          CHECK_FALSE(points_to.has_value());
        }
      }
    }
  }
  CHECK(number == 50);
  // In every cell a reload freed the name that was waiting for it.
  CHECK(registry.count("events WHERE action = 'name.released' AND tag = 'u'") == (reloading ? number : 0));
}

TEST_CASE("roads: every way to set a tag obeys its rule, before and after every way to remove it (I3)") {
  for (const Kind& kind : kinds) check_every_write(kind, false);
}

TEST_CASE("roads: the same while the policy is loaded again and again (I3)") {
  for (const Kind& kind : kinds) check_every_write(kind, true);
}

}  // namespace
}  // namespace stele
