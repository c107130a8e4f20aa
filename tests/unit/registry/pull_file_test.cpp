// registry/pull_file.hpp: what survives which end of the process or of the machine, and what is not relied
// on.
// Long: each end, and each file that may be found after it, is a few lines of the same fixture.

#include "registry/pull_file.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "tests/unit/registry/pulls_fixture.hpp"

namespace stele {
namespace {

using namespace pulls_test;
namespace stdfs = std::filesystem;

bool says(const std::string& text, const char* part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

// A record that is complete since `since`, with one pull in the catalog and one that is not there yet.
struct Begun : PullsFixture {
  Begun() {
    ids = add_manifests("prod/app", 3);
    flush();
    since = clock.now();
    clock.advance(3600);
    pull(ids[0]);
    flush();
    clock.advance(3600);
    pull(ids[1]);
  }
  // Nothing was lost, and nothing is said.
  bool whole() {
    flush();
    CHECK(pulls->remark().empty());
    CHECK(known(ids[0]));
    CHECK(known(ids[1]));
    CHECK(pulls->since() == since);
    return pulls->since() == since;
  }
  // The record is complete since now, which is said, and the catalog knows.
  bool anew(const char* why, const char* boot = "boot-1") {
    CHECK_FALSE(pulls->since());
    clock.advance(60);
    flush();
    const bool now = pulls->since() == clock.now();
    CHECK(now);
    CHECK(says(pulls->remark(), why));
    const Timestamp begun = clock.now();
    clock.advance(60);
    crash_and_open(boot);
    flush();
    if (!file_used) return now;
    CHECK(pulls->remark().empty());
    CHECK(pulls->since() == begun);
    return now;
  }
  std::vector<catalog::ManifestId> ids;
  Timestamp since;
};

TEST_CASE("pulls: a process that just ends loses nothing") {
  Begun at;
  at.crash_and_open();
  CHECK(at.known(at.ids[1]) == at.clock.now());
  CHECK(at.whole());
}

TEST_CASE("pulls: a file that was closed is relied on after a restart of the machine") {
  Begun at;
  at.close();
  CHECK(at.in_catalog(at.ids[1]));
  at.crash_and_open("boot-2");
  CHECK(at.whole());
  at.crash_and_open("boot-2");
  CHECK(at.whole());
}

TEST_CASE("pulls: a file that was not closed before the machine went down begins anew (I8)") {
  Begun at;
  SECTION("used by one process") {}
  SECTION("closed by an earlier one") {
    at.close();
    at.crash_and_open("boot-1");
  }
  at.crash_and_open("boot-2");
  CHECK(at.known(at.ids[1]));  // what did reach the disk is true
  CHECK(at.anew("was not closed before the machine went down", "boot-2"));
}

TEST_CASE("pulls: where the machine's run is not known, only a closed file is relied on") {
  Begun at;
  for (int n = 0; n < 2; ++n) {
    at.crash_and_open("");
    CHECK(says(at.pulls->remark(), "was not closed"));
    CHECK_FALSE(at.pulls->since());
    at.flush();
  }
  at.close();
  const auto since = at.pulls->since();
  at.crash_and_open("");
  CHECK(at.pulls->remark().empty());
  CHECK(at.pulls->since() == since);
}

TEST_CASE("pulls: that the record began anew is not forgotten before the catalog has it") {
  Begun at;
  at.pulls->record(catalog::ManifestId(std::int64_t{1} << 50), at.clock.now());
  at.crash_and_open();
  CHECK_FALSE(at.pulls->since());
  at.crash_and_open("boot-2");
  at.crash_and_open("boot-2");
  CHECK_FALSE(at.pulls->since());
  at.flush();
  CHECK(at.pulls->since() == at.clock.now());
}

TEST_CASE("pulls: a missing file begins anew") {
  Begun at;
  at.close();
  at.crash();
  stdfs::remove(at.file());
  at.open();
  CHECK(at.anew("is missing"));
}

TEST_CASE("pulls: another catalog's file is set aside") {
  Begun at, other;
  at.crash();
  other.close();
  other.crash();
  stdfs::copy_file(other.file(), at.file(), stdfs::copy_options::overwrite_existing);
  at.open();
  CHECK_FALSE(at.known(at.ids[1]));
  CHECK(stdfs::exists(at.file() + ".set-aside"));
  CHECK(at.anew("belongs to another catalog"));
  other.open();
}

TEST_CASE(
    "pulls: what a start that was cut off left is no file of another catalog, and nothing is left of it") {
  Begun at;
  at.close();
  at.crash();
  const std::string before = at.file() + ".before";
  stdfs::rename(at.file(), before);
  at.open();   // makes a file
  at.crash();  // before a flush, so the catalog does not know it
  at.open();
  CHECK_FALSE(stdfs::exists(at.file() + ".set-aside"));
  CHECK(at.anew("is of a start that was cut off"));
  // What was set aside before is not overwritten by what such a start left.
  at.crash();
  stdfs::create_hard_link(before, at.file() + ".set-aside");
  stdfs::remove(at.file());
  at.open();
  at.crash();
  at.open();
  CHECK(stdfs::equivalent(before, at.file() + ".set-aside"));
}

TEST_CASE("pulls: beside a restored catalog the file is set aside") {
  Begun at;
  at.crash();
  stdfs::copy_file(at.path + "/stele.db", at.path + "/copy");
  at.open();
  at.flush();
  at.close();
  at.crash();
  for (const char* name : {"/stele.db", "/stele.db-wal", "/stele.db-shm"}) stdfs::remove(at.path + name);
  stdfs::rename(at.path + "/copy", at.path + "/stele.db");
  at.open();
  CHECK(at.anew("is newer than the catalog"));
}

TEST_CASE("pulls: an older file is set aside") {
  Begun at;
  at.crash();
  stdfs::copy_file(at.file(), at.path + "/copy");
  at.open();
  at.flush();
  for (int n = 0; n < 2; ++n) {
    at.clock.advance(3600);
    at.pull(at.ids[2]);
    at.flush();
  }
  at.crash();
  stdfs::rename(at.path + "/copy", at.file());
  at.open();
  CHECK(at.anew("is older than the catalog"));
}

TEST_CASE("pulls: a transaction that the file does not know of is no loss") {
  // kill -9 between the commit and the file's own count of it.
  Begun at;
  at.crash();
  stdfs::copy_file(at.file(), at.path + "/copy");
  at.open();
  CHECK(at.flush().written == 1);
  at.crash();
  stdfs::rename(at.path + "/copy", at.file());
  at.open();
  CHECK(at.whole());
}

TEST_CASE("pulls: what is not a file of ours is set aside, and never read") {
  Begun at;
  at.close();
  at.crash();
  const auto scribble = [&](std::streamoff where) {
    std::fstream out(at.file(), std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(where).put('!');
  };
  const char* why = "is damaged";
  SECTION("its magic") {
    scribble(0);
  }
  SECTION("its size in words") {
    scribble(17);
  }
  SECTION("its stamp") {
    scribble(25);
  }
  SECTION("its checksum") {
    scribble(57);
  }
  SECTION("zeros") {
    const auto size = stdfs::file_size(at.file());
    stdfs::resize_file(at.file(), 0);
    stdfs::resize_file(at.file(), size);
  }
  SECTION("empty") {
    stdfs::resize_file(at.file(), 0);
    why = "has another size";
  }
  SECTION("cut off") {
    stdfs::resize_file(at.file(), stdfs::file_size(at.file()) - 1);
    why = "has another size";
  }
  SECTION("a directory") {
    stdfs::remove(at.file());
    stdfs::create_directory(at.file());
    why = "cannot be opened";
  }
  SECTION("a link that leads elsewhere") {
    stdfs::rename(at.file(), at.path + "/elsewhere");
    stdfs::create_symlink(at.path + "/elsewhere", at.file());
    why = "cannot be opened";
  }
  SECTION("a pipe") {
    stdfs::remove(at.file());
    REQUIRE(::mkfifo(at.file().c_str(), 0600) == 0);
    why = "is not a file";
  }
  at.open();
  CHECK(says(at.pulls->remark(), ".set-aside"));
  CHECK_FALSE(at.pulls->remark().find("in memory alone") != std::string::npos);
  at.pull(at.ids[2]);
  CHECK(at.anew(why));
  CHECK(at.known(at.ids[2]));
}

TEST_CASE("pulls: without a place for the file pulls are recorded in memory, and a stop forgets since when") {
  Begun at;
  at.close();
  at.file_used = false;
  at.crash_and_open();
  CHECK(says(at.pulls->remark(), "in memory alone"));
  at.clock.advance(3600);
  at.pull(at.ids[2]);
  CHECK(at.anew("cannot be made"));
  at.pull(at.ids[2]);
  at.close();
  CHECK(at.in_catalog(at.ids[2]) == at.known(at.ids[2]));
  at.file_used = true;
  at.crash_and_open();
  CHECK(at.anew("belongs to another catalog"));
}

TEST_CASE("pulls: a directory that may only be read") {
  if (::geteuid() == 0) return;  // root may write everywhere
  Begun at;
  at.close();
  at.crash();
  stdfs::permissions(at.file(), stdfs::perms::owner_read);
  at.open();
  CHECK(at.anew("cannot be opened"));
}

// Runs `body` in a process of its own, from one without other threads; its exit status.
int in_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

TEST_CASE("pulls: no room for the file is no reason not to start (I7)") {
  TestDirectory directory;
  const int status = in_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 16 * 1024;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    PullFile file = PullFile::open({directory.path + "/pulls", PullsFixture::words, "boot-1"}, std::nullopt);
    PullTable table(file.words(), PullsFixture::words, {1});
    const bool fine = file.in_memory() && file.has_untold_loss() &&
                      file.remark().find("cannot be allocated") != std::string::npos &&
                      table.record(catalog::ManifestId(1), {1});
    ::_exit(fine ? 17 : 1);
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 17);
  CHECK(stdfs::is_empty(directory.path));
}

TEST_CASE("pulls: kill -9 in the middle of pulls and flushes loses nothing") {
  struct Shared {
    std::atomic<std::int64_t> pulls;  // that have returned
    std::atomic<bool> ready;
  };
  constexpr int manifests = 100;
  constexpr std::int64_t apart = 7'000'000;  // microseconds between two pulls
  for (int trial = 0; trial < 6; ++trial) {
    TestDirectory directory;
    void* const memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    Shared& shared = *new (memory) Shared{};
    const Timestamp begin = SettableClock().now();

    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        PullsFixture at(directory.path);
        const auto ids = at.add_manifests("prod/app", manifests);
        at.flush();
        std::thread flushing([&] {
          for (;;) {
            if (!at.pulls->flush(20)) ::_exit(1);
          }
        });
        shared.ready = true;
        for (std::int64_t n = 0;; ++n) {
          at.pulls->record(ids[static_cast<std::size_t>(n) % manifests], begin + n * apart);
          shared.pulls = n + 1;
          if (n % 256 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
      } catch (...) {
        ::_exit(2);
      }
    }
    int status = 0;
    while (!shared.ready) {
      REQUIRE(::waitpid(child, &status, WNOHANG) == 0);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    // By then at another place of a flush in each trial.
    while (shared.pulls <= manifests + 2000 * trial) {
      REQUIRE(::waitpid(child, &status, WNOHANG) == 0);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    ::kill(child, SIGKILL);
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));

    const std::int64_t done = shared.pulls;
    CHECK(done > manifests);
    {
      PullsFixture at(directory.path);
      CHECK(at.pulls->remark().empty());
      CHECK(at.pulls->since() == begin);
      std::vector<catalog::ManifestId> ids;
      at.read([&](sql::Session& session) {
        const auto in = catalog::find_repository(session, RepositoryName::parse("prod/app").value());
        catalog::visit_pulls(session, *in,
                             [&](catalog::ManifestId id, std::optional<Timestamp>) { ids.push_back(id); });
        return 0;
      });
      std::sort(ids.begin(), ids.end());  // as they were made
      REQUIRE(ids.size() == manifests);
      for (std::int64_t n = done - manifests; n < done; ++n) {
        const auto known = at.known(ids[static_cast<std::size_t>(n) % manifests]);
        REQUIRE(known.has_value());
        REQUIRE(*known >= begin + n * apart);
      }
      at.flush();
      CHECK(at.pulls->since() == begin);
    }
    ::munmap(memory, sizeof(Shared));
  }
}

}  // namespace
}  // namespace stele
