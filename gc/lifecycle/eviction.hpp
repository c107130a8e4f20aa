#pragma once
// Making room in repositories whose content can be fetched again: what was not used for long, or longest,
// goes to the trash, due to be erased at once. Judged and carried out as lifecycle does (judge.hpp,
// expiry.hpp): what is protected, held, locked, in use, leased, kept by a keep entry or used meanwhile stays.

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

#include "gc/lifecycle/upstream_copies.hpp"
#include "registry/context.hpp"

namespace stele::gc {

struct EvictionOrder {
  std::string what;                    // for records: "mirror docker.io"
  std::string prefix;                  // of the repositories, without "/"
  std::chrono::seconds unused_for{0};  // what was not used for so long goes; 0: no matter how long
  std::uint64_t max_bytes = 0;         // then the least recently used until no more are left; 0: any number
};

struct Evicted {
  std::uint64_t manifests = 0;
  std::uint64_t bytes = 0;          // about: what they alone had
  std::uint64_t gone_upstream = 0;  // names and manifests that stay since they could not be fetched again
  std::uint64_t bytes_left = 0;     // of content that no other repository has
  std::string problem;              // why it is not as ordered; empty: it is
};

// `asks_by_digest`: a name comes back as the digest that it had, which is what has to be there still. One
// round; asks as often as UpstreamCopies does, the next round goes on. Long: for a thread of its own.
// unavailable: nothing may be removed at present.
Result<Evicted> evict(const RegistryContext&, const EvictionOrder&, bool asks_by_digest, const StillThere&,
                      const std::stop_token&);

}  // namespace stele::gc
