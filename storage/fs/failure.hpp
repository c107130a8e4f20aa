#pragma once
// What a failed system call means to the store: one error, in the words that a client or an operator reads.
// Names in messages are relative to the data directory: clients see them too.

#include <cerrno>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "storage/store_latch.hpp"

namespace stele::fs {

// Runs a system call again for as long as a signal interrupts it.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// no_space for ENOSPC and EDQUOT, otherwise io. `action` is an infinitive with its object: "write uploads/…".
Error call_failure(std::string_view action, int error);

// Closes the latch and returns its read_only error, for every errno, ENOSPC and EDQUOT included. A sync fails
// when bytes or entries that the kernel had already accepted did not reach the disk; it then forgets that
// they are dirty, so that a second sync would report success. Nor does the errno tell how much was lost: a
// full thin volume or NFS server answers ENOSPC for the journal as well as for our file.
Error sync_failure(StoreLatch& latch, std::string_view call, std::string_view name, int error);

}  // namespace stele::fs
