#pragma once
// Internal to fsck: what is checked of the catalog alone, one section per kind of row.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gc/fsck.hpp"
#include "storage/catalog/checks.hpp"

namespace stele::gc {

struct Suspicion {
  Problem problem;
  std::string name;        // of what is wrong, for people; one row, one name
  std::string repository;  // for the event of its repair; empty: none
  std::optional<Digest> digest;
  catalog::RowKey before;  // a page that begins here has the row at its beginning
  // Puts it right, as part of the transaction in which it was confirmed. Empty: it cannot be.
  std::function<void(sql::Tx&)> mend;
};

// Stateless; called by one thread.
class Section {
 public:
  virtual ~Section() = default;
  virtual std::string_view name() const = 0;
  // How far a suspicious row is looked for: others may have come before it since its page was read.
  virtual std::int64_t again() const { return 16; }
  // The page after `at`, which becomes its last key; the number of rows, 0 at the end. What looks wrong is
  // added to `found`. May throw sql::Failure.
  virtual std::int64_t look(sql::Session&, catalog::RowKey& at, std::int64_t limit,
                            std::vector<Suspicion>& found) const = 0;
};

// In the order in which they are to be run: what one puts right the next ones take into account.
std::vector<std::unique_ptr<Section>> catalog_sections(const RegistryContext&);

}  // namespace stele::gc
