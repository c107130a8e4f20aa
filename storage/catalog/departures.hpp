#pragma once
// Which event took a manifest, or a repository, away: kept for as long as the catalog lives, under the
// repository's name. Conventions: catalog.hpp.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

// To be called wherever a manifest goes, in the transaction that removes it. `event`: sequence of the event
// that tells of it. `run`: lifecycle_runs.id, when lifecycle did it. Without a digest: the repository itself
// went.
void record_departure(Tx&, const RepositoryName&, const std::optional<Digest>&, std::int64_t event,
                      std::optional<std::int64_t> run);

struct Departure {
  std::int64_t event;
  std::optional<std::int64_t> run;
  Timestamp at;
  std::string actor;
  std::string action;  // "manifest.delete", "repository.delete", …
  std::string rule;    // empty: none
  std::string reason;  // empty: none was given
  std::string request_id;
};
// Of this manifest, or without a digest of the repository itself: the last ones first, at most `limit`.
std::vector<Departure> list_departures(Session&, const RepositoryName&, const std::optional<Digest>&,
                                       std::int64_t limit);
// The repository's own departure of the same request as `manifest`: it went because its repository went.
std::optional<Departure> repository_departure(Session&, const RepositoryName&, const Departure& manifest);

// Of a repository that is going: takes away at most `limit` rows of its tags' history; how many went.
std::int64_t forget_tag_history(Tx&, RepositoryId, std::int64_t limit);
// Whether there are more of them than `rows`.
bool has_history_beyond(Session&, RepositoryId, std::int64_t rows);

// A removal of a tag, as its event tells. It is known also when the repository and its tag history are gone.
struct TagRemoval {
  std::int64_t event;
  Digest digest;  // that the tag had
  Timestamp at;
  std::string actor;
  std::string action;
  std::string rule;    // empty: none
  std::string reason;  // empty: none was given
  std::string request_id;
};
// The last ones first, at most `limit`.
std::vector<TagRemoval> list_tag_removals(Session&, const RepositoryName&, const Tag&, std::int64_t limit);

// When a name was last freed although a rule kept it, by whom and why (the event "name.released"); known also
// when the repository is gone.
std::optional<TagRemoval> last_name_release(Session&, const RepositoryName&, const Tag&);

}  // namespace stele::catalog
