// I1 and I7 for the catalog: a representative sequence of writes in which, one after the other, each call to
// the file layer fails in each way. After each such run: what was acknowledged is there, what was not is
// there as a whole or not at all, and nothing else; after a kill, and after a power cut that drops what was
// not synced.
// Long: one sequence of writes, and every way in which it is broken.

#include <cerrno>
#include <iostream>
#include <set>

#include "storage/catalog/meta.hpp"
#include "tests/support/effort.hpp"
#include "tests/support/faulty_vfs.hpp"
#include "tests/unit/storage/catalog_fixture.hpp"

namespace stele {
namespace {

using namespace sql_test;
using catalog::Tx;
using sql::FaultyVfs;
using Call = FaultyVfs::Call;

const RepositoryName app = parsed<RepositoryName>("prod/app");
constexpr Timestamp now{1'000'000};

using Operation = std::function<Result<void>(Tx&)>;

Result<void> push(Tx& tx, const std::string& note, const std::string& tag_name) {
  const std::string bytes = image(note);
  const auto repository = catalog::ensure_repository(tx, app, now);
  for (const auto& blob : {digest_of("config " + note), digest_of("layer " + note)}) {
    catalog::insert_blob(tx, blob, 7, now);
    catalog::link_blob(tx, repository, blob, now);
  }
  const auto id = insert(tx, repository, bytes);
  const Tag tag = parsed<Tag>(tag_name);
  auto old = catalog::find_tag(tx, repository, app, tag);
  if (!old) return old.error();
  std::optional<Digest> previous;
  if (*old) previous = (*old)->digest;
  const std::optional<Digest> current = digest_of(bytes);
  catalog::set_tag(tx, repository, app, {tag, id, *current, now, "alice"});
  // Audit rows are written in SQL here: storage/ may not know audit/.
  auto event = tx.query(
      "INSERT INTO events (at, actor, action, repository, tag, new_digest, request_id) "
      "VALUES ($1, 'alice', 'tag.set', $2, $3, $4, 'r') RETURNING sequence",
      now.microseconds, app.str(), tag.str(), current->str());
  event.next();
  const std::int64_t sequence = event.integer(0);
  event.next();
  catalog::append_tag_history(tx, repository, {tag, previous, current, now, "alice", sequence});
  return {};
}

std::vector<Operation> operations() {
  const auto upload = parsed<UploadId>(std::string(32, 'a'));
  return {
      [](Tx& tx) { return push(tx, "one", "latest"); },
      [upload](Tx& tx) -> Result<void> {
        catalog::insert_upload(tx, {upload, app.str(), "alice", 0, std::string(200, 's'), now, now});
        return {};
      },
      [](Tx& tx) { return push(tx, std::string(9000, 'b'), "latest"); },  // more than a page
      [upload](Tx& tx) -> Result<void> {
        catalog::update_upload(tx, upload, 5, std::string(200, 't'), now + 5);
        return {};
      },
      [](Tx& tx) -> Result<void> {
        const auto repository = catalog::ensure_repository(tx, app, now);
        catalog::delete_tag(tx, repository, parsed<Tag>("latest"));
        for (const auto& note : {std::string("one"), std::string(9000, 'b')}) {
          if (const auto found = catalog::find_manifest(tx, repository, digest_of(image(note)))) {
            catalog::delete_manifest(tx, found->id, now + 9);
          }
          catalog::unlink_blob(tx, repository, digest_of("layer " + note));
        }
        return {};
      },
      [upload](Tx& tx) -> Result<void> {
        catalog::delete_upload(tx, upload);
        return push(tx, "three", "v3");
      },
  };
}

sql::SqliteOptions with(const FaultyVfs& vfs) {
  sql::SqliteOptions options;
  options.vfs = vfs.name();
  options.checkpoint_pages = 30;  // so that the sequence has some
  return options;
}

Result<void> write(sql::Writer& writer, const Operation& operation) {
  return wait_for(writer.write({}, [&operation](Tx& tx) { return operation(tx); }));
}

// What the catalog holds after the operations of the set `done`, in their order.
const std::string& rows_after(unsigned done) {
  static std::map<unsigned, std::string> known;
  if (const auto found = known.find(done); found != known.end()) return found->second;
  TemporaryDirectory directory;
  {
    const auto database = sql::open_sqlite(directory / "stele.db").value();
    REQUIRE(fine(catalog::migrate(*database)));
    StoreLatch latch;
    sql::Writer writer(*database, latch);
    const auto all = operations();
    for (unsigned i = 0; i < all.size(); ++i) {
      if (done & (1u << i)) REQUIRE(fine(write(writer, all[i])));
    }
  }
  return known[done] = all_rows(directory / "stele.db");
}

// All that was acknowledged, and at most one of the others: as a whole.
bool is_right(const std::string& rows, unsigned acknowledged) {
  if (rows == rows_after(acknowledged)) return true;
  for (unsigned i = 0; i < operations().size(); ++i) {
    if (!(acknowledged & (1u << i)) && rows == rows_after(acknowledged | (1u << i))) return true;
  }
  return false;
}

void copy_as_killed(const std::string& from, const std::string& to) {
  for (const char* suffix : {"", "-wal"}) {
    if (std::filesystem::exists(from + suffix)) write_file(to + suffix, read_file(from + suffix));
  }
}

void copy_as_cut(const FaultyVfs& vfs, const std::string& from, const std::string& to, std::uint32_t seed) {
  for (const char* suffix : {"", "-wal"}) {
    if (const auto content = vfs.after_power_cut(from + suffix, seed)) write_file(to + suffix, *content);
  }
}

struct Ways {
  Call call;
  const char* name;
  std::vector<FaultyVfs::Fault> faults;
};

std::vector<Ways> ways() {
  const auto fault = [](Call call, int error, bool from_then_on, bool half = false) {
    FaultyVfs::Fault one;
    one.call = call;
    one.error = error;
    one.from_then_on = from_then_on;
    one.half = half;
    return one;
  };
  return {
      {Call::write,
       "write",
       {fault(Call::write, ENOSPC, false), fault(Call::write, ENOSPC, true), fault(Call::write, EIO, false),
        fault(Call::write, EIO, true), fault(Call::write, EDQUOT, true),
        fault(Call::write, ENOSPC, false, true), fault(Call::write, EIO, true, true)}},
      {Call::sync,
       "sync",
       {fault(Call::sync, EIO, false), fault(Call::sync, EIO, true), fault(Call::sync, ENOSPC, false)}},
      {Call::truncate, "truncate", {fault(Call::truncate, EIO, false), fault(Call::truncate, EIO, true)}},
      {Call::open, "open", {fault(Call::open, EIO, true), fault(Call::open, ENOSPC, false)}},
      {Call::remove, "delete", {fault(Call::remove, EIO, true)}},
      {Call::map, "map", {fault(Call::map, ENOSPC, true), fault(Call::map, EIO, false)}},
      {Call::read, "read", {fault(Call::read, EIO, false), fault(Call::read, EIO, true)}},
  };
}

// One run of the sequence with the fault. False when the fault was not reached.
bool run_with(const FaultyVfs::Fault& fault) {
  TemporaryDirectory directory;
  const std::string path = directory / "stele.db";
  FaultyVfs vfs;
  auto database = sql::open_sqlite(path, with(vfs)).value();
  REQUIRE(fine(catalog::migrate(*database)));
  const auto listed = [&] {
    return database->read([](sql::Session& session) -> Result<std::vector<std::string>> {
      return catalog::list_repositories(session, "", 10);
    });
  };
  REQUIRE(fine(listed()));  // this thread's reader is open before anything fails
  StoreLatch latch;
  auto writer = std::make_unique<sql::Writer>(*database, latch);
  const auto all = operations();
  unsigned acknowledged = 0;

  vfs.inject(fault);
  for (unsigned i = 0; i < all.size(); ++i) {
    const auto done = write(*writer, all[i]);
    if (done) {
      acknowledged |= 1u << i;
    } else {
      CHECK(vfs.fired());
      const Errc code = done.error().code();
      // Whatever failed: it says so as what it is, and a failed sync, and nothing else, ends all writing.
      CHECK((code == Errc::no_space || code == Errc::io || code == Errc::read_only));
      CHECK((code == Errc::read_only) == latch.closed());
      if (fault.error == EIO) CHECK(code != Errc::no_space);
      if (fault.error != EIO && fault.call != Call::sync) CHECK(code == Errc::no_space);
    }
    if (fault.call == Call::read) continue;
    const auto seen = listed();
    CHECK(fine(seen));
    // What was acknowledged is seen at once, what was not is not.
    if (seen) CHECK(seen->empty() == ((acknowledged & 0b110101) == 0));
  }
  writer = std::make_unique<sql::Writer>(*database, latch);  // the old one has finished its checkpoint
  if (!vfs.fired()) return false;
  if (fault.call == Call::sync) CHECK(latch.closed());

  copy_as_killed(path, directory / "killed.db");
  CHECK(is_right(all_rows(directory / "killed.db"), acknowledged));
  for (const std::uint32_t seed : {0u, fault.nth, fault.nth + 7919}) {
    const std::string cut = directory / ("cut-" + std::to_string(seed));
    copy_as_cut(vfs, path, cut, seed);
    CHECK(is_right(all_rows(cut), acknowledged));
  }

  vfs.clear();
  unsigned then = acknowledged;
  for (unsigned i = 0; i < all.size(); ++i) {
    if (acknowledged & (1u << i)) continue;
    const auto resumed = write(*writer, [](Tx& tx) -> Result<void> {
      catalog::put_meta(tx, "key", "resumed");
      catalog::delete_meta(tx, "key");
      return {};
    });
    CHECK(resumed.has_value() == !latch.closed());
    break;
  }
  CHECK(fine(listed()));
  writer.reset();
  database.reset();
  // As found by the next start.
  database = sql::open_sqlite(path).value();
  CHECK(fine(catalog::migrate(*database)));
  database.reset();
  CHECK(is_right(all_rows(path), then));
  return true;
}

TEST_CASE("catalog: each call of each kind fails in each way while it is written (I1, I7)", "[sql][faults]") {
  unsigned total = 0;
  for (unsigned list = 0; const Ways& way : ways()) {
    unsigned cases = 0;
    for (FaultyVfs::Fault fault : way.faults) {
      for (fault.nth = test_first(list++);; fault.nth += test_every()) {
        INFO(way.name << " " << fault.nth << " errno " << fault.error
                      << (fault.from_then_on ? " from then on" : "") << (fault.half ? ", half" : ""));
        if (!run_with(fault)) break;
        ++cases;
      }
    }
    std::cout << "catalog: failing " << way.name << ": " << cases << " cases\n";
    total += cases;
  }
  std::cout << "catalog: " << total << " injected faults, each with a kill and three power cuts\n";
  CHECK(total > 500 / test_every());
}

TEST_CASE("catalog: a first start that fails can be repeated (I7)", "[sql][faults]") {
  unsigned cases = 0;
  for (unsigned list = 0; const Ways& way : ways()) {
    for (FaultyVfs::Fault fault : way.faults) {
      for (fault.nth = test_first(list++);; fault.nth += test_every()) {
        INFO(way.name << " " << fault.nth << " errno " << fault.error
                      << (fault.from_then_on ? " from then on" : ""));
        TemporaryDirectory directory;
        const std::string path = directory / "stele.db";
        FaultyVfs vfs;
        vfs.inject(fault);
        {
          const auto database = sql::open_sqlite(path, with(vfs));
          if (database && vfs.fired() && fault.from_then_on) {
            (void)catalog::migrate(**database);
          } else if (database) {
            const auto migrated = catalog::migrate(**database);
            if (!migrated) CHECK(vfs.fired());
          } else {
            CHECK(vfs.fired());
            CHECK(database.error().code() != Errc::corrupt);
            CHECK(database.error().code() != Errc::internal);
          }
        }
        const bool fired = vfs.fired();
        vfs.clear();
        copy_as_cut(vfs, path, directory / "cut.db", 0);
        for (const std::string& file : {path, directory / "cut.db"}) {
          const auto again = sql::open_sqlite(file);
          REQUIRE(fine(again));
          CHECK(fine(catalog::migrate(**again)));
        }
        CHECK(all_rows(path) == rows_after(0));
        CHECK(all_rows(directory / "cut.db") == rows_after(0));
        if (!fired) break;
        ++cases;
      }
    }
  }
  std::cout << "catalog: " << cases << " failed first starts\n";
  CHECK(cases > 100 / test_every());
}

TEST_CASE("catalog: a start after a kill that fails can be repeated (I1, I7)", "[sql][faults]") {
  // Main file and log of a server that was killed: the log holds most of it.
  TemporaryDirectory origin;
  const auto all = operations();
  const unsigned done = (1u << all.size()) - 1;
  {
    const auto database = sql::open_sqlite(origin / "stele.db").value();
    REQUIRE(fine(catalog::migrate(*database)));
    StoreLatch latch;
    sql::Writer writer(*database, latch);
    for (const auto& operation : all) REQUIRE(fine(write(writer, operation)));
    copy_as_killed(origin / "stele.db", origin / "killed.db");
  }
  REQUIRE(std::filesystem::file_size(origin / "killed.db-wal") > 100'000);
  unsigned cases = 0;
  unsigned served = 0;
  for (unsigned list = 0; const Ways& way : ways()) {
    for (FaultyVfs::Fault fault : way.faults) {
      for (fault.nth = test_first(list++);; fault.nth += test_every()) {
        INFO(way.name << " " << fault.nth << " errno " << fault.error
                      << (fault.from_then_on ? " from then on" : ""));
        TemporaryDirectory directory;
        const std::string path = directory / "stele.db";
        copy_as_killed(origin / "killed.db", path);
        FaultyVfs vfs;
        vfs.inject(fault);
        {
          const auto database = sql::open_sqlite(path, with(vfs));
          if (!database) {
            CHECK(vfs.fired());
            CHECK(database.error().code() != Errc::corrupt);
            CHECK(database.error().code() != Errc::internal);
          }
          copy_as_killed(path, directory / "killed.db");
          for (const std::uint32_t seed : {0u, fault.nth})
            copy_as_cut(vfs, path, directory / ("cut-" + std::to_string(seed)), seed);
          if (database && vfs.fired() && fault.call == Call::write) {
            // A full disk: reads are served, writes are not, until there is room.
            CHECK((fault.error == ENOSPC || fault.error == EDQUOT));
            StoreLatch latch;
            sql::Writer writer(**database, latch);
            if (fault.from_then_on)
              CHECK(errc(write(writer, [](Tx&) -> Result<void> { return {}; })) == Errc::no_space);
            CHECK(fine((*database)->read([](sql::Session& session) -> Result<std::vector<std::string>> {
              return catalog::list_repositories(session, "", 10);
            })));
            vfs.clear();
            CHECK(fine(write(writer, [](Tx&) -> Result<void> { return {}; })));
            ++served;
          }
        }
        const bool fired = vfs.fired();
        vfs.clear();
        CHECK(all_rows(directory / "killed.db") == rows_after(done));
        CHECK(all_rows(directory / "cut-0") == rows_after(done));
        CHECK(all_rows(directory / ("cut-" + std::to_string(fault.nth))) == rows_after(done));
        {
          const auto again = sql::open_sqlite(path);
          REQUIRE(fine(again));
          CHECK(fine(catalog::migrate(**again)));
        }
        CHECK(all_rows(path) == rows_after(done));
        if (!fired) break;
        ++cases;
      }
    }
  }
  std::cout << "catalog: " << cases << " failed starts after a kill, " << served << " of them served reads\n";
  CHECK(cases > 100 / test_every());
  CHECK(served > 10 / test_every());
}

TEST_CASE("catalog: a copy that fails leaves nothing behind", "[sql][faults]") {
  unsigned cases = 0;
  for (unsigned list = 0; const Ways& way : ways()) {
    if (way.call == Call::map || way.call == Call::truncate || way.call == Call::remove) continue;
    for (FaultyVfs::Fault fault : way.faults) {
      for (fault.nth = test_first(list++);; fault.nth += test_every()) {
        INFO(way.name << " " << fault.nth << " errno " << fault.error);
        TemporaryDirectory directory;
        FaultyVfs vfs;
        const auto database = sql::open_sqlite(directory / "stele.db", with(vfs)).value();
        REQUIRE(fine(catalog::migrate(*database)));
        vfs.inject(fault);
        const std::string copy = directory / "copy.db";
        const auto copied = database->copy_to(copy);
        vfs.clear();
        CHECK_FALSE(std::filesystem::exists(copy + ".tmp"));
        CHECK(std::filesystem::exists(copy) == copied.has_value());
        if (copied) {
          CHECK(fine(sql::verify_sqlite(copy)));
        } else {
          CHECK(vfs.fired());
          CHECK(fine(database->copy_to(copy)));
        }
        CHECK(all_rows(copy) == rows_after(0));
        if (!vfs.fired()) break;
        ++cases;
      }
    }
  }
  std::cout << "catalog: " << cases << " failed copies\n";
  CHECK(cases > 10 / test_every());
}

// The log that is found then may exist in the kernel's cache only. What is written behind it must not depend
// on it.
TEST_CASE("catalog: after a failed sync and a restart, new writes survive a power cut (I1, I7)",
          "[sql][faults]") {
  unsigned cases = 0;
  const auto all = operations();
  for (FaultyVfs::Fault fault{Call::sync, 1, EIO, false, false};; ++fault.nth) {
    INFO("sync " << fault.nth);
    TemporaryDirectory directory;
    const std::string path = directory / "stele.db";
    FaultyVfs vfs;
    unsigned acknowledged = 0;
    {
      const auto database = sql::open_sqlite(path, with(vfs)).value();
      REQUIRE(fine(catalog::migrate(*database)));
      StoreLatch latch;
      sql::Writer writer(*database, latch);
      vfs.inject(fault);
      for (unsigned i = 0; i + 1 < all.size(); ++i) {
        if (write(writer, all[i])) acknowledged |= 1u << i;
      }
    }
    if (!vfs.fired()) break;
    // Stopping is no reason to try again: the log stays for the next start, which checks its checksums.
    CHECK(std::filesystem::exists(path + "-wal"));
    {
      const auto database = sql::open_sqlite(path, with(vfs)).value();
      StoreLatch latch;
      sql::Writer writer(*database, latch);
      REQUIRE(fine(write(writer, all.back())));
      acknowledged |= 1u << (all.size() - 1);
      copy_as_cut(vfs, path, directory / "cut.db", 0);
      CHECK(is_right(all_rows(directory / "cut.db"), acknowledged));
    }
    ++cases;
  }
  std::cout << "catalog: " << cases << " restarts after a failed sync\n";
  CHECK(cases > 5);
}

// A power cut between any two calls, nothing having failed before: the commits that were answered are on the
// disk.
TEST_CASE("catalog: a power cut after every write (I1)", "[sql][faults]") {
  TemporaryDirectory directory;
  const std::string path = directory / "stele.db";
  FaultyVfs vfs;
  const auto database = sql::open_sqlite(path, with(vfs)).value();
  REQUIRE(fine(catalog::migrate(*database)));
  StoreLatch latch;
  sql::Writer writer(*database, latch);
  const auto all = operations();
  unsigned done = 0;
  for (unsigned i = 0; i < all.size(); ++i) {
    REQUIRE(fine(write(writer, all[i])));
    done |= 1u << i;
    const std::string cut = directory / ("cut-" + std::to_string(i));
    copy_as_cut(vfs, path, cut, 0);
    CHECK(all_rows(cut) == rows_after(done));
  }
}

}  // namespace
}  // namespace stele
