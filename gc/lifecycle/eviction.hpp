#pragma once
// Making room in repositories whose content can be fetched again: what was not used for long, or longest,
// goes to the trash, due to be erased at once. Judged and carried out as lifecycle does (judge.hpp,
// expiry.hpp): what is protected, held, locked, in use, leased, kept by a keep entry or used meanwhile stays.

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "registry/parts.hpp"

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

// Whether it could be fetched again: a tag, or a digest. An error: that cannot be known now, so that nothing
// more goes.
using StillThere = std::function<Result<bool>(const RepositoryName&, const Reference&)>;

// `asks_by_digest`: a name comes back as the digest that it had, which is what has to be there still. One
// round; asks at most most_asked times, the next round goes on. Long: for a thread of its own. unavailable:
// nothing may be removed at present.
Result<Evicted> evict(const RegistryParts&, const EvictionOrder&, bool asks_by_digest, const StillThere&,
                      const std::stop_token&);
inline constexpr std::size_t most_asked = 1000;

}  // namespace stele::gc
