#pragma once
// Internal to registry/ and gc/: what may not go because a retention lock, a legal hold, or a cluster's
// report reaches it. Each of them on a manifest reaches all that the manifest needs (config, layers, entries)
// and all that refers to it, to the last one, whenever it came, also what of that is in the trash.

#include <functional>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "storage/catalog/protection.hpp"

namespace stele {

// One transaction's view of one repository. Each answer is the refusal, or nothing: refused_by_policy with
// reason LOCKED, HELD or IN_USE.
class Protection {
 public:
  // `now`: of the release clock.
  Protection(sql::Session& session, catalog::RepositoryId id, const RepositoryName& repository, Timestamp now)
      : session_(session), id_(id), repository_(repository), now_(now) {}

  // The tag while it points to this manifest.
  std::optional<Error> of_tag(const Tag&, const Digest&) const;
  // A manifest or a blob, by locks and holds.
  std::optional<Error> of_content(const Digest&) const;
  // The same by what clusters run.
  std::optional<Error> of_use(const Digest&) const;
  // Every lock, hold and cluster's report that reaches it, at most `most`: for people who ask why it stays.
  std::vector<Error> everything_on(const Digest&, std::size_t most) const;
  // Anything at all in it.
  std::optional<Error> of_repository() const;

 private:
  // The first answer for the digest itself or for anything that it belongs to.
  std::optional<Error> look_upwards(const Digest&,
                                    const std::function<std::optional<Error>(const Digest&)>& look) const;
  // A cluster that uses `reached`; of one manifest.
  std::optional<Error> use_of(const Digest& asked, const Digest& reached) const;
  std::optional<Error> direct(const Digest& asked, const Digest& reached) const;

  sql::Session& session_;
  const catalog::RepositoryId id_;
  const RepositoryName& repository_;
  const Timestamp now_;
};

}  // namespace stele
