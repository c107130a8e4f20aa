#pragma once
// One random history: each operation is done by the registry and by the model, and both must say the same.

#include <algorithm>
#include <deque>
#include <optional>
#include <random>

#include "gc/collector.hpp"
#include "registry/repositories.hpp"
#include "registry/trash.hpp"
#include "tests/unit/gc/histories/world.hpp"

namespace stele::histories_test {

struct HistoryKind {
  int operations;
  bool restarts = false;  // what kill -9 leaves, also in the middle of a run
};

// What happened, so that a test can see that its histories are not empty.
struct HistoryCounts {
  std::int64_t operations = 0;
  std::int64_t removed = 0;      // manifests, by lifecycle
  std::int64_t untagged = 0;     // tags, by lifecycle
  std::int64_t survived = 0;     // manifests that were due, by a lease or because nobody approved them
  std::int64_t restored = 0;     // manifests
  std::int64_t refused = 0;      // restorations
  std::int64_t erased = 0;       // items of the trash
  std::int64_t collected = 0;    // blobs
  std::int64_t waited = 0;       // runs
  std::int64_t interrupted = 0;  // runs
  HistoryCounts& operator+=(const HistoryCounts&);
};

class History {
 public:
  History(std::uint64_t seed, HistoryKind);

  // To its end, when everything that was due is gone. A difference fails the test.
  void run();
  const HistoryCounts& counts() const { return counts_; }

 private:
  struct PendingPush {
    std::string repository;
    std::size_t content;
    std::string tag;  // empty: by digest
  };
  struct Returned {
    std::set<std::string> manifests;
    std::set<std::string> tags;
  };

  // --- what clients do
  void begin_push();
  void finish_push();
  // All that a manifest needs is looked at, and pushed where it is missing, as clients do.
  void provide(const std::string& repository, std::size_t content);
  void provide_blob(const std::string& repository, const std::string& blob);
  bool look_at(const std::string& repository, const Digest& digest);
  void put(const std::string& repository, std::size_t content, const std::string& tag);
  void tag_what_is_there();
  void delete_tag();
  void delete_manifest();
  void delete_blob();
  void delete_repository();
  void mount();
  void pull();
  bool pull_one(const std::string& repository, const Reference&, std::optional<std::size_t> content);
  void pull_everything_of_a_tag();
  void pull_below(const std::string& repository, std::size_t content);
  void look_at_blob();

  // --- what administrators do
  void report_in_use();
  void report(const std::string& cluster, const std::set<std::pair<std::string, std::size_t>>& running);
  void set_hold();
  void release_hold();
  void use(const Rules&);
  void change_rules();
  void plan();
  void apply_plan();
  void run_lifecycle();
  void answer_waiting();
  void restore_item();
  void restore_run();
  void erase_item();

  // --- what happens by itself
  void pass_time(Seconds);
  void collect(bool all);
  void erase_due();
  void restart();
  void interrupt_run();

  // --- what a run did, and a restoration
  void expect_run(const Result<gc::RunDetails>&, const std::map<std::string, ApprovedThen>* approved,
                  bool may_exceed);
  void keep_waiting(std::int64_t run, const std::string& repository, const Items&);
  std::map<std::int64_t, Trashed> trash_of_run(std::int64_t run);
  void adopt(const std::string& repository, const Removed&, std::map<std::int64_t, Trashed>& found);
  void look_at_all(const std::string& repository, const std::set<std::int64_t>& items);
  std::set<std::int64_t> companions(std::int64_t item) const;
  bool explains(std::int64_t item, bool skip) const;
  Returned adopt_returned(const std::string& repository, const std::set<std::int64_t>& asked, bool skip);

  void check(bool files);
  void end();

  void begin(std::string what);
  static std::string named(const std::string& repository, std::size_t content);
  [[noreturn]] void fail(const std::string& what) const;
  void expect(bool so, const std::string& what) const {
    if (!so) fail(what);
  }
  template <class Set>
  void compare(const Set& found, const Set& expected, const std::string& what) const {
    if (found == expected) return;
    std::string text = what + " differ:";
    const auto tell = [&](const Set& in, const Set& other, const char* how) {
      for (const auto& one : in) {
        if (std::find(other.begin(), other.end(), one) == other.end()) text += how + described(one);
      }
    };
    tell(found, expected, "\n  too much: ");
    tell(expected, found, "\n  missing: ");
    fail(text);
  }
  static std::string described(const std::string& text) { return text; }
  static std::string described(std::int64_t number) { return std::to_string(number); }
  template <class A, class B>
  static std::string described(const std::pair<A, B>& pair) {
    return described(pair.first) + " " + described(pair.second);
  }

  std::size_t below(std::size_t limit) { return random_() % limit; }
  std::string any_repository();
  std::string any_tag();
  std::size_t any_content() { return below(contents().size()); }
  // Of what is there; nothing is there: any.
  std::size_t any_live(const std::string& repository);

  const std::uint64_t seed_;
  const HistoryKind kind_;
  std::mt19937_64 random_;
  World world_;
  Model model_{lease_seconds};
  int step_ = 0;
  std::deque<std::string> done_;  // the last operations, for whoever has to find out
  std::deque<PendingPush> pending_;
  std::vector<gc::ApprovedPlan> plans_;
  HistoryCounts counts_;
};

template <class Map>
auto any_of_map(Map& map, std::size_t place) {
  auto at = map.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(place));
  return at;
}

}  // namespace stele::histories_test
