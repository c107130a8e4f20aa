// What administration asks of the whole server, and on which threads.

#include "server/server_administration.hpp"

#include <unistd.h>

#include <future>

#include "registry/policies.hpp"
#include "registry/usage.hpp"
#include "tests/support/registry_fixture.hpp"

namespace stele {
namespace {

const Config defaults{};

// All that a ServerAdministration stands on; nothing of it has begun.
struct Whole : RegistryFixture {
  const std::string version = "1";
  const TestDirectory own;
  DataDirectory directory = DataDirectory::open(own.path, false).value();
  const RegistryContext all = context();
  Backups backups = Backups::open(own.path + "/backups", *database, clock).value();
  Policies policies{all};
  PolicyFile policy_file{"", policies, policy};
  Identities identities{defaults, boot, clock, disk};
  const Usages usages{all, {}};
  const Retention retention{all};
  RestoredCatalog restored{own.path + "/newest-event", all};
  const Jobs jobs{{defaults, nullptr, policy_file, identities, *pulls, *uploads, backups, usages, retention,
                   restored, all}};
  ServerAdministration administration{{version, directory, all, *uploads, backups, restored, latch, jobs}};
};

TEST_CASE(
    "administration: a copy of the catalog needs none of the threads that answer pulls and referrers (A11)") {
  Whole server;
  server.push_blob("a", "content");
  std::promise<void> ended;
  const std::shared_future<void> end = ended.get_future().share();
  const auto wait = [end] { end.wait(); };
  auto first = server.db.start(wait), second = server.db.start(wait);  // all that it has
  const auto copy = sync_wait(server.administration.copy_catalog());
  ended.set_value();
  REQUIRE(copy.has_value());
  char begin[16] = "";
  REQUIRE(::pread(copy->fd, &begin[0], sizeof begin, 0) == sizeof begin);
  CHECK(std::string_view(&begin[0], 15) == "SQLite format 3");
}

}  // namespace
}  // namespace stele
