// What each repository holds (storage/catalog/usage.hpp): the numbers kept with every change are those that a
// recount finds, and keeping them costs the same however many repositories share a blob.

#include "storage/catalog/usage.hpp"

#include <map>
#include <random>

#include "storage/catalog/trash.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/storage/catalog_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;
using catalog::RepositoryId;
using catalog::Tx;
using catalog::Usage;

struct Catalog {
  TemporaryDirectory directory;
  std::unique_ptr<sql::Database> database = sql::open_sqlite(directory / "stele.db").value();
  Catalog() { REQUIRE(fine(catalog::migrate(*database))); }
};

RepositoryId repository(Tx& tx, const std::string& name) {
  return catalog::ensure_repository(tx, parsed<RepositoryName>(name), {1});
}

void require_recounted(Tx& tx) {
  for (const auto& name : catalog::list_repositories(tx, "", 1000)) {
    const auto id = repository(tx, name);
    INFO(name);
    REQUIRE(catalog::find_usage(tx, id) == catalog::recount_usage(tx, id));
  }
}

TEST_CASE("usage: a blob is shared from its second link on, and no longer when one is left", "[catalog]") {
  Catalog catalog;
  Tx tx(catalog.database->writer());
  const Digest blob = digest_of("layer");
  catalog::insert_blob(tx, blob, 100, {1});
  const auto a = repository(tx, "a"), b = repository(tx, "b"), c = repository(tx, "c");
  const auto shared = [&](RepositoryId id) { return catalog::find_usage(tx, id).value().shared_bytes; };
  catalog::link_blob(tx, a, blob, {1});
  CHECK(catalog::find_usage(tx, a) == Usage{0, 0, 1, 100, 0, 0, 0});
  catalog::link_blob(tx, a, blob, {2});  // it is linked
  CHECK(catalog::find_usage(tx, a) == Usage{0, 0, 1, 100, 0, 0, 0});
  catalog::link_blob(tx, b, blob, {1});
  CHECK(shared(a) == 100);
  CHECK(shared(b) == 100);
  catalog::link_blob(tx, c, blob, {1});
  CHECK(shared(a) == 100);
  CHECK(shared(c) == 100);
  catalog::unlink_blob(tx, b, blob);
  CHECK(catalog::find_usage(tx, b) == Usage());
  CHECK(shared(a) == 100);
  CHECK(shared(c) == 100);
  catalog::delete_repository(tx, a);  // with its link
  CHECK_FALSE(catalog::find_usage(tx, a));
  CHECK(shared(c) == 0);
  CHECK(catalog::find_usage(tx, c)->unique_bytes() == 100);
  CHECK_FALSE(catalog::unlink_blob(tx, b, blob));
  require_recounted(tx);
}

TEST_CASE("usage: manifests and the trash are counted", "[catalog]") {
  Catalog catalog;
  Tx tx(catalog.database->writer());
  const auto a = repository(tx, "a");
  const std::string bytes = image("one");
  const auto size = static_cast<std::int64_t>(bytes.size());
  const auto manifest = insert(tx, a, bytes);
  CHECK(catalog::find_usage(tx, a) == Usage{1, size, 0, 0, 0, 0, 0});
  const Digest digest = digest_of(bytes);
  const std::vector<catalog::TrashedTag> tags{{parsed<Tag>("v1"), {1}, "alice"}};
  // Only a tag went: nothing to count.
  const auto tag_only =
      catalog::put_in_trash(tx, {1, a, digest, std::nullopt, tags, {1}, {2}, "rule", "reason"});
  CHECK(catalog::find_usage(tx, a) == Usage{1, size, 0, 0, 0, 0, 0});
  const auto trashed = catalog::put_in_trash(tx, {1, a, digest, manifest, {}, {1}, {2}, "rule", "reason"});
  CHECK(catalog::find_usage(tx, a) == Usage{0, 0, 0, 0, 0, 1, size});
  require_recounted(tx);
  catalog::forget_trash(tx, tag_only);
  CHECK(catalog::find_usage(tx, a) == Usage{0, 0, 0, 0, 0, 1, size});
  catalog::erase_trash(tx, trashed, {1});
  CHECK(catalog::find_usage(tx, a) == Usage());
}

TEST_CASE("usage: listed by name in pages, and repaired", "[catalog]") {
  Catalog catalog;
  Tx tx(catalog.database->writer());
  for (const char* name : {"b", "a", "c/d"}) repository(tx, name);
  const auto names = [&](const std::string& from, catalog::Begin begin, std::int64_t limit) {
    std::vector<std::string> found;
    for (const auto& row : catalog::list_usage(tx, from, begin, limit)) found.push_back(row.repository.str());
    return found;
  };
  using Names = std::vector<std::string>;
  CHECK(names("", catalog::Begin::after, 9) == Names{"a", "b", "c/d"});
  CHECK(names("", catalog::Begin::after, 2) == Names{"a", "b"});
  CHECK(names("b", catalog::Begin::after, 9) == Names{"c/d"});
  CHECK(names("b", catalog::Begin::at, 9) == Names{"b", "c/d"});
  CHECK(names("", catalog::Begin::after, 0).empty());
  const auto a = repository(tx, "a");
  catalog::store_usage(tx, a, Usage{1, 2, 3, 4, 5, 6, 7});
  CHECK(catalog::find_usage(tx, a) == Usage{1, 2, 3, 4, 5, 6, 7});
  catalog::end_usage(tx, a);
  catalog::store_usage(tx, a, catalog::recount_usage(tx, a));
  CHECK(catalog::find_usage(tx, a) == Usage());
}

