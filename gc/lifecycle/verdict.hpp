#pragma once
// What lifecycle says of one thing, by the policy in force: for `stele why` and `stele usage`. Each call
// reads and judges the whole repository (repository_view.hpp): on a thread that may take its time, outside
// any read.

#include <cstdint>
#include <optional>

#include "registry/context.hpp"
#include "registry/why.hpp"

namespace stele::gc {

// Bytes that a run would free in the repository now. Absent: it could not be judged; an error of the catalog
// is then met by whoever asks it next.
std::optional<std::int64_t> would_free(const RegistryContext&, const RepositoryName&);

// Of the tag; without one, of the manifest: expire only if it would go, otherwise what keeps it. Absent: no
// rule applies to the repository, it is not there any more, or it could not be judged.
std::optional<WhyVerdict> verdict_of(const RegistryContext&, const RepositoryName&, const std::optional<Tag>&,
                                     const Digest&);

}  // namespace stele::gc
