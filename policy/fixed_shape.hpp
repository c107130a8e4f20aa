#pragma once
// Does a tag look as if it was meant to stay what it is? For advice only: nothing is decided by it.

#include <string_view>

namespace stele::policy {

// "version": three numbers or more with dots (1.4.2, app-1.4.2.7). "commit": seven hex digits or more,
// letters and digits both (a1b2c3d, app-a1b2c3d). "date": 20240131, 2024-01-31, nightly-20240131-2. Empty:
// none of these.
std::string_view fixed_shape(std::string_view tag);

}  // namespace stele::policy
