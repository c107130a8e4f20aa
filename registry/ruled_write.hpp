#pragma once
// Internal to registry/: a write that tag rules decide, and what a manifest needs before it may be stored.

#include <functional>
#include <optional>
#include <string_view>

#include "base/manifest.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "registry/context.hpp"
#include "registry/tag_rules.hpp"

namespace stele {

// A manifest that a tag is to point to and that its repository may not have yet.
struct OfferedManifest {
  Digest digest;
  std::string_view bytes;
  const RepositoryName& repository;  // that has the configuration it names
};

// A write closure (see sql::Writer) that decides by TagRules with these orderings.
using RuledBody = std::function<Result<void>(sql::Tx&, Orderings&)>;

// Runs `body` as one write; what it left in unread() is read outside the transaction, and the body runs
// again, whatever it returned. The arguments outlive the task.
Task<Result<void>> write_under_rules(const RegistryContext&, sql::Keys, const RepositoryName&,
                                     std::optional<OfferedManifest>, const RuledBody& body);

// manifest_reference_unknown when something that the manifest names is not in the repository, unless the
// repository takes manifests with gaps (I2).
Result<void> check_references(const RegistryContext&, sql::Session&, catalog::RepositoryId,
                              const RepositoryName&, const Manifest&);

}  // namespace stele
