// The field's row about plans that were said to change nothing (docs/lifecycle.md).

#include <array>
#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/unit/gc/lifecycle_field.hpp"

namespace stele {
namespace {

using namespace field_test;

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST_CASE(
    "field L20: a plan over a thousand due items leaves catalog, record, trash and last use as they were "
    "(I5)") {
  const TestDirectory copies;
  LifecycleFixture fixture(rules("    expire: [{tags: [\"pr-*\"], not_pulled_for: 14d}]\n"));
  fixture.pass(400 * day);  // pulls are recorded for longer than that
  for (int n = 0; n < 1000; ++n) {
    const std::string number = std::to_string(n);
    REQUIRE(fixture.put(fixture.image(number), "pr-" + number).has_value());
  }
  REQUIRE(fixture.pull(tag("pr-7")));
  fixture.pass(15 * day);
  REQUIRE(fixture.pulls->flush().has_value());
  const auto catalog = [&](const std::string& name) {
    const std::string path = copies.path + "/" + name;
    REQUIRE(fixture.database->copy_to(path).has_value());
    return content_of(path);
  };
  const std::string before = catalog("before");
  REQUIRE(before.find("pr-999") != std::string::npos);
  const std::size_t files = fixture.files("blobs");
  const auto plan = fixture.plan();
  CHECK(plan.summary.expiring == 1000);
  CHECK(fixture.plan().summary.hash == plan.summary.hash);
  REQUIRE(fixture.pulls->flush().has_value());
  CHECK(catalog("after") == before);
  CHECK(fixture.files("blobs") == files);
}

TEST_CASE("field L20: beside sixteen that push a plan says the same, and takes nothing (I5)") {
  LifecycleFixture fixture(rules("    expire: [{tags: [\"pr-*\"], older_than: 14d}]\n"));
  for (int n = 0; n < 1000; ++n) {
    const std::string number = std::to_string(n);
    REQUIRE(fixture.put(fixture.image(number), "pr-" + number).has_value());
  }
  fixture.pass(15 * day);
  const std::string first = fixture.image("beside", "beside");
  const auto of_a = [&] {
    std::array<std::int64_t, 4> counts{};
    const std::string here = " r ON r.id = x.repository_id WHERE r.name = 'a'";
    counts[0] = fixture.count("tags x JOIN repositories" + here);
    counts[1] = fixture.count("manifests x JOIN repositories" + here);
    counts[2] = fixture.count("events WHERE repository = 'a'");
    counts[3] = fixture.count("trash") + fixture.count("lifecycle_runs");
    return counts;
  };
  const auto before = of_a();
  const std::string hash = fixture.plan("a").summary.hash;
  std::atomic<bool> stop{false};
  std::atomic<int> pushed{0}, refused{0};
  std::vector<std::thread> clients;
  for (int client = 0; client < 16; ++client) {
    clients.emplace_back([&, client] {
      for (int n = 0; !stop; ++n) {
        // Of the same blobs, each with another annotation.
        const std::string note = std::to_string(client) + "." + std::to_string(n);
        std::string bytes = first;
        bytes.replace(bytes.rfind("beside"), 6, note);
        const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
        if (!manifest) {
          ++refused;
          return;
        }
        ManifestPush push{name("beside"),
                          Reference(tag("c" + std::to_string(client))),
                          {},
                          *manifest,
                          bytes,
                          DigestAlgorithm::sha256,
                          fixture.actor};
        const auto done = sync_wait(fixture.registry->put_manifest(std::move(push)));
        ++(done ? pushed : refused);
      }
    });
  }
  std::vector<std::string> hashes;
  while (hashes.size() < 10 || (pushed < 100 && refused == 0))
    hashes.push_back(fixture.plan("a").summary.hash);
  stop = true;
  for (std::thread& client : clients) client.join();
  CHECK(refused == 0);
  CHECK(pushed >= 100);
  CHECK(std::count(hashes.begin(), hashes.end(), hash) == static_cast<std::ptrdiff_t>(hashes.size()));
  CHECK(of_a() == before);
}

}  // namespace
}  // namespace stele
