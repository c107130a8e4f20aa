#pragma once
// Pushes of unique content, every body and digest made before the clock starts, read back and hashed after it
// stops.

#include <string>

#include "bench/load/client.hpp"

namespace stele::load {

struct PushOptions {
  Target target;
  std::string repository;
  bool manifests = false;  // image manifests by tag instead of blobs
  std::string tag_prefix;  // what the tags begin with
  bool numbered = false;   // tags are the prefix and a number, from `first` on
  std::uint64_t first = 0;
  unsigned clients = 1;      // connections, each with a thread
  std::uint64_t bytes = 0;   // of each body
  std::uint64_t count = 0;   // pushes of all clients together, at most
  double seconds = 0;        // no push begins later than this; 0: no limit
  std::uint64_t verify = 0;  // how many are read back, spread evenly; 0: all
  bool announce = false;     // say "started" on standard output when the clock starts
  bool print_digests = false;
};

// Runs it and returns the report as JSON. Throws std::runtime_error when any push or any verification failed.
std::string push(const PushOptions&);

}  // namespace stele::load
