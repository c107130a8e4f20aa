// Sessions that nobody continues: when they end, and when they do not.

#include <functional>
#include <future>
#include <optional>
#include <utility>

#include "tests/support/passing_file_layer.hpp"
#include "tests/support/sqlite_statements.hpp"
#include "tests/unit/registry/uploads_fixture.hpp"

namespace stele {
namespace {

using namespace uploads_test;

TEST_CASE("uploads: none expires because the machine's time was set forward (A27)") {
  UploadFixture fixture;
  const UploadId id = fixture.start();
  REQUIRE(fixture.append(id, "x").has_value());
  fixture.clock.advance(10 * 365 * 24 * 60 * 60);
  CHECK(sync_wait(fixture.uploads->expire()) == 0);
  CHECK(fixture.offset(id).value() == 1);
}

TEST_CASE("uploads: idle sessions expire, with their bytes") {
  UploadFixture fixture;
  const UploadId old = fixture.start();
  REQUIRE(fixture.append(old, content(100'000)).has_value());
  const UploadId empty = fixture.start();
  fixture.pass(23 * 60 * 60);
  const UploadId fresh = fixture.start();
  REQUIRE(fixture.append(fresh, "x").has_value());
  CHECK(sync_wait(fixture.uploads->expire()) == 1);  // the empty one
  fixture.pass(2 * 60 * 60);
  CHECK(sync_wait(fixture.uploads->expire()) == 1);
  CHECK(code(fixture.offset(old)) == Errc::upload_unknown);
  CHECK(code(fixture.offset(empty)) == Errc::upload_unknown);
  CHECK(fixture.offset(fresh).value() == 1);
  CHECK(fixture.files("uploads") == 1);
  // Also those of before a restart.
  fixture.restart();
  fixture.pass(25 * 60 * 60);
  CHECK(sync_wait(fixture.uploads->expire()) == 1);
  CHECK(fixture.files("uploads") == 0);
  CHECK(fixture.count("uploads") == 0);
}

TEST_CASE(
    "uploads: a session whose saved state is damaged is never continued, but can be given up and expires "
    "(I6)") {
  UploadFixture fixture;
  const std::string text = content(100'000);
  const UploadId cancelled = fixture.start();
  const UploadId forgotten = fixture.start();
  REQUIRE(fixture.append(cancelled, text).has_value());
  REQUIRE(fixture.append(forgotten, text).has_value());
  auto damaging = fixture.writer->write({}, [&](sql::Tx& tx) -> Result<void> {
    catalog::update_upload(tx, cancelled, text.size(), "nonsense", fixture.clock.now());
    catalog::update_upload(tx, forgotten, text.size(), "", fixture.clock.now());
    return {};
  });
  const auto damaged = [&]() -> Task<Result<void>> { co_return co_await damaging; };
  REQUIRE(sync_wait(damaged()).has_value());
  fixture.restart();
  CHECK(code(fixture.offset(cancelled)) == Errc::corrupt);
  CHECK(code(fixture.append(cancelled, "x")) == Errc::corrupt);
  CHECK(code(fixture.finish(cancelled, Digest::of(sha256, text))) == Errc::corrupt);
  CHECK(code(fixture.finish(cancelled, Digest::of(sha256, "x"), "x")) == Errc::corrupt);
  CHECK(sync_wait(fixture.uploads->cancel(repository, cancelled, fixture.actor)).has_value());
  CHECK(code(fixture.offset(cancelled)) == Errc::upload_unknown);
  fixture.pass(25 * 60 * 60);
  CHECK(sync_wait(fixture.uploads->expire()) == 1);
  CHECK(fixture.files("uploads") == 0);
  CHECK(fixture.files("blobs") == 0);
  CHECK(fixture.count("uploads") == 0);
}

TEST_CASE("uploads: a session without bytes ends after minutes, before and after a restart (I10)") {
  UploadFixture fixture;
  const UploadId early = fixture.start();
  sync_wait(fixture.uploads->persist_all());
  fixture.restart();
  const UploadId empty = fixture.start(), continued = fixture.start();
  REQUIRE(fixture.append(continued, "x").has_value());
  fixture.pass(5 * 60);
  CHECK(sync_wait(fixture.uploads->expire()) == 0);
  fixture.pass(6 * 60);
  CHECK(sync_wait(fixture.uploads->expire()) == 2);
  CHECK(code(fixture.offset(early)) == Errc::upload_unknown);
  CHECK(code(fixture.offset(empty)) == Errc::upload_unknown);
  CHECK(fixture.offset(continued).value() == 1);
  CHECK(fixture.count("uploads") == 1);
}

TEST_CASE("uploads: sessions without bytes never keep anybody from pushing (I10)") {
  UploadsSettings settings;
  settings.max_sessions = 3;
  UploadFixture fixture(ReferenceMode::strict, settings);
  const UploadId with_bytes = fixture.start();
  REQUIRE(fixture.append(with_bytes, "x").has_value());
  const UploadId older = fixture.start(), newer = fixture.start();
  fixture.pass(1);
  CHECK(fixture.offset(older).value() == 0);  // looked at: now the other one is idle for longest
  for (int flood = 0; flood < 2; ++flood) {
    const UploadId next = fixture.start();
    CHECK(fixture.uploads->statistics().open == 3);
    CHECK(fixture.offset(with_bytes).value() == 1);
    CHECK(code(fixture.offset(newer)) == Errc::upload_unknown);
    CHECK(fixture.offset(older).has_value() == (flood == 0));
    REQUIRE(fixture.offset(next).has_value());
  }
}

TEST_CASE("uploads: a stop keeps as many sessions without bytes as there may be, in few commits (A3)") {
  UploadFixture fixture;
  std::vector<UploadId> ids;
  for (int i = 0; i < 65'536; ++i) ids.push_back(fixture.start());
  REQUIRE(fixture.uploads->statistics().open == ids.size());
  const auto before = fixture.writer->statistics();
  sync_wait(fixture.uploads->persist_all());
  const auto after = fixture.writer->statistics();
  CHECK(after.batches - before.batches == 66);
  CHECK(after.writes - before.writes == 66);
  CHECK(fixture.count("uploads") == 65'536);
  fixture.restart();
  CHECK(fixture.offset(ids.front()).value() == 0);
  REQUIRE(fixture.finish(ids.back(), Digest::of(sha256, "late"), "late").has_value());
}

// Runs something when the bytes of the first session go.
class WhenOneGoes final : public fs::PassingFileLayer {
 public:
  int unlink(const std::string& path) override {
    if (const auto work = std::exchange(work_, {})) work(path);
    return PassingFileLayer::unlink(path);
  }
  void once(std::function<void(const std::string&)> work) { work_ = std::move(work); }

 private:
  std::function<void(const std::string&)> work_;
};

TEST_CASE("uploads: a chunk that is acknowledged while others expire keeps its session (A29, I1)") {
  WhenOneGoes layer;
  UploadFixture fixture(ReferenceMode::strict, {}, {.layer = &layer});
  const UploadId one = fixture.start(), other = fixture.start();
  REQUIRE(fixture.append(one, "x").has_value());
  REQUIRE(fixture.append(other, "x").has_value());
  fixture.pass(25 * 60 * 60);
  // Both are listed as idle by now; the client of the one that is still there continues.
  std::optional<UploadId> continued;
  layer.once([&](const std::string& path) {
    continued = path.ends_with(one.str()) ? other : one;
    CHECK(fixture.append(*continued, "y").value() == 2);
  });
  CHECK(sync_wait(fixture.uploads->expire()) == 1);
  REQUIRE(continued.has_value());
  CHECK(fixture.offset(*continued).value() == 2);
  fixture.restart();
  CHECK(fixture.offset(*continued).value() == 2);
  CHECK(fixture.finish(*continued, Digest::of(sha256, "xyz"), "z").has_value());
}

TEST_CASE("uploads: a chunk that is acknowledged while its idle session is looked up keeps it (A29, I1)") {
  std::function<void()> meanwhile;
  const SqliteStatements statements([&](std::string_view sql) {
    if (sql.find("FROM uploads WHERE id") == std::string_view::npos) return;
    if (const auto work = std::exchange(meanwhile, {})) std::async(std::launch::async, work).get();
  });
  UploadFixture fixture;
  const UploadId id = fixture.start();
  REQUIRE(fixture.append(id, "x").has_value());
  fixture.restart();
  fixture.pass(25 * 60 * 60);
  // Its row is listed as idle by now, and nobody has the session yet.
  std::uint64_t acknowledged = 0;
  meanwhile = [&] {
    const auto appended = fixture.append(id, "y");
    if (appended) acknowledged = *appended;
  };
  CHECK(sync_wait(fixture.uploads->expire()) == 0);
  CHECK(acknowledged == 2);
  fixture.restart();
  CHECK(fixture.offset(id).value() == 2);
  CHECK(fixture.finish(id, Digest::of(sha256, "xyz"), "z").has_value());
}

}  // namespace
}  // namespace stele
