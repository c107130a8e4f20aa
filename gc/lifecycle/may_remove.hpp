#pragma once

#include "base/result.hpp"
#include "registry/context.hpp"

namespace stele::gc {

// Whether anything may be removed now: not within one lease of the start, not while the clock is not
// believed, not while collection is paused. unavailable, with the reason.
Result<void> may_remove(const RegistryContext&);

}  // namespace stele::gc
