#pragma once
// Content that came from elsewhere goes only while it could be fetched again (field P8): what upstream lost
// is here for the last time. Eviction and lifecycle runs ask through this, and no one else.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gc/lifecycle/plan.hpp"

namespace stele::gc {

// Whether it could be fetched again: a tag, or a digest. An error: that cannot be known now, so that nothing
// more goes.
using StillThere = std::function<Result<bool>(const RepositoryName&, const Reference&)>;

// Which repositories have their content from elsewhere, and whom to ask. Outlives what it is given to;
// thread-safe.
struct MirroredRepositories {
  // by_digest: a name comes back as the digest that it had, which is what has to be there still.
  enum class Kind : std::uint8_t { not_mirrored, by_tag, by_digest };
  std::function<Kind(const RepositoryName&)> kind_of;  // empty: none is mirrored
  StillThere there;
};

// What goes together: a name, or a manifest without one that nothing is above, and what hangs from it.
struct DepartingGroup {
  RepositoryName repository;
  std::string tag;  // empty: none
  std::string digest;
  Timestamp last_used;
  std::uint64_t frees = 0;
  std::vector<std::pair<std::string, std::string>> items;  // as ApprovedItems has them

  std::string name() const { return tag.empty() ? "@" + digest : tag; }
};
std::vector<DepartingGroup> departing_groups(const JudgedRepository&);

// The questions of one round or run, each asked once. For one thread.
class UpstreamCopies {
 public:
  // Both outlive it.
  UpstreamCopies(const RegistryContext& context, const StillThere& there)
      : context_(context), there_(there) {}

  // It would survive: nothing needs to be asked.
  bool is_leased(const DepartingGroup&) const;
  // An error: what `there` says, and unavailable after most_asked questions.
  Result<bool> can_come_back(const DepartingGroup&, bool by_digest);
  static constexpr std::size_t most_asked = 1000;

 private:
  const RegistryContext& context_;
  const StillThere& there_;
  std::map<std::string, bool> asked_;
};

}  // namespace stele::gc
