#pragma once
// The one decision on who may do what, asked at every route of every face. Until access rules can say it: the
// local socket may do everything for root and for the user that runs the server, and nothing for others;
// a server that was set up for nobody but this machine allows everything to what comes from it; everybody
// else may push, pull and report what clusters run, and who is known may promote. Where there is a way to log
// in, that is for those who did, and nothing is for others. Administration over the network is off.

#include <string_view>

#include "base/identity.hpp"
#include "base/reference.hpp"
#include "base/result.hpp"

namespace stele::auth {

enum class Right {
  pull,
  push,
  remove,
  promote,
  rollback,
  hold,
  release_hold,
  bypass_governance,
  report_in_use,
  lifecycle,
  admin,
  upkeep,
};

// As access rules will name it: "delete" for remove. upkeep (copying the catalog, sweeping) is for the local
// socket alone, whatever else is allowed.
std::string_view to_string(Right);

// What a route needs. It has no default: a route without one does not compile.
struct Needs {
  constexpr Needs(Right needed, const char* purpose) : right(needed), what(purpose) {}
  Right right;
  const char* what;  // what it is needed for: "rolling a tag back"
};

struct AccessSettings {
  // There is a way to log in: whoever has not may do nothing, and is told to.
  bool login = false;
};

// Thread-safe.
class Access {
 public:
  explicit Access(AccessSettings settings = {}) : settings_(settings) {}
  virtual ~Access() = default;
  // forbidden, naming the right, what it was needed for, and who asked; unauthorized when logging in may
  // help. `repository`: null where the route has none.
  virtual Result<void> may(const Identity&, const Needs&, const RepositoryName* repository) const;

 private:
  const AccessSettings settings_;
};

}  // namespace stele::auth
