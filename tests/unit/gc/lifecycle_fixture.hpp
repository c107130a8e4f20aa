#pragma once
// A registry that has run for longer than a lease, with a policy, lifecycle runs and what tests of them need.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/media_type.hpp"
#include "gc/collector.hpp"
#include "gc/lifecycle/runs.hpp"
#include "policy/load.hpp"
#include "registry/in_use.hpp"
#include "registry/retention.hpp"
#include "registry/tag_moves.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::lifecycle_test {

using rules_test::name;
using rules_test::tag;

inline constexpr std::int64_t lease = Leases::default_seconds;
inline constexpr std::int64_t day = 24 * 60 * 60;

inline const char* const old_prs = R"(
lifecycle: {max_fraction: 1.0, keep_last: 0, ignore_pulls_by: ["robot:scanner"]}
lifecycle_rules:
  - name: ci
    expire:
      - {tags: ["pr-*"], older_than: 14d}
      - {untagged: true, older_than: 7d}
)";

class LifecycleFixture : public RegistryFixture {
 public:
  explicit LifecycleFixture(const std::string& rules, const RegistryPlace& place = {})
      : RegistryFixture(ReferenceMode::strict, {}, place) {
    REQUIRE(pulls->flush().has_value());  // as a server does before it answers: pulls are known from now on
    settle();
    load(rules);
  }

  // `rules`: what stands in policy.yaml behind version: 1.
  void load(const std::string& rules) {
    const auto loaded = policy::load_policy("version: 1\n" + rules, "policy.yaml");
    INFO(loaded.problems.to_string());
    REQUIRE(loaded.policy);
    policy.replace(loaded.policy);
  }

  void pass(std::int64_t seconds) {
    clock.advance(seconds);
    boot.advance(seconds);
  }
  void settle() { pass(lease + 1); }

  gc::LifecycleRuns& runs() {
    if (!runs_) {
      runs_ = std::make_unique<gc::LifecycleRuns>(context(), run_settings);
    }
    return *runs_;
  }
  void stop_runs() { runs_.reset(); }
  gc::RunSettings run_settings{50, 50, std::chrono::milliseconds(20)};  // of the next runs()

  catalog::RunRow run() {
    const auto done = sync_wait(runs().run(actor));
    INFO((done ? std::string() : done.error().message()));
    REQUIRE(done.has_value());
    INFO(done->run.message);
    REQUIRE(done->run.state == "done");
    return done->run;
  }

  std::string image(const std::string& note, const std::string& repository = "a",
                    const std::string& subject = "") {
    const Digest config = push_blob(repository, "{}");
    const Digest layer = push_blob(repository, "layer of " + note);
    return R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_manifest) +
           R"(","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" + config.str() +
           R"(","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" +
           layer.str() + R"(","size":)" + std::to_string(("layer of " + note).size()) + "}]" +
           (subject.empty() ? ""
                            : R"(,"subject":{"mediaType":")" + std::string(media_type::oci_manifest) +
                                  R"(","digest":")" + subject + R"(","size":2})") +
           R"(,"annotations":{"n":")" + note + R"("}})";
  }

  static std::string index_of(const std::vector<Digest>& children) {
    std::string entries;
    for (const Digest& child : children) {
      entries += std::string(entries.empty() ? "" : ",") + R"({"mediaType":")" +
                 std::string(media_type::oci_manifest) + R"(","digest":")" + child.str() + R"(","size":2})";
    }
    return R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) + R"(","manifests":[)" +
           entries + "]}";
  }

  // By tag, or by digest when `to` is empty.
  Result<Digest> put(const std::string& bytes, const std::string& to, const std::string& repository = "a") {
    const bool is_index = bytes.find(R"("manifests":)") != std::string::npos;
    const auto manifest = Manifest::parse(is_index ? media_type::oci_index : media_type::oci_manifest, bytes);
    REQUIRE(manifest.has_value());
    const Reference reference =
        to.empty() ? Reference(Digest::of(DigestAlgorithm::sha256, bytes)) : Reference(tag(to));
    auto pushed = sync_wait(registry->put_manifest(
        ManifestPush{name(repository), reference, {}, *manifest, bytes, DigestAlgorithm::sha256, actor}));
    if (!pushed) return pushed.error();
    return pushed->digest;
  }

  Digest push(const std::string& note, const std::string& to, const std::string& repository = "a",
              const std::string& subject = "") {
    const auto pushed = put(image(note, repository, subject), to, repository);
    INFO((pushed ? std::string() : pushed.error().message()));
    REQUIRE(pushed.has_value());
    return *pushed;
  }

  Digest push_index(const std::vector<Digest>& children, const std::string& to,
                    const std::string& repository = "a") {
    const auto pushed = put(index_of(children), to, repository);
    INFO((pushed ? std::string() : pushed.error().message()));
    REQUIRE(pushed.has_value());
    return *pushed;
  }

  // A client's pull: it leases and counts, unless the policy says that this principal's do not.
  bool pull(const Reference& reference, const std::string& repository = "a",
            const Principal& principal = Principal("tester")) {
    const Look look = registry->look_of(principal);
    const auto found = sync_wait(registry->manifest(name(repository), reference, look));
    if (!found) return false;
    if (look == Look::use) registry->count_pull(*found);
    return true;
  }

  // Without touching anything.
  bool has(const Digest& digest, const std::string& repository = "a") {
    return count("manifests m JOIN repositories r ON r.id = m.repository_id WHERE r.name = '" + repository +
                 "' AND m.digest = '" + digest.str() + "'") == 1;
  }
  bool has_tag(const std::string& wanted, const std::string& repository = "a") {
    return count("tags t JOIN repositories r ON r.id = t.repository_id WHERE r.name = '" + repository +
                 "' AND t.name = '" + wanted + "'") == 1;
  }

  struct Item {
    std::string tag;
    std::string digest;
    policy::Verdict verdict;
    std::string rule;
    std::string reason;
    std::int64_t frees_bytes;
  };
  struct Plan {
    gc::PlanSummary summary;
    std::vector<Item> items;
    gc::ApprovedPlan approved;
  };
  Plan plan(const std::string& repositories = "**") {
    Plan made;
    const auto wanted = policy::PatternList::compile({repositories}).value();
    const auto summary =
        gc::make_plan(context(), *policy.current(), wanted, [&](const gc::PlannedItem& item) -> Result<void> {
          made.items.push_back({std::string(item.tag), item.digest, item.verdict, std::string(item.rule),
                                std::string(item.reason), item.frees_bytes});
          if (item.verdict == policy::Verdict::expire)
            made.approved.items[item.repository].emplace(item.tag, item.digest);
          return {};
        });
    REQUIRE(summary.has_value());
    made.summary = *summary;
    made.approved.hash = summary->hash;
    made.approved.policy_hash = summary->policy_hash;
    made.approved.made_at = summary->made_at;
    return made;
  }

 private:
  std::unique_ptr<gc::LifecycleRuns> runs_;
};

}  // namespace stele::lifecycle_test