// Runs of statements by their text.
class CountingConnection final : public ForwardingConnection {
 public:
  using ForwardingConnection::ForwardingConnection;
  std::map<std::string, unsigned> runs;
  unsigned all() const {
    unsigned sum = 0;
    for (const auto& [text, count] : runs) sum += count;
    return sum;
  }
  unsigned updates() const {
    unsigned sum = 0;
    for (const auto& [text, count] : runs) sum += text.starts_with("UPDATE repository_usage") ? count : 0;
    return sum;
  }

 protected:
  sql::Statement& statement(std::string_view sql) override {
    ++runs[std::string(sql)];
    return ForwardingConnection::statement(sql);
  }
};

TEST_CASE("usage: what keeping it costs, in statements (I10)", "[catalog]") {
  Catalog catalog;
  CountingConnection counted(catalog.database->writer());
  Tx tx(counted);
  const auto cost = [&](auto act) {
    counted.runs.clear();
    act();
    return std::pair(counted.all(), counted.updates());
  };
  using Cost = std::pair<unsigned, unsigned>;
  const auto a = repository(tx, "a");
  catalog::ManifestId manifest{};
  // The highest number that is gone, insert, find, two references, one update; and five rows to remove, with
  // three statements that keep that number.
  CHECK(cost([&] { manifest = insert(tx, a, image("one")); }) == Cost{6, 1});
  CHECK(cost([&] { catalog::delete_manifest(tx, manifest, {1}); }) == Cost{9, 1});
  const Digest blob = digest_of("layer");
  catalog::insert_blob(tx, blob, 100, {1});
  CHECK(cost([&] { catalog::link_blob(tx, a, blob, {1}); }) == Cost{3, 1});
  std::vector<RepositoryId> others;
  for (int i = 0; i < 200; ++i) others.push_back(repository(tx, "other" + std::to_string(i)));
  // Only the second one tells somebody else.
  CHECK(cost([&] { catalog::link_blob(tx, others[0], blob, {1}); }) == Cost{4, 2});
  for (std::size_t i = 1; i < others.size(); ++i)
    CHECK(cost([&] { catalog::link_blob(tx, others[i], blob, {1}); }) == Cost{3, 1});
  CHECK(cost([&] { catalog::link_blob(tx, a, blob, {1}); }) == Cost{2, 0});  // linked already
  for (std::size_t i = others.size(); i-- > 1;)
    CHECK(cost([&] { catalog::unlink_blob(tx, others[i], blob); }) == Cost{3, 1});
  CHECK(cost([&] { catalog::unlink_blob(tx, others[0], blob); }) == Cost{4, 2});
  CHECK(cost([&] { catalog::unlink_blob(tx, a, blob); }) == Cost{3, 1});
  // Pulls know nothing of it.
  const auto name = parsed<RepositoryName>("a");
  CHECK(cost([&] { (void)catalog::manifest_by_tag(tx, name, parsed<Tag>("v1")); }) == Cost{1, 0});
  CHECK(cost([&] { (void)catalog::manifest_by_digest(tx, name, blob); }) == Cost{1, 0});
  CHECK(cost([&] { (void)catalog::find_blob_in(tx, name, blob); }) == Cost{1, 0});
}

TEST_CASE("usage: random changes agree with a recount after every step", "[catalog]") {
  const std::uint64_t seed = GENERATE(from_range(test_seeds(8)));
  INFO("TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto pick = [&](std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random);
  };
  Catalog catalog;
  auto& connection = catalog.database->writer();
  connection.begin();
  Tx tx(connection);
  std::vector<Digest> blobs;
  for (int i = 0; i < 6; ++i) {
    blobs.push_back(digest_of("blob " + std::to_string(i)));
    catalog::insert_blob(tx, blobs.back(), std::uint64_t{1} << (4 * i), {1});
  }
  const auto some_repository = [&] { return repository(tx, "r" + std::to_string(pick(4))); };
  for (int step = 0; step < 400; ++step) {
    const auto in = some_repository();
    const std::string bytes =
        image(std::to_string(pick(8)), pick(3) == 0 ? digest_of("subject") : std::optional<Digest>());
    const auto known = catalog::find_manifest(tx, in, digest_of(bytes));
    switch (pick(8)) {
      case 0:
      case 1:
        if (!known) insert(tx, in, bytes);
        break;
      case 2:
        if (known) catalog::delete_manifest(tx, known->id, {1});
        break;
      case 3:
        if (known)
          catalog::put_in_trash(tx, {1, in, known->digest, known->id, {}, {1}, {2}, "rule", "reason"});
        break;
      case 4:
      case 5:
        catalog::link_blob(tx, in, blobs[pick(blobs.size())], {1});
        break;
      case 6:
        catalog::unlink_blob(tx, in, blobs[pick(blobs.size())]);
        break;
      default: {
        if (pick(4) != 0) break;
        for (const Digest& digest : catalog::some_manifests(tx, in, 100))
          catalog::delete_manifest(tx, catalog::find_manifest(tx, in, digest)->id, {1});
        for (const auto& item : catalog::list_trash(tx, {in, std::nullopt}, 0, 1000)) {
          catalog::erase_trash(tx, item.id, {1});
          require_recounted(tx);
        }
        CHECK(catalog::find_usage(tx, in)->trash_bytes == 0);
        catalog::delete_repository(tx, in);
      }
    }
    INFO("step " << step);
    require_recounted(tx);
  }
  connection.commit();
}

}  // namespace
}  // namespace stele
