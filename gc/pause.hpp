#pragma once
// That something in the background rests because an administrator said so. Kept in the catalog: a restart
// changes nothing.

#include <optional>
#include <string>

#include "audit/event_log.hpp"
#include "registry/context.hpp"

namespace stele::gc {

// Thread-safe. `activity` is a word, and the beginning of the events' names: "collection" of
// collection.pause.
class Pause {
 public:
  Pause(const RegistryContext& context, std::string activity)
      : context_(context), activity_(std::move(activity)) {}

  // Since when, by whom and why; empty: it works.
  std::optional<std::string> in(sql::Session&) const;
  Result<std::optional<std::string>> now() const;

  // parameter_invalid when it is so already.
  Task<Result<void>> begin(std::string reason, audit::Actor) const;
  Task<Result<void>> end(audit::Actor) const;

 private:
  std::string key() const { return activity_ + "_paused"; }

  const RegistryContext context_;
  const std::string activity_;
};

}  // namespace stele::gc
