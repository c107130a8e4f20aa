#pragma once
// Internal to registry/: what may not go because a retention lock or a legal hold reaches it. A lock or hold
// on a manifest reaches all that the manifest needs (config, layers, entries) and all that refers to it, to
// the last one, whenever it came.

#include <optional>

#include "base/error.hpp"
#include "storage/catalog/protection.hpp"

namespace stele {

// One transaction's view of one repository. Each answer is the refusal, or nothing: refused_by_policy with
// reason LOCKED or HELD.
class Protection {
 public:
  // `now`: of the release clock.
  Protection(sql::Session& session, catalog::RepositoryId id, const RepositoryName& repository, Timestamp now)
      : session_(session), id_(id), repository_(repository), now_(now) {}

  // The tag while it points to this manifest.
  std::optional<Error> of_tag(const Tag&, const Digest&) const;
  // A manifest or a blob.
  std::optional<Error> of_content(const Digest&) const;
  // Anything at all in it.
  std::optional<Error> of_repository() const;

 private:
  std::optional<Error> direct(const Digest& asked, const Digest& reached) const;

  sql::Session& session_;
  const catalog::RepositoryId id_;
  const RepositoryName& repository_;
  const Timestamp now_;
};

}  // namespace stele
