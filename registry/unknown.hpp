#pragma once
// Internal to registry/: the words for what is not there.

#include "base/error.hpp"
#include "base/reference.hpp"

namespace stele {

inline Error unknown_repository(const RepositoryName& repository) {
  return Error(Errc::name_unknown, "repository " + repository.str() + " does not exist");
}

inline Error unknown_tag(const RepositoryName& repository, const Tag& tag) {
  return Error(Errc::manifest_unknown, "tag " + tag.str() + " does not exist in " + repository.str());
}

inline Error unknown_manifest(const RepositoryName& repository, const Reference& reference) {
  return Error(Errc::manifest_unknown, (reference.tag() ? "tag " : "manifest ") + reference.str() +
                                           " does not exist in " + repository.str());
}

}  // namespace stele
