#pragma once
// What is in the catalog and in the store at the end, when everything that was due had its time.

#include <string>

#include "tests/unit/gc/histories/world.hpp"

namespace stele::histories_test {

// Empty: rows and files are those of the model's manifests, and not one more.
std::string leftovers(World&, const Model&);

}  // namespace stele::histories_test
