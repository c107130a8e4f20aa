// What upstreams said of tags, as the catalog keeps it.
#include "storage/catalog/mirrored_tags.hpp"

#include "tests/unit/storage/catalog_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;

TEST_CASE("catalog: a mirrored tag is as old as its digest, and was compared when it was compared",
          "[catalog]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  REQUIRE(fine(catalog::migrate(*database)));
  StoreLatch latch;
  sql::Writer writer(*database, latch);
  const auto name = parsed<RepositoryName>("docker.io/library/demo");
  const auto tag = parsed<Tag>("1");
  const auto say = [&](const Tag& which, const char* content, std::int64_t at) {
    REQUIRE(fine(wait_for(writer.write({}, [&](catalog::Tx& tx) -> Result<void> {
      catalog::put_mirrored_tag(tx, name, which, {digest_of(content), "type", 7, "https://u", {at}, {at}});
      return {};
    }))));
  };
  const auto find = [&] {
    return database
        ->read([&](sql::Session& session) { return catalog::find_mirrored_tag(session, name, tag); })
        .value();
  };
  CHECK(!find());
  say(tag, "one", 10);
  say(tag, "one", 20);
  CHECK(find()->learned_at == Timestamp{10});
  CHECK(find()->compared_at == Timestamp{20});
  say(tag, "two", 30);
  CHECK(find()->learned_at == Timestamp{30});
  CHECK(find()->digest == digest_of("two"));
  say(parsed<Tag>("latest"), "two", 30);
  const auto named = database
                         ->read([&](sql::Session& session) -> Result<std::vector<Tag>> {
                           return catalog::mirrored_tags_of(session, name, digest_of("two"), 9);
                         })
                         .value();
  CHECK(named == std::vector<Tag>{tag, parsed<Tag>("latest")});
  REQUIRE(fine(wait_for(writer.write({}, [&](catalog::Tx& tx) -> Result<void> {
    tx.execute("UPDATE mirrored_tags SET digest = $1 WHERE tag = '1'", digest_of("three").str());
    return {};
  }))));
  const auto damaged =
      database->read([&](sql::Session& session) { return catalog::find_mirrored_tag(session, name, tag); });
  REQUIRE(!damaged);
  CHECK(damaged.error().code() == Errc::corrupt);
}

TEST_CASE("catalog: the tags of a mirror are listed by page, and nobody else's", "[catalog]") {
  TemporaryDirectory directory;
  const auto database = sql::open_sqlite(directory / "stele.db").value();
  REQUIRE(fine(catalog::migrate(*database)));
  StoreLatch latch;
  sql::Writer writer(*database, latch);
  // The characters around '/': what only begins like the prefix is another mirror's.
  const char* const names[] = {"docker.io-eu/a:1", "docker.io.eu/a:1", "docker.io/a:2", "docker.io/a:1",
                               "docker.io/a/b:1",  "docker.io0/a:1",   "docker/a:1",    "docker.io/b:1"};
  for (const std::string text : names) {
    const auto colon = text.find(':');
    REQUIRE(fine(wait_for(writer.write({}, [&](catalog::Tx& tx) -> Result<void> {
      catalog::put_mirrored_tag(tx, parsed<RepositoryName>(text.substr(0, colon)),
                                parsed<Tag>(text.substr(colon + 1)),
                                {digest_of("one"), "type", 7, "https://u", {1}, {1}});
      return {};
    }))));
  }
  std::vector<std::string> seen;
  std::optional<catalog::MirroredTagName> last;
  for (;;) {
    const auto page = database
                          ->read([&](sql::Session& session) -> Result<std::vector<catalog::MirroredTagName>> {
                            return catalog::list_mirrored_tags(session, "docker.io", last, 3);
                          })
                          .value();
    for (const auto& name : page) seen.push_back(name.repository.str() + ":" + name.tag.str());
    if (page.size() < 3) break;
    last = page.back();
  }
  CHECK(seen ==
        std::vector<std::string>{"docker.io/a:1", "docker.io/a:2", "docker.io/a/b:1", "docker.io/b:1"});
}

}  // namespace
}  // namespace stele
