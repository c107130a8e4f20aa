#pragma once
// Tags that stay behind upstream's on purpose: pinned ones, and those whose new digest is in quarantine.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "audit/event_log.hpp"
#include "base/reference.hpp"
#include "mirror/difference.hpp"
#include "storage/catalog/mirrored_tags.hpp"

namespace stele::mirror {

struct TagUpdate {
  enum class State {
    pinned,
    quarantined,
    gone
  };  // gone: upstream does not have the tag, refuses it or answers nonsense

  RepositoryName repository;  // as it is called here
  Tag tag;
  Digest held;
  State state = State::pinned;
  // What upstream names instead, since when, and when it was last asked; empty: gone.
  std::optional<catalog::MirroredTag> said;
  std::optional<Timestamp> admitted_at;  // quarantined: when the tag follows
  std::optional<std::vector<ImageChange>> difference;
  std::string problem;  // why there is no difference, or why it is gone; empty: none
};

struct UpdatePage {
  static constexpr std::int64_t most_tags = 500;  // that one page looks at
  static constexpr int most_asked = 50;           // of them, upstream is asked for, one after the other

  bool pins = false;
  std::chrono::seconds quarantine{0};
  Timestamp now;  // that ages count to
  int asked = 0;
  std::vector<TagUpdate> updates;
  // Why upstream was not asked for all of them; what it said before is told. Empty: it was.
  std::string problem;
  std::optional<catalog::MirroredTagName> next;  // empty: this was the last page
};

// That a tag may go to what upstream names.
struct ApprovalRequest {
  std::string mirror;
  RepositoryName repository;
  Tag tag;
  std::optional<Digest> digest;  // what somebody looked at; empty: what was last seen
  audit::Actor actor;
};

struct ApprovalDone {
  RepositoryName repository;
  std::optional<Digest> previous;  // empty: its content had been cleared away
  Digest digest;
};

}  // namespace stele::mirror
