#pragma once
// The catalog's queries for blobs whose stored bytes were found to be wrong, and for the scrub that finds
// them. Conventions: catalog.hpp.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

struct QuarantinedBlob {
  Digest digest;
  std::uint64_t size;  // as its row says, bytes
  Timestamp found_at;
  std::string problem;  // for people
};
// In the order of their digests after `last` (a digest's text, or empty), at most `limit`.
std::vector<QuarantinedBlob> list_quarantine(Session&, const std::string& last, std::int64_t limit);
// False: it has no row, or is in quarantine already.
bool put_in_quarantine(Tx&, const Digest&, Timestamp found_at, const std::string& problem);
// Right bytes are there, so many of them. False: it was not in quarantine.
bool end_quarantine(Tx&, const Digest&, std::uint64_t size);

// Live blobs in the order of their digests after `last` (a digest's text, or empty), at most `limit`.
std::vector<Digest> blobs_after(Session&, const std::string& last, std::int64_t limit);

// How far the scrub has come; kept across restarts.
struct ScrubProgress {
  std::optional<Timestamp> since;     // when this store's scrub was first thought of
  std::optional<Timestamp> begun;     // of the pass under way, or of the last one
  std::optional<Timestamp> finished;  // empty: it is under way
  std::string position;               // the last digest that was looked at; empty: none
  std::uint64_t blobs = 0;            // looked at in this pass
  std::uint64_t bytes = 0;
  std::uint64_t damaged = 0;  // put in quarantine
  std::uint64_t repaired = 0;
  bool operator==(const ScrubProgress&) const = default;
};
ScrubProgress find_scrub_progress(Session&);
void store_scrub_progress(Tx&, const ScrubProgress&);

}  // namespace stele::catalog
