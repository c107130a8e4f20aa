#pragma once
// Internal to gc/lifecycle/: the labels that rules select by. Annotations of the manifest, then labels of the
// image configuration; read only for rules that ask, since each is a file.

#include "gc/lifecycle/repository_view.hpp"
#include "policy/lifecycle_rules.hpp"

namespace stele::gc {

// Fills in the labels of every manifest, those whose keys the rules name. What cannot be read is left
// unknown, and what is unknown keeps.
void add_labels(const RegistryContext&, const std::vector<const policy::Lifecycle::Rule*>&, sql::Session&,
                RepositoryView&);

}  // namespace stele::gc
