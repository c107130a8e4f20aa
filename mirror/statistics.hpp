#pragma once
// What mirrors have done since the start and what they do now: for `stele mirror status` and metrics.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stele::mirror {

// How long an upstream took from the request to the head of its answer.
struct Latencies {
  // Upper bounds in milliseconds; the last bucket has none.
  static constexpr std::array<std::int64_t, 9> bounds{10, 50, 100, 250, 500, 1'000, 2'500, 5'000, 10'000};
  std::array<std::uint64_t, bounds.size() + 1> buckets{};
  std::uint64_t count = 0;
  double seconds = 0;
};

// Counts that several threads add to.
class LatencyCounts {
 public:
  void add(std::chrono::microseconds time);
  Latencies total() const;

 private:
  std::array<std::atomic<std::uint64_t>, Latencies::bounds.size() + 1> buckets_{};
  std::atomic<std::uint64_t> microseconds_{0};
};

// One URL of a mirror.
struct UpstreamState {
  std::string url;                    // "https://registry-1.docker.io"
  std::chrono::milliseconds left{0};  // for so long it is not asked; 0: it is
  std::string problem;                // why; empty when it is asked
};

struct UpstreamStatistics {
  std::uint64_t requests = 0;             // that were sent, tokens included
  std::uint64_t tokens = 0;               // of them
  std::uint64_t received_bytes = 0;       // of manifests, blobs and lists
  std::uint64_t waiting = 0;              // blobs that max_fetches lets wait for their turn
  std::optional<std::int64_t> remaining;  // pulls, as it last said of its limit
  Latencies latencies;
  std::vector<UpstreamState> urls;
};

// A blob that is arriving.
struct RunningFetch {
  std::string repository;  // as it is called here
  std::string digest;
  std::uint64_t arrived = 0;
  std::optional<std::uint64_t> size;
};

struct MirrorStatus {
  static constexpr std::size_t most_fetches = 100;  // that are listed

  std::string name;
  std::string prefix;
  bool pins = false;
  std::chrono::seconds tag_ttl{0};  // that is in force now
  bool stretched = false;           // beyond the configured one, since upstream's limit is nearly used up
  std::uint64_t hits = 0;           // answered with what is here, be it after a comparison
  std::uint64_t misses = 0;         // upstream was asked for the content
  std::uint64_t revalidations = 0;  // comparisons of a tag that is here with upstream's
  std::uint64_t stale = 0;          // answered with what is here since upstream could not be asked; hits too
  std::uint64_t coalesced = 0;      // that waited for a question somebody else had asked
  std::uint64_t served_bytes = 0;   // to clients
  std::uint64_t evicted = 0;        // manifests that went since they can be fetched again
  std::uint64_t evicted_bytes = 0;  // that they alone had
  UpstreamStatistics upstream;
  std::uint64_t fetching = 0;         // blobs that are arriving
  std::vector<RunningFetch> fetches;  // of them, at most most_fetches
};

// Of one mirror. Thread-safe.
struct Counts {
  std::atomic<std::uint64_t> hits{0}, misses{0}, revalidations{0}, stale{0}, coalesced{0}, served_bytes{0};
  std::atomic<std::uint64_t> evicted{0}, evicted_bytes{0};
};

}  // namespace stele::mirror
