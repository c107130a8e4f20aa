// A quarantine on clocks that the test sets. Upstream never answers here: what it said is in the catalog.

#include "mirror/mirrors.hpp"
#include "storage/catalog/mirrored_tags.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::mirror::quarantine_test {
namespace {

using namespace rules_test;

constexpr std::int64_t day = 86400;
const std::string repository = "docker.io/library/demo";
const std::string older = image({"l1"}), newer = image({"l1", "l2"});

class Quarantined : public RulesFixture {
 public:
  Quarantined() {
    REQUIRE(push(older, {"latest"}, repository).empty());
    REQUIRE(push(newer, {}, repository).empty());
    said(newer);
    Settings settings;
    settings.name = settings.prefix = "docker.io";
    settings.upstreams = {"http://127.0.0.1:9"};
    settings.quarantine = std::chrono::seconds(7 * day);
    settings.tag_ttl = std::chrono::seconds(365 * day);
    mirrors = Mirrors::open({settings}, context(), *registry, 4 << 20).value();
  }
  ~Quarantined() { mirrors.reset(); }  // before what it works with

  void said(const std::string& bytes) {
    auto written = writer->write({}, [&](sql::Tx& tx) -> Result<void> {
      const Timestamp now = clock.now();
      catalog::put_mirrored_tag(
          tx, name(repository), tag("latest"),
          {digest_of(bytes), std::string(media_type::oci_manifest), bytes.size(), "https://u", now, now});
      return {};
    });
    REQUIRE(sync_wait(wait_for_write(std::move(written))).has_value());
  }
  KnownManifest pull() {
    const auto place = mirrors->place(name(repository), std::nullopt, std::nullopt).value().value();
    return sync_wait(mirrors->manifest(place, Reference(tag("latest")), false)).value();
  }
  UpdatePage updates() { return sync_wait(mirrors->updates("docker.io", std::nullopt, 500)).value(); }

  std::unique_ptr<Mirrors> mirrors;

 private:
  static Task<Result<void>> wait_for_write(Pending<Result<void>> pending) {
    auto written = co_await pending;
    co_return written;
  }
};

TEST_CASE("mirror quarantine: setting the machine's clock forward lets nothing in") {
  Quarantined registry;
  CHECK(registry.pull().digest == digest_of(older));
  CHECK(registry.pull().warning.empty());
  registry.clock.advance(8 * day);
  const auto kept = registry.pull();
  CHECK(kept.digest == digest_of(older));
  CHECK(kept.warning.empty());  // in quarantine still, and within tag_ttl: nobody was asked
  CHECK(registry.updates().updates.size() == 1);
}

TEST_CASE("mirror quarantine: after its days upstream is asked again, although tag_ttl is not over") {
  Quarantined registry;
  registry.clock.advance(7 * day - 1);
  registry.boot.advance(7 * day - 1);
  CHECK(registry.pull().warning.empty());
  registry.clock.advance(1);
  registry.boot.advance(1);
  const auto asked = registry.pull();
  CHECK(asked.stale);  // it does not answer here: what is held serves
  CHECK(asked.digest == digest_of(older));
  CHECK(registry.updates().updates.empty());
}

TEST_CASE("mirror quarantine: another digest in between begins its days anew") {
  Quarantined registry;
  const auto first = registry.updates().updates.at(0);
  CHECK(first.state == TagUpdate::State::quarantined);
  CHECK(first.admitted_at == registry.clock.now() + 7 * day * 1'000'000);
  registry.clock.advance(6 * day);
  registry.boot.advance(6 * day);
  registry.said(newer);
  CHECK(registry.updates().updates.at(0).admitted_at == first.admitted_at);
  registry.said(older);
  CHECK(registry.updates().updates.empty());
  registry.said(newer);
  CHECK(registry.updates().updates.at(0).admitted_at == registry.clock.now() + 7 * day * 1'000'000);
}

TEST_CASE("mirror quarantine: what nobody can be asked about is not approved") {
  Quarantined registry;
  ApprovalRequest asked{"docker.io", name(repository), tag("latest"), digest_of(newer), registry.actor};
  const auto done = sync_wait(registry.mirrors->approve(asked));
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().code() == Errc::unavailable);
  CHECK(registry.points_to("latest", repository) == digest_of(older));
}

}  // namespace
}  // namespace stele::mirror::quarantine_test
