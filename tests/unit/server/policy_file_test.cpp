#include "server/policy_file.hpp"

#include <filesystem>
#include <fstream>

#include "tests/support/registry_fixture.hpp"

namespace stele {
namespace {

TEST_CASE("server: a policy that cannot be written down is tried once a minute, or when somebody asks") {
  RegistryFixture fixture;
  const std::string path = fixture.path + "/p.yaml";
  std::ofstream(path) << "version: 1\n";
  Policies policies(fixture.context());
  PolicyFile file(path, policies, fixture.policy);
  fixture.latch.close("a failed sync");
  const auto tried = [&] { return fixture.writer->statistics().failed_batches; };
  REQUIRE(file.load_first().has_value());
  CHECK(tried() == 1);
  for (int look = 0; look < 50; ++look) file.renew(false);
  CHECK(tried() == 1);
  file.renew(true);
  CHECK(tried() == 2);
  std::ofstream(path + ".new")
      << "version: 1\ntag_rules: [{name: r, tags: [\"*\"], mutability: immutable}]\n";
  std::filesystem::rename(path + ".new", path);
  for (int look = 0; look < 125; ++look) file.renew(false);
  CHECK(tried() <= 6);
  CHECK(tried() >= 4);
}

}  // namespace
}  // namespace stele
