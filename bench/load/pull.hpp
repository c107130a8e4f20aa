#pragma once
// GET or HEAD of one path, or of many at random, from one thread with epoll as wrk does it. Bodies are
// discarded in the kernel where there is no TLS, so that the server's cost is measured and not this
// program's.

#include <string>

#include "bench/load/client.hpp"

namespace stele::load {

struct PullOptions {
  Target target;
  std::string path;
  std::uint64_t random = 0;  // {} in the path stands for a number below this, another one in each request
  std::string method = "GET";
  bool tls = false;
  unsigned clients = 1;  // connections
  double seconds = 1;
  std::uint64_t bytes = 0;  // the Content-Length that every answer must have
  std::uint64_t range_of =
      0;  // the size of what the path names, when `bytes` from a random place are asked for
};

// Runs it and returns the report as JSON. Throws std::runtime_error on any answer but a 200 (with
// range_of a 206) of that length.
std::string pull(const PullOptions&);

}  // namespace stele::load
