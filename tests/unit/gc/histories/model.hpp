#pragma once
// What must be there and what must not, from the sentences of docs/policy.md alone: plain sets and maps,
// every question asked anew, nothing of the judge, the catalog or the registry. Time in seconds.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/gc/histories/contents.hpp"

namespace stele::histories_test {

using Seconds = std::int64_t;
inline constexpr Seconds unknown_time = -1;

// The entries of a rule that the histories use. What is absent asks for nothing.
struct Entry {
  std::vector<std::string> tags = {};  // what they begin with
  bool untagged = false;
  bool everything_else = false;
  std::optional<Seconds> older_than = {};
  std::optional<Seconds> not_pulled_for = {};
  std::optional<Seconds> pulled_within = {};
  std::size_t newest_pushed = 0;  // 0: not asked for
};

struct Rules {
  std::vector<std::string> repositories = {};  // none: all
  std::vector<Entry> keep = {};
  std::vector<Entry> expire = {};
  std::size_t keep_last = 0;
  int most_percent = 100;

  bool apply_to(const std::string& repository) const;
};

// What the histories change between.
const std::vector<Rules>& all_rules();
// Everything goes that may.
const Rules& rules_for_the_end();

inline constexpr Seconds trash_for = 4 * 3600;
// The whole policy: with tag rules, which are always the same.
std::string policy_text(const Rules&);

struct ModelManifest {
  Seconds pushed = 0;
  Seconds untagged = unknown_time;  // since when it has no tag, or was pushed again without one
  Seconds pulled = unknown_time;
  Seconds written = unknown_time;  // as far as the catalog knows of it
};
struct Binding {
  std::size_t content;
  Seconds bound;
  Seconds pushed;          // the last time, with this content
  Seconds written;         // as far as the catalog knows of it
  std::int64_t place = 0;  // among all bindings, in the order in which they were made
};
struct ModelRepository {
  std::map<std::size_t, ModelManifest> manifests;
  std::map<std::string, Binding> tags;
};

// (tag, digest); the tag is empty for an untagged manifest.
using Items = std::set<std::pair<std::string, std::string>>;

// What somebody looked at, and when.
struct ApprovedThen {
  Items items;
  Seconds made_at;
};

struct Verdicts {
  std::set<std::string> tags;   // that expire
  std::set<std::size_t> going;  // manifests
  bool exceeds = false;         // max_fraction
  Items items;                  // that expire
};

// What one carrying out takes from a repository.
struct Removed {
  std::map<std::size_t, std::set<std::string>> manifests;  // with their tags
  std::map<std::size_t, std::set<std::string>> names;      // whose manifest stays
};

struct Trashed {
  std::string repository;
  std::size_t content;
  bool whole;  // false: only names went
  std::set<std::string> tags;
  std::int64_t run;
  Seconds erase_after;
  ModelManifest was;
};

struct Hold {
  std::string repository;
  std::optional<std::size_t> content;  // neither this nor a tag: everything
  std::string tag;
};

class Model {
 public:
  explicit Model(Seconds lease_seconds) : lease(lease_seconds) {}

  const Seconds lease;
  Seconds now = 0;
  std::int64_t bindings = 0;  // that were made
  Seconds settled_at = 0;     // before, nothing is removed
  Seconds pulls_since = 0;    // since when every pull is known
  const Rules* rules = nullptr;
  std::map<std::string, ModelRepository> repositories;
  std::map<std::pair<std::string, std::string>, std::size_t> bound;  // immutable names, for ever
  std::map<std::int64_t, Trashed> trash;
  std::map<std::string, Seconds> looked_at;                      // digests, when last
  std::map<std::pair<std::string, std::string>, Seconds> blobs;  // (repository, digest): seen there
  std::map<std::int64_t, Hold> holds;
  std::map<std::string, std::set<std::pair<std::string, std::size_t>>> in_use;  // by cluster
  std::map<std::int64_t, std::map<std::string, ApprovedThen>> waiting;          // by run

  static bool is_immutable(const std::string& tag);
  static bool may_delete(const std::string& tag);

  // --- what is there
  ModelRepository& at(const std::string& repository) { return repositories[repository]; }
  bool has(const std::string& repository, std::size_t content) const;
  std::set<std::string> tags_of(const std::string& repository, std::size_t content) const;
  bool is_leased(const Digest& digest) const;
  // A lock or hold on it, or on something that has it below itself, here or in the trash.
  bool is_protected_content(const std::string& repository, std::size_t content) const;
  // The same for clusters' reports.
  bool is_protected_use(const std::string& repository, std::size_t content) const;
  bool is_held_name(const std::string& repository, const std::string& tag) const;
  bool is_held(const std::string& repository) const;
  std::set<std::size_t> indexes_listing(const std::string& repository, std::size_t content) const;
  // What needs a blob, here or in the trash.
  bool is_needed(const std::string& repository, const std::string& blob_digest) const;

  // --- what happens
  void look(const Digest& digest) { looked_at[digest.str()] = now; }
  void bind(const std::string& repository, const std::string& tag, std::size_t content);
  // It was pushed, and lies in the trash: what is known of it comes back, and names alone stay there.
  void leave_trash(const std::string& repository, std::size_t content);
  void push_again_untagged(const std::string& repository, std::size_t content);
  void unbind(const std::string& repository, const std::string& tag);
  void forget_repository(const std::string& repository);
  void write_pulls();
  void crash();

  // --- lifecycle
  Verdicts judge(const std::string& repository) const;
  // `approved`: nothing else goes, and nothing that was used since; null: everything.
  Removed carried_out(const std::string& repository, const Verdicts&, const ApprovedThen* approved) const;
  void apply(const std::string& repository, const Removed&);
  // Whether an item that is due is erased now; otherwise it stays for another day.
  bool may_erase(const Trashed&) const;

 private:
  template <class Predicate>
  bool any_above(const std::string& repository, std::size_t content, Predicate) const;
};

}  // namespace stele::histories_test
