#pragma once
// The check of everything: the catalog against itself and against the files, both ways, beside a server that
// serves. Reads in pages, each a short snapshot, and rests between them. Whatever looks wrong is looked at
// again, in a write transaction or under the digest's lock, before it counts; so what pushes, deletions and
// the collector do meanwhile is no damage. Bytes of blobs are the scrub's (gc/scrub.hpp); here a blob's file
// is there and as long as it should be.

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "audit/event_log.hpp"
#include "gc/blob_check.hpp"
#include "gc/sweep.hpp"

namespace stele::gc {

enum class Problem {
  tag_damaged,           // the checksum of its row does not agree
  tag_without_manifest,  // I2
  manifest_damaged,      // its bytes or its row are not what digest and checksum say
  reference_missing,     // a manifest needs what its repository does not have, and promises to have (I2)
  reference_unrecorded,  // a manifest names what manifest_references does not list: the collector would take
                         // it
  trash_damaged,
  row_without_owner,  // a row about something that is not there
  link_forgotten,     // nothing needs it and no review waits for it: it would stay for ever
  blob_forgotten,     // the same of a blob that no repository links
  removal_forgotten,  // a blob whose removal began, and that no review waits for
  usage_wrong,        // what is counted of a repository is not what it holds
  blob_damaged,       // no file, or one of another length; found now
  blob_quarantined,   // known to be damaged since earlier
  file_without_row,   // debris of a crash, older than a day
};
inline constexpr std::size_t problem_count = 14;
// "tag_damaged"
std::string_view to_string(Problem);
// A sentence for people about what it is, and about what to do where --repair cannot.
std::string_view explanation(Problem);

struct FsckReport {
  static constexpr std::size_t most_names = 20;

  enum class State { never, running, done, failed };
  struct Class {
    std::uint64_t found = 0;
    std::uint64_t repaired = 0;
    std::vector<std::string> names;  // the first ones
  };
  State state = State::never;
  bool repair = false;
  std::optional<Timestamp> begun;
  std::optional<Timestamp> ended;
  std::string doing;        // what is looked at now
  std::string message;      // why it failed
  std::uint64_t rows = 0;   // looked at
  std::uint64_t files = 0;  // of blobs, looked for
  std::array<Class, problem_count> classes;

  const Class& of(Problem problem) const { return classes.at(static_cast<std::size_t>(problem)); }
  std::uint64_t problems() const;
  std::uint64_t repaired() const;
};

struct FsckSettings {
  std::int64_t grace_seconds = 24 * 60 * 60;  // younger files without a row are no debris yet
  bool rest = true;                           // after each page for as long as it took
};

// Thread-safe. One check at a time.
class Fsck {
 public:
  // All of it outlives this.
  Fsck(const RegistryContext& context, Uploads& uploads, FsckSettings settings = {});
  // Ends the check under way after the page that it reads.
  ~Fsck();

  // Begins a check on a thread of its own. parameter_invalid while one is under way. `repair`: what nothing
  // is lost by is put right: reviews are queued, references recorded, blobs without a right file put into
  // quarantine, rows about nothing and files without a row removed; each with its event. No content and no
  // tag is ever removed.
  Result<void> start(bool repair, audit::Actor);
  // Of the check under way, or of the last one since the start.
  FsckReport report() const;

 private:
  struct Run;
  void run(bool repair, const audit::Actor&);

  const RegistryContext context_;
  Uploads& uploads_;
  const FsckSettings settings_;
  BlobCheck blobs_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  FsckReport report_;
  std::thread thread_;
};

}  // namespace stele::gc
