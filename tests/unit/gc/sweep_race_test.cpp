// The sweep beside pushes, at no grace at all: what is being uploaded stays, what was acknowledged stays,
// debris goes (I5).

#include <atomic>
#include <thread>

#include "gc/sweep.hpp"
#include "tests/support/registry_fixture.hpp"

namespace stele {
namespace {

// Catch2's macros are for the test's own thread: a pusher says what went wrong.
std::string push_in_pieces(RegistryFixture& fixture, const std::string& content) {
  const auto name = RepositoryName::parse("a").value();
  const auto session = fixture.uploads->start(name, fixture.actor, DigestAlgorithm::sha256);
  if (!session) return "start: " + session.error().message();
  const std::size_t half = content.size() / 2;
  TextSource first(content.substr(0, half)), second(content.substr(half));
  if (const auto done =
          sync_wait(fixture.uploads->append(name, *session, first, std::nullopt, fixture.actor));
      !done)
    return "PATCH: " + done.error().message();
  const Digest digest = Digest::of(DigestAlgorithm::sha256, content);
  if (const auto done =
          sync_wait(fixture.uploads->finish(name, *session, second, std::nullopt, digest, fixture.actor));
      !done)
    return "PUT: " + done.error().message();
  return "";
}

TEST_CASE("gc: the sweep beside pushes takes nothing of theirs, and all debris (I5)") {
  constexpr int pushers = 4, each = 40, rounds = 100;
  RegistryFixture fixture;
  std::atomic<int> at_work{pushers};
  std::atomic<int> swept{0};
  std::vector<std::string> failures(pushers);
  std::vector<std::thread> threads;
  const auto content_of = [](int pusher, int number) {
    // Every fourth is what all of them push: the same digest from several sides.
    const std::string who = number % 4 == 0 ? "all" : std::to_string(pusher);
    return "content " + who + " " + std::to_string(number) + std::string(5000, 'x');
  };
  for (int pusher = 0; pusher < pushers; ++pusher) {
    threads.emplace_back([&, pusher] {
      for (int number = 0; number < each && failures[pusher].empty(); ++number) {
        // A sweep begins and ends between one push and the next, so that they do overlap.
        const int seen = swept;
        failures[pusher] = push_in_pieces(fixture, content_of(pusher, number));
        while (swept == seen) std::this_thread::yield();
      }
      --at_work;
    });
  }
  std::uint64_t removed = 0;
  int debris = 0;
  std::string failed;
  while (at_work > 0 || swept < rounds) {
    // What a crash leaves: a file of an upload that nobody knows.
    if (!fixture.blobs->create(UploadId::random())) failed = "create";
    ++debris;
    const auto report = sync_wait(gc::sweep(fixture.context(), *fixture.uploads, {.grace_seconds = 0}));
    if (!report) {
      failed = report.error().message();
    } else {
      removed += report->uploads_removed;
      CHECK(report->blobs_removed == 0);  // every file had its lock or its row
      CHECK(report->failed == 0);
    }
    ++swept;
  }
  for (auto& thread : threads) thread.join();
  CHECK(failed.empty());
  for (const auto& failure : failures) CHECK(failure.empty());
  // An upload that ends between the look and the removal is counted too, though nothing was there to remove.
  CHECK(removed >= static_cast<std::uint64_t>(debris));
  CHECK(fixture.files("uploads") == 0);
  for (int pusher = 0; pusher < pushers; ++pusher) {
    for (int number = 0; number < each; ++number) {
      const Digest digest = Digest::of(DigestAlgorithm::sha256, content_of(pusher, number));
      CHECK(fixture.blobs->open(digest).has_value());
    }
  }
}

}  // namespace
}  // namespace stele
