// What clusters run: how references are read, what they protect, and what ends protection (I5): nothing but a
// report without, or a person.

#include "registry/in_use.hpp"

#include <atomic>
#include <thread>

#include "base/image_reference.hpp"
#include "registry/repositories.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::in_use_test {
namespace {

using namespace rules_test;
using Texts = std::vector<std::string>;

const std::string one = image({"l1"}), two = image({"l2"});
const std::string d1 = digest_of(one).str(), d2 = digest_of(two).str();
const std::string nowhere = digest_of("nowhere").str();

ClusterName cluster(const std::string& text) {
  return ClusterName::parse(text).value();
}

class Clusters : public RulesFixture {
 public:
  explicit Clusters(ReferenceMode mode = ReferenceMode::sparse) : RulesFixture(mode) {}

  Texts own_hosts;
  bool hosts_are_known = false;

  Result<TakenInUseReport> try_report(const std::string& from, const Texts& images, bool allow_empty = false,
                                      std::int64_t lease = InUse::default_lease) {
    return sync_wait(InUse(context()).report(
        NewInUseReport{cluster(from), images, lease, allow_empty, own_hosts, hosts_are_known, actor}));
  }
  TakenInUseReport report(const std::string& from, const Texts& images, bool allow_empty = false) {
    const auto taken = try_report(from, images, allow_empty);
    INFO((taken ? std::string() : taken.error().message()));
    REQUIRE(taken.has_value());
    return *taken;
  }
  // "repository@digest", and " (absent)" where it is so.
  Texts protects(const std::string& of) {
    const auto details = sync_wait(InUse(context()).find(cluster(of), "", "", 1000));
    REQUIRE(details.has_value());
    Texts texts;
    for (const auto& manifest : details->manifests) {
      texts.push_back(manifest.repository.str() + "@" + manifest.digest.str() +
                      (manifest.present ? "" : " (absent)"));
    }
    return texts;
  }
  Texts users(const std::string& repository, const std::string& digest) {
    return database
        ->read([&](sql::Session& session) -> Result<Texts> {
          return catalog::clusters_using(session, name(repository), Digest::parse(digest).value());
        })
        .value();
  }
  std::int64_t events(const std::string& where) { return count("events WHERE " + where); }
};

TEST_CASE("in use: how clusters write images") {
  const std::string digest = "sha256:" + std::string(64, 'a'), other = "sha512:" + std::string(128, 'b');
  struct Case {
    std::string text, host, name, tag, digest;
  };
  for (const Case& entry : {
           Case{"app", "", "app", "latest", ""},
           Case{"app:1.4", "", "app", "1.4", ""},
           Case{"prod/app:1.4", "", "prod/app", "1.4", ""},
           Case{" prod/app:1.4\r", "", "prod/app", "1.4", ""},
           Case{"prod/app@" + digest, "", "prod/app", "", digest},
           Case{"prod/app:1.4@" + digest, "", "prod/app", "", digest},
           Case{"prod/app@" + other, "", "prod/app", "", other},
           Case{"r.example/app", "r.example", "app", "latest", ""},
           Case{"R.Example:5000/prod/app:1.4", "r.example:5000", "prod/app", "1.4", ""},
           Case{"r.example:5000/prod/app:1.4@" + digest, "r.example:5000", "prod/app", "", digest},
           Case{"localhost/app:1", "localhost", "app", "1", ""},
           Case{"[::1]:5000/app:1", "[::1]:5000", "app", "1", ""},
           Case{"docker-pullable://r.example/app@" + digest, "r.example", "app", "", digest},
           Case{"docker://" + digest, "", "", "", digest},
           Case{digest, "", "", "", digest},
           Case{other, "", "", "", other},
           Case{std::string(64, 'a'), "", "", "", digest},
       }) {
    INFO(entry.text);
    const auto read = parse_image_reference(entry.text);
    REQUIRE(read);
    CHECK(read->host == entry.host);
    CHECK((read->name ? read->name->str() : "") == entry.name);
    CHECK((read->tag ? read->tag->str() : "") == entry.tag);
    CHECK((read->digest ? read->digest->str() : "") == entry.digest);
  }
  for (const std::string& text :
       {std::string(), std::string(" "), std::string("/"), std::string(":"), std::string("@"),
        std::string("app:"), std::string("app@"), std::string("app@sha256:1"), std::string("app:1@md5:1"),
        std::string("-app:1"), std::string("a b"), std::string("a/:1"), std::string("r.example/"),
        std::string("docker://"), std::string("://a"), std::string("a\0b", 3), std::string(2000, 'a'),
        "app:" + std::string(129, 't')}) {
    INFO(text);
    CHECK_FALSE(parse_image_reference(text));
  }
  const auto mirrored = parse_image_reference("docker.io/library/nginx:1");
  REQUIRE(mirrored);
  CHECK(mirrored->whole == name("docker.io/library/nginx"));
}

TEST_CASE("in use: cluster names") {
  for (const std::string& good : {std::string("a"), std::string("0"), std::string("prod-eu.1"),
                                  std::string("a-"), std::string(63, 'a')}) {
    INFO(good);
    CHECK(ClusterName::parse(good).has_value());
  }
  for (const std::string& bad :
       {std::string(), std::string("-a"), std::string(".a"), std::string("A"), std::string("a/b"),
        std::string("a_b"), std::string("a b"), std::string(64, 'a')}) {
    INFO(bad);
    CHECK(ClusterName::parse(bad).has_error());
  }
}

TEST_CASE("in use: what a reference protects (I5)") {
  Clusters registry;
  REQUIRE(registry.push(one, {"1.0", "latest"}, "prod/app").empty());
  REQUIRE(registry.push(two, {"2.0"}, "prod/app").empty());
  REQUIRE(registry.push(one, {"x"}, "copy").empty());
  REQUIRE(registry.push(one, {"1.25"}, "docker.io/library/nginx").empty());
  const std::string app1 = "prod/app@" + d1, app2 = "prod/app@" + d2;
  struct Case {
    const char* about;
    Texts images;
    Texts protects;
    Texts unknown;
  };
  const std::string config = digest_of("{}").str();
  const std::vector<Case> anywhere{
      {"a tag", {"prod/app:1.0"}, {app1}, {}},
      {"no tag", {"prod/app"}, {app1}, {}},
      {"a digest", {"prod/app@" + d2}, {app2}, {}},
      {"a digest beside a tag of another", {"prod/app:1.0@" + d2}, {app2}, {}},
      {"each manifest once", {"prod/app:1.0", "prod/app", app1, "r.example/" + app1}, {app1}, {}},
      {"a digest alone, wherever it is", {d1}, {"copy@" + d1, "docker.io/library/nginx@" + d1, app1}, {}},
      {"what docker says", {"docker-pullable://r.example:5000/" + app2}, {app2}, {}},
      {"any host", {"r.example:5000/prod/app:2.0"}, {app2}, {}},
      {"a mirror's name", {"docker.io/library/nginx:1.25"}, {"docker.io/library/nginx@" + d1}, {}},
      {"a tag that is not there", {"prod/app:9"}, {}, {"prod/app:9"}},
      {"a repository that is not there", {"nobody@" + d1}, {}, {"nobody@" + d1}},
      {"a digest that nobody has", {nowhere}, {}, {nowhere}},
      {"the empty configuration, which everything shares", {config}, {}, {config}},
      {"a digest that this repository has not",
       {"prod/app@" + nowhere},
       {"prod/app@" + nowhere + " (absent)"},
       {"prod/app@" + nowhere}},
      {"another's digest", {"r.example/prod/app@" + nowhere}, {}, {"r.example/prod/app@" + nowhere}},
      {"bad lines beside a good one", {"!", "prod/app:1.0", "\x1b[31m"}, {app1}, {"!", "?[31m"}},
  };
  unsigned number = 0;
  const auto run = [&](const std::vector<Case>& cases) {
    for (const Case& entry : cases) {
      INFO(entry.about);
      const std::string from = "c" + std::to_string(number++);
      const auto taken = registry.report(from, entry.images);
      CHECK(registry.protects(from) == entry.protects);
      CHECK(taken.unknown == entry.unknown);
      CHECK(taken.report.unknown == static_cast<std::int64_t>(entry.unknown.size()));
      CHECK(taken.report.images == static_cast<std::int64_t>(entry.images.size()));
    }
  };
  run(anywhere);
  registry.own_hosts = {"r.example:5000"};
  registry.hosts_are_known = true;
  run({{"our host", {"R.example:5000/prod/app:2.0"}, {app2}, {}},
       {"our host with a digest that is not there",
        {"r.example:5000/prod/app@" + nowhere},
        {"prod/app@" + nowhere + " (absent)"},
        {"r.example:5000/prod/app@" + nowhere}},
       {"another's tag", {"r.example/prod/app:2.0"}, {}, {"r.example/prod/app:2.0"}},
       {"another's digest that is ours as well", {"mirror.example/" + app2}, {app2}, {}},
       {"no host", {"prod/app:2.0"}, {app2}, {}},
       {"a mirror's name", {"docker.io/library/nginx:1.25"}, {"docker.io/library/nginx@" + d1}, {}}});
}

TEST_CASE("in use: a configuration's digest protects the images that name it") {
  Clusters registry;
  const std::string bytes = registry.labelled("1.0.0");
  const std::string config =
      digest_of(R"({"config":{"Labels":{"org.opencontainers.image.version":"1.0.0"}}})").str();
  const std::string digest = digest_of(bytes).str();
  REQUIRE(registry.push(bytes, {"t"}).empty());
  REQUIRE(registry.push(bytes, {}, "b").empty());
  CHECK(registry.report("alone", {config}).unknown.empty());
  CHECK(registry.protects("alone") == Texts{"a@" + digest, "b@" + digest});
  CHECK(registry.report("named", {"r.example/b@" + config}).unknown.empty());
  CHECK(registry.protects("named") == Texts{"b@" + digest});
}

TEST_CASE("in use: a report replaces the cluster's own, and nothing else ends it (I5)") {
  Clusters registry;
  REQUIRE(registry.push(one, {"1"}).empty());
  REQUIRE(registry.push(two, {"2"}).empty());
  const auto first = registry.report("eu", {"a:1", "a:9"});
  CHECK(first.added == 1);
  registry.report("us", {"a:1"});
  CHECK(registry.users("a", d1) == Texts{"eu", "us"});
  CHECK(registry.users("b", d1).empty());
  CHECK(registry.events("action = 'in-use.report' AND rule = 'eu' AND reason LIKE '2 images, 1 manifests "
                        "protected, 1 new, 0 gone, 1 unknown, lease 86400 s'") == 1);

  // The same again: a new time, and nothing else.
  registry.clock.advance(600);
  const auto again = registry.report("eu", {"a:9", "a:1", "a:1"});
  CHECK(again.added + again.gone == 0);
  CHECK(again.report.reported_at == registry.clock.now());
  CHECK(registry.events("action = 'in-use.report'") == 2);

  // The tag has moved: what the report names now counts.
  REQUIRE(registry.push(two, {"1"}).empty());
  const auto moved = registry.report("eu", {"a:1", "a:9"});
  CHECK(moved.added == 1);
  CHECK(moved.gone == 1);
  CHECK(registry.users("a", d1) == Texts{"us"});
  CHECK(registry.users("a", d2) == Texts{"eu"});

  // Stale, across a restart: it protects.
  registry.clock.advance(400LL * 24 * 3600);
  registry.restart();
  const auto reports = InUse(registry.context()).reports();
  REQUIRE(reports.has_value());
  REQUIRE(reports->size() == 2);
  CHECK(reports->at(0).stale(registry.clock.now()));
  CHECK(registry.users("a", d2) == Texts{"eu"});
  const InUseSummary summary = InUse(registry.context()).summary();
  CHECK(summary.reports == 2);
  CHECK(summary.stale == 2);
  CHECK(summary.images == 2);
  REQUIRE(summary.ages.size() == 2);
  CHECK(summary.ages[0].seconds == 400.0 * 24 * 3600);

  // A person deletes on purpose; the report still says what runs.
  CHECK(registry.remove(d1).empty());
  CHECK(registry.protects("us") == Texts{"a@" + d1 + " (absent)"});
  REQUIRE(sync_wait(Repositories(registry.context()).remove(name("a"), registry.actor)).has_value());
  CHECK(registry.users("a", d2) == Texts{"eu"});

  CHECK(sync_wait(InUse(registry.context()).remove(cluster("eu"), "taken down", registry.actor)).has_value());
  CHECK(registry.users("a", d2).empty());
  CHECK(registry.count("in_use_unknown") == 0);
  CHECK(registry.events("action = 'in-use.remove' AND rule = 'eu' AND reason = 'taken down'") == 1);
  const auto twice = sync_wait(InUse(registry.context()).remove(cluster("eu"), "again", registry.actor));
  REQUIRE(twice.has_error());
  CHECK(twice.error().code() == Errc::not_found);
}

TEST_CASE("in use: a report that would end all protection must say that it means it") {
  Clusters registry;
  REQUIRE(registry.push(one, {"1"}).empty());
  CHECK(registry.try_report("eu", {}).has_error());
  CHECK(registry.count("in_use_reports") == 0);
  registry.report("eu", {"a:1"});
  const std::int64_t events = registry.count("events");
  const auto empty = registry.try_report("eu", {});
  REQUIRE(empty.has_error());
  CHECK(empty.error().code() == Errc::parameter_invalid);
  CHECK(registry.try_report("eu", {"elsewhere:1"}).has_error());
  // A digest that is not there is noted for the day on which it comes back: it is no image that is known.
  CHECK(registry.try_report("eu", {"a@" + nowhere}).has_error());
  CHECK(registry.users("a", d1) == Texts{"eu"});
  CHECK(registry.count("events") == events);
  registry.report("eu", {"elsewhere:1"}, true);
  CHECK(registry.users("a", d1).empty());
  registry.report("eu", {"elsewhere:2"});  // there was nothing to lose
  registry.report("eu", {}, true);
  CHECK(registry.count("in_use_reports") == 1);
}

TEST_CASE("in use: limits (I10)") {
  Clusters registry;
  REQUIRE(registry.push(one, {"1"}).empty());
  CHECK(registry.try_report("eu", {"a:1"}, false, 59).has_error());
  CHECK(registry.try_report("eu", {"a:1"}, false, 365LL * 24 * 3600 + 1).has_error());
  CHECK(registry.try_report("eu", {"a:1"}, false, 60).has_value());
  CHECK(registry.try_report("eu", Texts(InUse::most_images + 1, "a:1")).has_error());
  CHECK(registry.try_report("eu", Texts(InUse::most_images, "a:1")).has_value());

  Texts many{"a:1"};
  for (int i = 0; i < 250; ++i) many.push_back("n" + std::to_string(1000 + i) + ":1");
  const auto taken = registry.report("eu", many);
  CHECK(taken.report.unknown == 250);
  CHECK(taken.unknown.size() == InUse::unknown_shown);
  CHECK(taken.unknown.front() == "n1000:1");
  CHECK(taken.unknown.back() == "n1099:1");
  CHECK(registry.count("in_use_unknown") == 100);

  for (std::size_t i = 1; i < InUse::most_clusters; ++i) registry.report("c" + std::to_string(i), {"a:1"});
  CHECK(registry.try_report("one-more", {"a:1"}).has_error());
  CHECK(registry.try_report("eu", {"a:1"}).has_value());
  CHECK(InUse(registry.context()).summary().ages.size() == InUse::ages_shown);
  CHECK(registry.users("a", d1).size() == InUse::most_clusters);
}

TEST_CASE("in use: the digests of a repository, for lifecycle") {
  Clusters registry;
  REQUIRE(registry.push(one, {"1"}).empty());
  REQUIRE(registry.push(two, {"2"}).empty());
  REQUIRE(registry.push(two, {"2"}, "b").empty());
  registry.report("eu", {"a:1", "b:2"});
  registry.report("us", {"a:1", "a:2"});
  const auto digests = [&](const std::string& after, std::int64_t limit) {
    Texts texts;
    const auto found = registry.database->read([&](sql::Session& session) -> Result<std::vector<Digest>> {
      return catalog::digests_in_use(session, name("a"), after, limit);
    });
    for (const Digest& digest : found.value()) texts.push_back(digest.str());
    return texts;
  };
  const Texts both = d1 < d2 ? Texts{d1, d2} : Texts{d2, d1};
  CHECK(digests("", 9) == both);
  CHECK(digests("", 1) == Texts{both[0]});
  CHECK(digests(both[0], 9) == Texts{both[1]});
}

TEST_CASE("in use: a report while the tag moves says what the tag was or is") {
  Clusters registry;
  REQUIRE(registry.push(one, {"moving"}).empty());
  REQUIRE(registry.push(two, {}).empty());
  std::atomic<bool> done{false};
  std::thread mover([&] {
    for (int i = 0; i < 200; ++i) {
      const std::string& bytes = i % 2 == 0 ? two : one;
      const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
      if (!sync_wait(registry.registry->put_manifest(ManifestPush{name("a"),
                                                                  digest_of(bytes),
                                                                  {tag("moving")},
                                                                  *manifest,
                                                                  bytes,
                                                                  DigestAlgorithm::sha256,
                                                                  registry.actor})))
        break;
    }
    done = true;
  });
  int reports = 0;
  for (; !done || reports == 0; ++reports) {
    const auto taken = registry.try_report("eu", {"a:moving"});
    REQUIRE(taken.has_value());
    const auto held = registry.protects("eu");
    REQUIRE(held.size() == 1);
    CHECK((held[0] == "a@" + d1 || held[0] == "a@" + d2));
  }
  mover.join();
  registry.report("eu", {"a:moving"});
  CHECK(registry.protects("eu") == Texts{"a@" + registry.points_to("moving")->str()});
}

TEST_CASE("in use: of two reports of one cluster at once, one holds whole") {
  Clusters registry;
  Texts odd, even;
  for (int i = 0; i < 20; ++i) {
    const std::string bytes = image({"layer " + std::to_string(i)});
    REQUIRE(registry.push(bytes, {}).empty());
    (i % 2 == 0 ? even : odd).push_back("a@" + digest_of(bytes).str());
  }
  std::sort(odd.begin(), odd.end());
  std::sort(even.begin(), even.end());
  for (int round = 0; round < 30; ++round) {
    std::atomic<int> failed{0};
    const auto send = [&](const Texts& images) {
      if (!registry.try_report("eu", images)) ++failed;
    };
    std::thread first([&] { send(odd); }), second([&] { send(even); });
    first.join();
    second.join();
    CHECK(failed == 0);
    const auto held = registry.protects("eu");
    CHECK((held == odd || held == even));
  }
}

}  // namespace
}  // namespace stele::in_use_test
