// What repositories hold, as people ask for it, and kept right by everything that the registry does.

#include "registry/usage.hpp"

#include <map>
#include <random>

#include "base/media_type.hpp"
#include "registry/repositories.hpp"
#include "registry/tag_moves.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele {
namespace {

using namespace rules_test;

class UsageRegistry : public RulesFixture {
 public:
  using RulesFixture::RulesFixture;

  UsagePage page(const std::string& pattern, std::int64_t limit = 1000, const std::string& after = "",
                 const Usages::WouldFree& judge = {}) {
    auto listed = sync_wait(Usages(context(), judge).list(UsageQuery{pattern, after, limit, true}));
    REQUIRE(listed.has_value());
    return *listed;
  }
  std::vector<std::string> names(const std::string& pattern) {
    std::vector<std::string> found;
    for (const auto& row : page(pattern).rows) found.push_back(row.repository.str());
    return found;
  }
  void require_recounted() {
    const auto wrong = database->read([](sql::Session& session) -> Result<std::string> {
      std::string different;
      for (const auto& row : catalog::list_usage(session, "", catalog::Begin::after, 1000)) {
        const auto id = catalog::find_repository(session, row.repository).value();
        if (catalog::recount_usage(session, id) != row.usage) different += row.repository.str() + " ";
      }
      return different;
    });
    REQUIRE(wrong.has_value());
    REQUIRE(*wrong == "");
  }
};

TEST_CASE("usage: repositories are found by a pattern, in pages") {
  UsageRegistry registry;
  for (const char* repository : {"ci/a", "ci/b", "ci/b/c", "cia", "prod/a"})
    REQUIRE(registry.push(image({"l"}), {"v1"}, repository).empty());
  using Names = std::vector<std::string>;
  CHECK(registry.names("") == Names{"ci/a", "ci/b", "ci/b/c", "cia", "prod/a"});
  CHECK(registry.names("ci/**") == Names{"ci/a", "ci/b", "ci/b/c"});
  CHECK(registry.names("ci/*") == Names{"ci/a", "ci/b"});
  CHECK(registry.names("ci/b") == Names{"ci/b"});
  CHECK(registry.names("{prod,ci}/a") == Names{"ci/a", "prod/a"});
  CHECK(registry.names("/.*a/") == Names{"ci/a", "cia", "prod/a"});
  CHECK(registry.names("zz").empty());
  const auto wrong = sync_wait(Usages(registry.context()).list(UsageQuery{"{", "", 9, false}));
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error().code() == Errc::parameter_invalid);

  Names paged;
  for (std::string after;;) {
    const auto page = registry.page("ci*/**", 1, after);
    for (const auto& row : page.rows) paged.push_back(row.repository.str());
    if (page.next.empty()) break;
    after = page.next;
  }
  CHECK(paged == Names{"ci/a", "ci/b", "ci/b/c"});
}

TEST_CASE("usage: what a clean-up would free is asked of whoever knows, and absent otherwise") {
  UsageRegistry registry;
  for (const char* repository : {"a", "b"}) REQUIRE(registry.push(image({"l"}), {"v1"}, repository).empty());
  CHECK_FALSE(registry.page("").rows.at(0).would_free);
  const auto judge = [](const RepositoryName& repository) -> std::optional<std::int64_t> {
    if (repository.str() == "b") return std::nullopt;
    return 42;
  };
  const auto page = registry.page("", 1000, "", judge);
  CHECK(page.rows.at(0).would_free == 42);
  CHECK_FALSE(page.rows.at(1).would_free);
  const auto not_asked = sync_wait(Usages(registry.context(), judge).list(UsageQuery{"", "", 9, false}));
  CHECK_FALSE(not_asked->rows.at(0).would_free);
}

TEST_CASE("usage: totals are the sum over all repositories") {
  UsageRegistry registry;
  const std::string bytes = image({"l"});
  registry.push_blob("a", "l");
  REQUIRE(registry.push(bytes, {"v1"}, "a").empty());
  registry.push_blob("b", "l");
  REQUIRE(registry.push(bytes, {"v1"}, "b").empty());
  registry.push_blob("b", "own");
  const auto totals = Usages(registry.context()).totals();
  REQUIRE(totals.has_value());
  CHECK(totals->repositories == 2);
  CHECK(totals->sum.manifests == 2);
  CHECK(totals->sum.shared_bytes == 2);
  CHECK(totals->sum.unique_bytes() == static_cast<std::int64_t>(2 * bytes.size()) + 3);
  CHECK(totals->sum.logical_bytes() == totals->sum.unique_bytes() + 2);
}

TEST_CASE("usage: random pushes, mounts, promotions and deletions agree with a recount after every step") {
  const std::uint64_t seed = GENERATE(from_range(test_seeds(4)));
  INFO("TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto pick = [&](std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
  };
  UsageRegistry registry;
  const auto repository = [&] { return "r" + std::to_string(pick(3)); };
  const auto content = [&] { return std::string(1 + pick(5), 'x'); };
  std::map<std::string, unsigned> done;
  for (int step = 0; step < 250; ++step) {
    INFO("step " << step);
    const std::string in = repository();
    const std::string bytes = image({content()});
    switch (pick(9)) {
      case 0:
      case 1:
        registry.push_blob(in, content());
        break;
      case 2:
      case 3:
        done["push"] += registry.push(bytes, {"t" + std::to_string(pick(3))}, in).empty();
        break;
      case 4: {
        const auto mounted = sync_wait(registry.registry->mount_blob(
            BlobMount{name(in), digest_of(content()), name(repository()), registry.actor}));
        done["mount"] += mounted && *mounted;
        break;
      }
      case 5:
        done["delete"] += registry.remove(digest_of(bytes).str(), in).empty();
        break;
      case 6:
        done["unlink"] +=
            sync_wait(registry.registry->delete_blob(name(in), digest_of(content()), registry.actor))
                .has_value();
        break;
      case 7: {
        Promotion promotion{name(in), tag("t0"), name(repository()), {tag("p")}, registry.actor};
        done["promote"] += sync_wait(TagMoves(registry.context()).promote(std::move(promotion))).has_value();
        break;
      }
      default:
        if (pick(3) == 0)
          done["repository"] +=
              sync_wait(Repositories(registry.context()).remove(name(in), registry.actor)).has_value();
    }
    registry.require_recounted();
  }
  for (const char* road : {"push", "mount", "delete", "unlink", "repository"}) {
    INFO(road);
    CHECK(done[road] > 0);
  }
}

}  // namespace
}  // namespace stele
