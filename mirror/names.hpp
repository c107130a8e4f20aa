#pragma once
// Which mirror a request means, and what the repository is called here and there. Pure: no clock, no I/O.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/reference.hpp"
#include "base/result.hpp"
#include "mirror/settings.hpp"
#include "policy/pattern.hpp"

namespace stele::mirror {

// A repository of a mirror: one, however a client addressed it.
struct Place {
  std::size_t mirror;     // its index in the configuration
  RepositoryName stored;  // "docker.io/library/demo"
  std::string remote;     // "library/demo"
};

// Immutable; thread-safe.
class Names {
 public:
  // The patterns were looked at when the configuration was read: parameter_invalid is a bug.
  static Result<Names> compile(const std::vector<Settings>& mirrors);

  // Where a path of the form /<mirror>/v2/… begins its /v2/: the length of what stands before, 0 when it
  // names no mirror. `mirror` is then its index. The mirror's name is compared as that of ?ns= is.
  std::size_t path_prefix(std::string_view path, std::optional<std::size_t>& mirror) const;

  // `in_path`: of path_prefix(). `ns`: the parameter, if there is one. Empty: the name is one of this
  // registry itself. parameter_invalid: two ways name two mirrors; name_unknown: `ns` is no mirror's;
  // forbidden: the mirror does not allow the repository; name_invalid.
  Result<std::optional<Place>> place(const RepositoryName& asked, std::optional<std::size_t> in_path,
                                     std::optional<std::string_view> ns) const;
  // The default mirror's place of a name that names no mirror: empty when there is none, or when it does not
  // allow it.
  std::optional<Place> default_place(const RepositoryName& asked) const;

  // Of upstream's repository of this name: forbidden, name_invalid.
  Result<Place> place_in(std::size_t mirror, std::string remote) const;

  // Whether the name is below a mirror's prefix: then nobody pushes there.
  bool is_mirrored(const RepositoryName& name) const { return by_prefix(name.str()).has_value(); }

 private:
  struct Mirror {
    std::string name;
    std::string prefix;
    std::optional<policy::PatternList> allow;
    policy::PatternList deny;
  };
  std::optional<std::size_t> by_name(std::string_view name) const;
  std::optional<std::size_t> by_prefix(std::string_view name) const;
  bool allows(const Mirror& mirror, const std::string& remote) const;

  std::vector<Mirror> mirrors_;
  std::optional<std::size_t> default_;
};

}  // namespace stele::mirror
