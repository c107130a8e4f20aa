#pragma once
// A write by a thread that may wait for it: those of gc/, which run nothing else.

#include <utility>

#include "base/task.hpp"
#include "storage/sql/writer.hpp"

namespace stele::gc {

template <class T>
Task<T> outcome_of(Pending<T> pending) {
  co_return co_await pending;
}

// As Writer::write(); blocks until it is committed, or failed. Not for threads that run coroutines.
template <class F>
auto write_now(sql::Writer& writer, sql::Keys keys, F closure) {
  return sync_wait(outcome_of(writer.write(std::move(keys), std::move(closure))));
}

}  // namespace stele::gc
