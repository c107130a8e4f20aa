#pragma once
// Internal to registry/: what forward-only compares. From the annotations of the manifest or index
// (org.opencontainers.image.version and .created, OCI image-spec "Annotations"); otherwise from the labels of
// the image configuration, for the time also its own `created`; 1970-01-01 and 1980-01-01 are no times; for
// an index without, from the agreeing value of its image children. A version that the base image has too
// (org.opencontainers.image.base.name and .digest) is not the image's own.

#include <string_view>

#include "base/reference.hpp"
#include "base/result.hpp"
#include "policy/decide.hpp"
#include "registry/context.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {

// Reads catalog and blob files: for a pool thread. What the repository does not have, and what is no JSON,
// "does not say". What is there and cannot be read is unavailable: the tag stays where it is (I8).
Result<policy::Ordering> read_ordering(const RegistryContext&, const RepositoryName&, const Digest& manifest);

// The same of a manifest that is not stored yet.
Result<policy::Ordering> read_ordering(const RegistryContext&, const RepositoryName&,
                                       std::string_view manifest_bytes);

// A tag that is a full version says more than the image does: the highest of the manifest's tags.
void prefer_tags(sql::Session&, catalog::ManifestId, policy::Ordering&);

}  // namespace stele
