#pragma once
// Internal to registry/: reads that may touch many rows.

#include "base/task.hpp"
#include "registry/parts.hpp"

namespace stele {

// `read`, of a sql::Session, on the db pool. What it refers to outlives the returned task.
template <class T, class F>
Task<Result<T>> read_on_pool(const RegistryParts& parts, F read) {
  auto pending = parts.db.start([&]() -> Result<T> { return parts.database.read(read); });
  co_return co_await pending;
}

}  // namespace stele
