#pragma once
// Internal to registry/: reads that may touch many rows.

#include "base/task.hpp"
#include "registry/context.hpp"

namespace stele {

// `read`, of a sql::Session, on the db pool. What it refers to outlives the returned task.
template <class T, class F>
Task<Result<T>> read_on_pool(const RegistryContext& context, F read) {
  auto pending = context.db.start([&]() -> Result<T> { return context.database.read(read); });
  co_return co_await pending;
}

}  // namespace stele
