#pragma once
// What a tag of a mirrored repository stands for: upstream's word, what it is bound to here, and whether the
// one may take the place of the other.

#include <chrono>
#include <optional>

#include "base/clock.hpp"
#include "base/digest.hpp"
#include "storage/catalog/mirrored_tags.hpp"

namespace stele::mirror {

struct TagState {
  std::optional<catalog::MirroredTag> said;  // by upstream
  std::optional<Digest> bound;               // here
  // What it named when it was last here, cleared away since, where it is to come back as that.
  std::optional<Digest> pin;
  // Upstream's tag may name what it likes: this one is pinned, or what upstream says is in quarantine.
  bool kept = false;
  // When the quarantine of what upstream says ends, or ended; empty: it names what is held, or there is none.
  std::optional<Timestamp> admitted_at;
  bool stored = false;  // the manifest of meant()

  std::optional<Digest> held() const { return bound ? bound : pin; }
  std::optional<Digest> meant() const {
    const auto here = held();
    return here || !said ? here : std::optional(said->digest);
  }
};

// When what upstream says may take the place of what is held: `quarantine` after it was first seen. Empty:
// it is what is held, or there is no quarantine.
std::optional<Timestamp> end_of_quarantine(const catalog::MirroredTag& said, const Digest& held,
                                           std::chrono::seconds quarantine);

}  // namespace stele::mirror
