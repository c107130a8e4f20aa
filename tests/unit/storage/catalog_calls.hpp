#pragma once
// Calls of every function of the catalog's headers.

#include "storage/catalog/catalog.hpp"

namespace stele::catalog_calls {

void call_everything(catalog::Tx&);
// What goes through a whole repository, or all runs, by its purpose.
void call_what_visits_all(catalog::Tx&);

}  // namespace stele::catalog_calls
