// registry/pull_table.hpp: what I/O threads write without a lock, and what a flush takes from it.

#include "registry/pull_table.hpp"

#include <map>
#include <random>
#include <thread>

#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

namespace stele {
namespace {

constexpr std::int64_t tick = PullTable::tick_microseconds;
constexpr Timestamp start{1'800'000'000'000'000};  // on a tick

catalog::ManifestId id(std::uint64_t number) {
  return catalog::ManifestId(static_cast<std::int64_t>(number));
}

struct Table {
  explicit Table(std::size_t count = PullTable::block_words)
      : words(std::make_unique<PullTable::Word[]>(count)), table(words.get(), count, start) {}
  std::unique_ptr<PullTable::Word[]> words;
  PullTable table;
  void clean_all() { table.clean(table.collect(SIZE_MAX)); }
};

TEST_CASE("pulls: a recorded time is never earlier than the pull, and at most ten minutes later") {
  const std::uint64_t seed = chosen_seed().value_or(1);
  INFO("TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<std::int64_t> any(1, 4'000'000'000'000'000);
  for (int n = 0; n < 100'000; ++n) {
    PullTable::Word words[PullTable::block_words] = {};
    PullTable table(words, PullTable::block_words, start);
    const Timestamp pulled{n < 1000 ? start.microseconds - 500 + n : any(random)};
    REQUIRE(table.record(id(7), pulled));
    const auto found = table.find(id(7));
    REQUIRE(found.has_value());
    REQUIRE(*found >= pulled);
    REQUIRE(found->microseconds < pulled.microseconds + tick);
  }
}

TEST_CASE(
    "pulls: a second pull in the same ten minutes stores nothing, a later one does, an earlier one does "
    "not") {
  Table at;
  CHECK_FALSE(at.table.find(id(1)));
  REQUIRE(at.table.record(id(1), start + 1));
  CHECK(at.table.dirty() == 1);
  at.clean_all();
  CHECK(at.table.dirty() == 0);
  REQUIRE(at.table.record(id(1), start + 2));
  REQUIRE(at.table.record(id(1), start + tick));
  REQUIRE(at.table.record(id(1), start));
  REQUIRE(at.table.record(id(1), Timestamp{-5}));
  CHECK(at.table.dirty() == 0);
  CHECK(at.table.find(id(1)) == start + tick);
  REQUIRE(at.table.record(id(1), start + tick + 1));
  CHECK(at.table.dirty() == 1);
  CHECK(at.table.find(id(1)) == start + 2 * tick);
}

TEST_CASE("pulls: manifests that share a place are told apart") {
  Table at;
  for (std::uint64_t n = 0; n < 60; ++n)
    REQUIRE(at.table.record(id(5 + n * PullTable::block_words), start + static_cast<std::int64_t>(n) * tick));
  for (std::uint64_t n = 0; n < 60; ++n)
    CHECK(at.table.find(id(5 + n * PullTable::block_words)) == start + static_cast<std::int64_t>(n) * tick);
  CHECK_FALSE(at.table.find(id(6)));
  CHECK_FALSE(at.table.find(id(5 + 60 * PullTable::block_words)));
}

TEST_CASE("pulls: numbers given one after the other fill the table to the last word") {
  Table at(4 * PullTable::block_words);
  for (std::uint64_t n = 1; n <= 4 * PullTable::block_words; ++n) REQUIRE(at.table.record(id(n), start));
  CHECK(at.table.dirty() == 4 * PullTable::block_words);
}

TEST_CASE("pulls: two dense ranges of numbers that share places leave no one without") {
  constexpr std::uint64_t count = 128 * PullTable::block_words;
  Table at(count);
  std::uint64_t refused = 0;
  for (const std::uint64_t round : {0, 1, 5}) {
    for (std::uint64_t n = 1; n <= count / 4; ++n) refused += !at.table.record(id(n + round * count), start);
  }
  CHECK(refused == 0);
  CHECK(at.table.dirty() == count / 4 * 3);
}

TEST_CASE("pulls: without room a pull is not recorded, and nothing that is there goes") {
  Table at;
  for (std::uint64_t n = 1; n <= PullTable::block_words; ++n) REQUIRE(at.table.record(id(n), start));
  CHECK_FALSE(at.table.record(id(9999), start + tick));
  CHECK(at.table.record(id(3), start + tick));
  for (std::uint64_t n = 1; n <= PullTable::block_words; ++n)
    REQUIRE(at.table.find(id(n)) == (n == 3 ? start + tick : start));

  Table other;
  CHECK_FALSE(other.table.record(id(0), start));
  CHECK_FALSE(other.table.record(id(std::uint64_t{1} << 40), start));
  CHECK_FALSE(other.table.record(catalog::ManifestId(-1), start));
  CHECK_FALSE(other.table.record(id(1), Timestamp{(std::int64_t{1} << 23) * tick}));
  CHECK(
      other.table.record(id((std::uint64_t{1} << 40) - 1), Timestamp{((std::int64_t{1} << 23) - 1) * tick}));
  CHECK(other.table.dirty() == 1);
}

TEST_CASE("pulls: only what is clean and old makes room") {
  Table at;
  const std::uint64_t count = PullTable::block_words;
  for (std::uint64_t n = 1; n <= count; ++n)
    REQUIRE(at.table.record(id(n), n % 2 == 0 ? start + 5 * tick : start + tick));
  at.table.allow_reuse(start + 3 * tick);
  CHECK_FALSE(at.table.record(id(9999), start + 6 * tick));  // old, but the catalog does not have it
  at.clean_all();
  at.table.allow_reuse(start);
  CHECK_FALSE(at.table.record(id(9999), start + 6 * tick));  // the catalog has it, but not for long
  at.table.allow_reuse(start + 3 * tick);
  CHECK(at.table.record(id(9999), start + 6 * tick));
  CHECK(at.table.find(id(9999)) == start + 6 * tick);
  std::uint64_t left = 0;
  for (std::uint64_t n = 1; n <= count; ++n) {
    if (at.table.find(id(n))) {
      ++left;
    } else {
      CHECK(n % 2 == 1);
    }
  }
  CHECK(left == count - 1);
}

TEST_CASE("pulls: words of an earlier run make room at once, but none that the catalog may not have") {
  Table at;
  for (std::uint64_t n = 1; n <= PullTable::block_words; ++n) REQUIRE(at.table.record(id(n), start));
  {
    PullTable reopened(at.words.get(), PullTable::block_words, start + 100 * tick);
    CHECK(reopened.dirty() == PullTable::block_words);
    CHECK_FALSE(reopened.record(id(9999), start + 100 * tick));
  }
  at.clean_all();
  PullTable reopened(at.words.get(), PullTable::block_words, start + 100 * tick);
  CHECK(reopened.dirty() == 0);
  CHECK(reopened.record(id(9999), start + 100 * tick));
}

TEST_CASE("pulls: a flush takes no more than asked for, and all of it in turns") {
  Table at(8 * PullTable::block_words);
  for (std::uint64_t n = 1; n <= 1000; ++n) REQUIRE(at.table.record(id(n * 4), start));
  std::map<catalog::ManifestId, int> seen;
  for (int round = 0; round < 100; ++round) {
    const auto dirty = at.table.collect(37);
    CHECK(dirty.size() <= 37);
    for (const auto& one : dirty) {
      ++seen[one.manifest()];
      CHECK(one.pulled_at() == start);
    }
    at.table.clean(dirty);
  }
  CHECK(seen.size() == 1000);
  for (const auto& [manifest, times] : seen) REQUIRE(times == 1);
  CHECK(at.table.collect(9).empty());
}

TEST_CASE("pulls: what changed while it was written stays dirty, and so does what could not be written") {
  Table at;
  REQUIRE(at.table.record(id(1), start));
  REQUIRE(at.table.record(id(2), start));
  const auto dirty = at.table.collect(9);
  REQUIRE(dirty.size() == 2);
  REQUIRE(at.table.record(id(2), start + tick));
  at.table.clean(dirty);
  auto again = at.table.collect(9);
  REQUIRE(again.size() == 1);
  CHECK(again[0].manifest() == id(2));
  CHECK(again[0].pulled_at() == start + tick);
  at.table.put_back(again);
  CHECK(at.table.collect(9).size() == 1);
}

TEST_CASE("pulls: nothing is lost between many threads and a flush") {
  constexpr std::uint64_t manifests = 1500;
  constexpr int threads = 8, pulls = 40'000;
  Table at(8 * PullTable::block_words);
  std::atomic<int> running{threads};
  std::vector<std::map<catalog::ManifestId, Timestamp>> latest(threads);
  std::atomic<int> refused{0};
  std::vector<std::thread> all;
  for (int number = 0; number < threads; ++number) {
    all.emplace_back([&, number] {
      std::minstd_rand random(static_cast<unsigned>(number + 1));
      for (int n = 0; n < pulls; ++n) {
        // Now and then a number from the second time round the table, which shares places with the first.
        const auto manifest =
            id(1 + random() % manifests + (random() % 8 == 0 ? 8 * PullTable::block_words : 0));
        const Timestamp now = start + n / 100 * tick;
        if (!at.table.record(manifest, now)) {
          ++refused;
          continue;
        }
        latest[static_cast<std::size_t>(number)][manifest] = now;
        if (n % 1000 == 0 && at.table.find(manifest) < now) ++refused;
      }
      --running;
    });
  }
  std::map<catalog::ManifestId, Timestamp> flushed;
  std::size_t rounds = 0;
  for (bool last = false;;) {
    const auto dirty = at.table.collect(500);
    for (const auto& one : dirty) {
      auto& time = flushed[one.manifest()];
      time = std::max(time, one.pulled_at());
    }
    at.table.clean(dirty);
    ++rounds;
    if (last && dirty.empty()) break;
    last = running == 0;
  }
  for (auto& thread : all) thread.join();
  CHECK(at.table.dirty() == 0);
  CHECK(refused == 0);
  CHECK(rounds > 1);
  for (const auto& thread : latest) {
    for (const auto& [manifest, pulled] : thread) REQUIRE(flushed[manifest] >= pulled);
  }
}

TEST_CASE("pulls: what makes room while others pull was in the catalog") {
  // A table far too small, and everything clean is old: what is not found in the table must have been
  // flushed.
  constexpr int threads = 4;
  Table at;
  std::atomic<int> running{threads};
  std::vector<std::map<catalog::ManifestId, Timestamp>> latest(threads);
  std::vector<std::thread> all;
  at.table.allow_reuse(start + 1'000'000 * tick);
  for (int number = 0; number < threads; ++number) {
    all.emplace_back([&, number] {
      std::minstd_rand random(static_cast<unsigned>(number + 1));
      for (int n = 0; n < 30'000; ++n) {
        const auto manifest = id(1 + random() % 5000);
        const Timestamp now = start + n / 100 * tick;
        if (at.table.record(manifest, now)) latest[static_cast<std::size_t>(number)][manifest] = now;
      }
      --running;
    });
  }
  std::map<catalog::ManifestId, Timestamp> flushed;
  for (bool last = false;;) {
    const auto dirty = at.table.collect(100);
    for (const auto& one : dirty) {
      auto& time = flushed[one.manifest()];
      time = std::max(time, one.pulled_at());
    }
    at.table.clean(dirty);
    if (last && dirty.empty()) break;
    last = running == 0;
  }
  for (auto& thread : all) thread.join();
  std::size_t recorded = 0;
  for (const auto& thread : latest) {
    for (const auto& [manifest, pulled] : thread) {
      ++recorded;
      REQUIRE(flushed[manifest] >= pulled);
    }
  }
  CHECK(recorded > PullTable::block_words);
}

}  // namespace
}  // namespace stele
