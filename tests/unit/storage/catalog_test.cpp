// The catalog's queries (storage/catalog/catalog.hpp).

#include <limits>

#include "storage/catalog/collection.hpp"
#include "tests/unit/storage/one_repository.hpp"

namespace stele::catalog_test {
namespace {

using namespace sql_test;
using catalog::Session;
using catalog::Tx;

constexpr std::int64_t no_limit = std::numeric_limits<std::int64_t>::max();

using Fixture = OneRepository;

TEST_CASE("catalog: repositories are made once and listed bytewise in pages", "[catalog]") {
  Fixture fixture;
  fixture.write([&](Tx& tx) {
    CHECK(catalog::ensure_repository(tx, fixture.name, {2}) == fixture.repository);
    for (const char* name : {"z", "a/b", "a-b", "a", "prod/app2"})
      catalog::ensure_repository(tx, parsed<RepositoryName>(name), {2});
  });
  fixture.read([&](Session& session) {
    CHECK(catalog::find_repository(session, fixture.name) == fixture.repository);
    CHECK_FALSE(catalog::find_repository(session, parsed<RepositoryName>("prod")).has_value());
    using Names = std::vector<std::string>;
    CHECK(catalog::list_repositories(session, "", no_limit) ==
          Names{"a", "a-b", "a/b", "prod/app", "prod/app2", "z"});
    CHECK(catalog::list_repositories(session, "a-b", 2) == Names{"a/b", "prod/app"});
    CHECK(catalog::list_repositories(session, "a-c", 1) == Names{"a/b"});
    CHECK(catalog::list_repositories(session, "z", 5).empty());
    CHECK(catalog::list_repositories(session, "", 0).empty());
    CHECK(catalog::list_repositories(session, "", -1).empty());
    return 0;
  });
}

TEST_CASE("catalog: manifests come back bit by bit, by tag and by digest, in their repository only (I9)",
          "[catalog]") {
  Fixture fixture;
  const std::string bytes = image("one") + " \n";
  const Digest digest = fixture.push(bytes, "v1");
  const auto other = parsed<RepositoryName>("prod/other");
  fixture.write([&](Tx& tx) { catalog::ensure_repository(tx, other, {1}); });
  fixture.read([&](Session& session) {
    for (const auto& found : {catalog::manifest_by_tag(session, fixture.name, parsed<Tag>("v1")).value(),
                              catalog::manifest_by_digest(session, fixture.name, digest).value()}) {
      REQUIRE(found.has_value());
      CHECK(found->bytes == bytes);
      CHECK(found->digest == digest);
      CHECK(found->media_type == "application/vnd.oci.image.manifest.v1+json");
    }
    // One byte too large: left to whoever can afford to read it.
    CHECK((*catalog::manifest_by_tag(session, fixture.name, parsed<Tag>("v1"), bytes.size() - 1))->deferred);
    CHECK((*catalog::manifest_by_digest(session, fixture.name, digest, bytes.size() - 1))->bytes.empty());
    CHECK_FALSE(
        (*catalog::manifest_by_tag(session, fixture.name, parsed<Tag>("v1"), bytes.size()))->deferred);
    CHECK_FALSE(catalog::manifest_by_tag(session, fixture.name, parsed<Tag>("V1")).value().has_value());
    CHECK_FALSE(catalog::manifest_by_tag(session, other, parsed<Tag>("v1")).value().has_value());
    CHECK_FALSE(catalog::manifest_by_digest(session, other, digest).value().has_value());
    const auto info = catalog::find_manifest(session, fixture.repository, digest);
    REQUIRE(info.has_value());
    CHECK(info->size == bytes.size());
    CHECK(info->digest == digest);
    return 0;
  });
}

TEST_CASE("catalog: sha512 manifests", "[catalog]") {
  Fixture fixture;
  const std::string bytes = image("512");
  const Digest digest = Digest::of(DigestAlgorithm::sha512, bytes);
  const auto manifest = Manifest::parse("", bytes).value();
  fixture.write([&](Tx& tx) {
    catalog::insert_manifest(tx, fixture.repository, {manifest, digest, bytes}, {1}, "alice");
  });
  CHECK(fixture.read([&](Session& session) {
    return catalog::manifest_by_digest(session, fixture.name, digest).value()->bytes == bytes;
  }));
}

TEST_CASE("catalog: tags are bound, moved, listed and deleted", "[catalog]") {
  Fixture fixture;
  const Digest one = fixture.push(image("one"), "v1");
  const Digest two = fixture.push(image("two"), "v2");
  const auto binding = [&](const char* tag) {
    return fixture.read([&](Session& session) {
      return catalog::find_tag(session, fixture.repository, fixture.name, parsed<Tag>(tag)).value();
    });
  };
  REQUIRE(binding("v1").has_value());
  CHECK(binding("v1")->digest == one);
  CHECK(binding("v1")->pushed_at == Timestamp{2000});
  CHECK(binding("v1")->pushed_by == "alice");
  CHECK_FALSE(binding("v3").has_value());

  fixture.write([&](Tx& tx) {
    const auto manifest = catalog::find_manifest(tx, fixture.repository, two)->id;
    for (const char* tag : {"v1", "latest", "A", "a", "_"}) {
      catalog::set_tag(tx, fixture.repository, fixture.name,
                       {parsed<Tag>(tag), manifest, two, {3000}, "bob"});
    }
  });
  CHECK(binding("v1")->digest == two);
  CHECK(binding("v1")->pushed_by == "bob");
  fixture.read([&](Session& session) {
    using Names = std::vector<std::string>;
    CHECK(catalog::list_tags(session, fixture.repository, "", no_limit) ==
          Names{"A", "_", "a", "latest", "v1", "v2"});
    CHECK(catalog::list_tags(session, fixture.repository, "a", 2) == Names{"latest", "v1"});
    CHECK(catalog::list_tags(session, fixture.repository, "zzz", 2).empty());
    CHECK(catalog::list_tags(session, fixture.repository, "", 0).empty());
    const auto manifest = catalog::find_manifest(session, fixture.repository, two)->id;
    CHECK(catalog::tags_of_manifest(session, manifest, no_limit).size() == 6);
    const auto first = catalog::tags_of_manifest(session, manifest, 2);
    REQUIRE(first.size() == 2);
    CHECK(first[0].str() == "A");
    CHECK(catalog::tags_of_manifest(session, catalog::find_manifest(session, fixture.repository, one)->id, 9)
              .empty());
    return 0;
  });

  // A manifest with a tag cannot go (I2); without, it does.
  const auto refused = wait_for(fixture.writer->write({}, [&](Tx& tx) -> Result<void> {
    catalog::delete_manifest(tx, catalog::find_manifest(tx, fixture.repository, two)->id, {9});
    return {};
  }));
  CHECK(errc(refused) == Errc::internal);
  fixture.write([&](Tx& tx) { catalog::delete_tag(tx, fixture.repository, parsed<Tag>("A")); });
  CHECK_FALSE(binding("A").has_value());
  fixture.write([&](Tx& tx) {
    for (const char* tag : {"v1", "v2", "latest", "a", "_"})
      catalog::delete_tag(tx, fixture.repository, parsed<Tag>(tag));
    catalog::delete_manifest(tx, catalog::find_manifest(tx, fixture.repository, two)->id, {9});
  });
  CHECK_FALSE(fixture.read(
      [&](Session& session) { return catalog::manifest_by_digest(session, fixture.name, two).value(); }));
}

TEST_CASE("catalog: tag history is kept", "[catalog]") {
  Fixture fixture;
  const std::optional<Digest> one = digest_of("one");
  const std::optional<Digest> none;
  const Tag tag = parsed<Tag>("v1");
  const std::string actor = "alice";
  fixture.write([&](Tx& tx) {
    catalog::append_tag_history(tx, fixture.repository, {tag, none, one, {5}, actor, 1});
    catalog::append_tag_history(tx, fixture.repository, {tag, one, none, {6}, actor, 2});
  });
  fixture.writer.reset();
  fixture.database.reset();
  const std::string rows = all_rows(fixture.directory / "stele.db");
  CHECK(rows.find("|v1|-|" + one->str() + "|5|alice|1|") != std::string::npos);
  CHECK(rows.find("|v1|" + one->str() + "|-|6|alice|2|") != std::string::npos);
}

TEST_CASE("catalog: what refers to what", "[catalog]") {
  Fixture fixture;
  const Digest one = fixture.push(image("one"));
  const Digest index = fixture.push(index_of({one, digest_of("layer cache"), digest_of("layer cache")}));
  fixture.read([&](Session& session) {
    CHECK(catalog::referring_manifest(session, fixture.repository, one) == index);
    CHECK_FALSE(catalog::referring_manifest(session, fixture.repository, index).has_value());
    CHECK(catalog::manifest_needing_blob(session, fixture.repository, digest_of("config one")) == one);
    CHECK(catalog::manifest_needing_blob(session, fixture.repository, digest_of("layer one")) == one);
    CHECK(catalog::manifest_needing_blob(session, fixture.repository, digest_of("layer cache")) == index);
    CHECK_FALSE(
        catalog::manifest_needing_blob(session, fixture.repository, digest_of("layer two")).has_value());
    CHECK_FALSE(catalog::manifest_needing_blob(session, catalog::RepositoryId{999}, digest_of("layer one"))
                    .has_value());
    return 0;
  });
  fixture.write([&](Tx& tx) {
    catalog::delete_manifest(tx, catalog::find_manifest(tx, fixture.repository, index)->id, {9});
  });
  CHECK_FALSE(fixture.read(
      [&](Session& session) { return catalog::referring_manifest(session, fixture.repository, one); }));
}

TEST_CASE("catalog: referrers, filtered and in pages of bytes", "[catalog]") {
  Fixture fixture;
  const Digest subject = digest_of("not pushed");
  std::vector<std::string> descriptors;
  for (int i = 0; i < 20; ++i) {
    const std::string bytes = image("referrer " + std::to_string(i), subject,
                                    i % 2 == 0 ? "application/x-even" : "application/x-odd");
    const Digest digest = fixture.push(bytes);
    descriptors.push_back(Manifest::parse("", bytes)->referrer_descriptor(digest, bytes.size()));
  }
  fixture.push(image("another's", digest_of("other subject")));
  const auto all_pages = [&](const std::optional<std::string>& type, std::size_t max_bytes,
                             std::size_t& pages) {
    return fixture.read([&](Session& session) {
      std::vector<std::string> seen;
      std::int64_t after = 0;
      for (pages = 0;;) {
        ++pages;
        const auto page =
            catalog::list_referrers(session, fixture.repository, subject, type, after, max_bytes);
        std::size_t bytes = 0;
        for (const auto& referrer : page.referrers) {
          CHECK(referrer.position > after);
          after = referrer.position;
          seen.push_back(referrer.descriptor);
          bytes += referrer.descriptor.size();
        }
        CHECK((bytes <= max_bytes || page.referrers.size() == 1));
        if (!page.more) return seen;
        CHECK_FALSE(page.referrers.empty());
      }
    });
  };
  std::size_t pages = 0;
  CHECK(all_pages(std::nullopt, 4 << 20, pages) == descriptors);
  CHECK(pages == 1);
  CHECK(all_pages(std::nullopt, std::numeric_limits<std::size_t>::max(), pages) == descriptors);
  CHECK(all_pages(std::nullopt, 0, pages) == descriptors);
  CHECK(pages == 20);
  CHECK(all_pages(std::nullopt, descriptors[0].size() * 3 + 10, pages) == descriptors);
  CHECK(pages >= 6);
  const auto even = all_pages("application/x-even", descriptors[0].size() * 3, pages);
  REQUIRE(even.size() == 10);
  CHECK(even[1] == descriptors[2]);
  CHECK(all_pages("application/x-none", 1000, pages).empty());
}

TEST_CASE("catalog: blobs, their links and their life", "[catalog]") {
  Fixture fixture;
  const auto other = parsed<RepositoryName>("prod/other");
  const Digest blob = digest_of("blob");
  catalog::RepositoryId other_id{};
  fixture.write([&](Tx& tx) {
    other_id = catalog::ensure_repository(tx, other, {1});
    catalog::insert_blob(tx, blob, (std::uint64_t{1} << 40) + 1, {1});
    catalog::link_blob(tx, fixture.repository, blob, {2});
    catalog::link_blob(tx, fixture.repository, blob, {3});
  });
  const auto check = [&](bool here, bool there) {
    fixture.read([&](Session& session) {
      CHECK(catalog::find_blob_in(session, fixture.name, blob).has_value() == here);
      CHECK(catalog::repository_has_blob(session, fixture.repository, blob) == here);
      CHECK(catalog::find_blob_in(session, other, blob).has_value() == there);
      CHECK(catalog::repository_has_blob(session, other_id, blob) == there);
      return 0;
    });
  };
  check(true, false);
  CHECK(fixture.read([&](Session& session) {
    return catalog::find_blob_in(session, fixture.name, blob)->size;
  }) == (std::uint64_t{1} << 40) + 1);
  fixture.write([&](Tx& tx) { catalog::link_blob(tx, other_id, blob, {4}); });
  check(true, true);
  fixture.read([&](Session& session) {
    CHECK(catalog::repositories_with_blob(session, blob, no_limit) ==
          std::vector<std::string>{"prod/app", "prod/other"});
    CHECK(catalog::repositories_with_blob(session, blob, 1).size() == 1);
    CHECK(catalog::repositories_with_blob(session, digest_of("unknown"), 9).empty());
    CHECK(catalog::find_blob(session, blob)->state == catalog::BlobState::live);
    CHECK_FALSE(catalog::find_blob(session, digest_of("unknown")).has_value());
    return 0;
  });
  fixture.write([&](Tx& tx) {
    CHECK(catalog::unlink_blob(tx, other_id, blob));
    CHECK_FALSE(catalog::unlink_blob(tx, other_id, blob));
    CHECK_FALSE(catalog::unlink_blob(tx, other_id, digest_of("unknown")));
  });
  check(true, false);
  // What is being deleted is not there for anybody, and not offered for mounting.
  fixture.write([&](Tx& tx) { tx.execute("UPDATE blobs SET state = 'deleting'"); });
  check(false, false);
  CHECK(fixture.read([&](Session& session) { return catalog::repositories_with_blob(session, blob, 9); })
            .empty());
  CHECK(fixture.read([&](Session& session) { return catalog::find_blob(session, blob)->state; }) ==
        catalog::BlobState::deleting);

  const auto dangling = wait_for(fixture.writer->write({}, [&](Tx& tx) -> Result<void> {
    catalog::link_blob(tx, fixture.repository, digest_of("unknown"), {5});
    return {};
  }));
  CHECK(errc(dangling) == Errc::internal);
  const auto twice = wait_for(fixture.writer->write({}, [&](Tx& tx) -> Result<void> {
    catalog::insert_blob(tx, blob, 1, {5});
    return {};
  }));
  CHECK(errc(twice) == Errc::internal);
}

}  // namespace
}  // namespace stele::catalog_test
