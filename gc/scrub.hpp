#pragma once
// The scrub: reads every blob again, in the background and at a bounded rate, and puts those into quarantine
// whose bytes are not what their digest says (I6). One pass goes through the blobs in the order of their
// digests; where it stands is kept in the catalog, so that a restart goes on from there. No snapshot of the
// catalog is held while a file is read.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "audit/event_log.hpp"
#include "gc/blob_check.hpp"
#include "gc/pause.hpp"
#include "storage/catalog/quarantine.hpp"

namespace stele::gc {

struct ScrubSettings {
  std::int64_t every_seconds = 7 * 24 * 60 * 60;  // from the begin of a pass to the next; 0: none by itself
  std::uint64_t rate = 64 << 20;                  // bytes per second
  // No pass begins or goes on for so long after the start: a server that starts has other things to do.
  std::chrono::milliseconds quiet = std::chrono::seconds(60);
  // When more is damaged than this since the start, and than a tenth of what was read, it pauses itself: then
  // it is not the blobs that are damaged but the disk, or the directory is not the one it should be.
  std::uint64_t plausible_damage = 100;
  // Told of everything that an operator must see: a sentence. Called by the scrub's thread.
  std::function<void(const std::string&)> alarm = {};
};

struct ScrubStatus {
  std::optional<std::string> paused;  // since when, by whom and why
  bool running = false;               // a pass is under way, perhaps paused
  double done = 0;                    // about this part of it, 0 to 1
  catalog::ScrubProgress pass;        // the one under way, or the last
  std::optional<Timestamp> next;      // when the next one begins; empty: not by itself
  std::size_t quarantined = 0;        // blobs that are in quarantine
  std::string problem;                // of the last step, if it failed
  struct Totals {                     // since the start
    std::uint64_t blobs = 0;
    std::uint64_t bytes = 0;
    std::uint64_t damaged = 0;   // put in quarantine
    std::uint64_t repaired = 0;  // fetched anew from a source, or found right again
    std::uint64_t failed = 0;    // files that could not be opened
  } total;
};

struct QuarantinedBlob {
  catalog::QuarantinedBlob row;
  std::vector<std::string> repositories;  // that have it; the first ones
};

// Thread-safe.
class Scrub {
 public:
  // `source` may be null; all of it outlives this.
  Scrub(const RegistryContext& context, Uploads& uploads, BlobSource* source, ScrubSettings settings);
  // Ends within the reading of a megabyte; the pass goes on after the next start.
  ~Scrub();

  ScrubStatus status() const;
  // In the order of their digests after `after` (a digest's text, or empty), at most `limit`.
  Result<std::vector<QuarantinedBlob>> quarantined(const std::string& after, std::int64_t limit) const;

  // A pass begins now. parameter_invalid while one is under way, or while it is paused.
  Task<Result<void>> start(audit::Actor);
  // Kept in the catalog: a restart changes nothing. parameter_invalid when it is so already.
  Task<Result<void>> pause(std::string reason, audit::Actor);
  Task<Result<void>> resume(audit::Actor);

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  // How long to wait before the next step.
  std::chrono::milliseconds work();
  Result<bool> begin_if_due();
  Result<void> look_at_suspects();
  // Some blobs of the pass. False: there are no more.
  Result<bool> step();
  Result<bool> check(const Digest&);
  Result<bool> judge(const Digest&);
  // Waits as long as reading so many bytes may take; false: stop reading.
  bool pace(std::uint64_t bytes);
  bool interrupted() const;  // with mutex_
  void stop_if_implausible();
  Result<void> store(const catalog::ScrubProgress&);
  void alarm(const std::string&) const;

  const RegistryContext context_;
  const ScrubSettings settings_;
  const Pause pause_;
  BlobCheck check_;
  const Clock::time_point quiet_until_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool wanted_ = false;  // a pass was begun or resumed by a person: not held back by quiet
  ScrubStatus now_;
  std::uint64_t excused_ = 0;  // of the damage since the start: what was known at the last resume
  Clock::time_point paced_{};  // this and the next: of the thread alone
  Clock::time_point stored_{};
  std::thread thread_;
};

}  // namespace stele::gc
