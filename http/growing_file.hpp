#pragma once
// A file that one writer makes longer while any number of responses send it: each of them reads behind the
// writer's high-water mark, at its own client's pace, straight from the file.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/pending.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "http/message.hpp"

namespace stele::http {

// Thread-safe. Ends once, by finish() or fail(); the writer sees to it that it does.
class GrowingFile : public std::enable_shared_from_this<GrowingFile> {
 public:
  // `owner` keeps `fd` open. `length`: of the whole, if that is known.
  GrowingFile(std::shared_ptr<const void> owner, int fd, std::optional<std::uint64_t> length);

  // --- the writer's side ---
  // So many bytes of the file may be sent. What a reader must not have before the whole was verified, its
  // last byte, is kept back by not advancing over it.
  void advance(std::uint64_t size);
  // The file is whole, with so many bytes.
  void finish(std::uint64_t size);
  // Every reader that has not got what it wanted is ended with a reset.
  void fail(Error error);

  // --- the readers' side ---
  std::optional<std::uint64_t> length() const { return length_; }
  // The bytes from `first` on, `count` of them, or to the end.
  std::shared_ptr<ArrivingBody> read(std::uint64_t first, std::optional<std::uint64_t> count);
  // The bytes that may be sent, once they are more than `offset` or the file is whole.
  Task<Result<std::uint64_t>> beyond(std::uint64_t offset);
  FileSlice slice(std::uint64_t offset, std::uint64_t length) const { return {owner_, fd_, offset, length}; }

 private:
  struct Waiter {
    std::uint64_t offset;
    Completion<void> completion;
  };
  void wake(std::unique_lock<std::mutex> lock);

  const std::shared_ptr<const void> owner_;
  const int fd_;
  const std::optional<std::uint64_t> length_;
  std::mutex mutex_;
  std::uint64_t size_ = 0;
  bool whole_ = false;
  std::optional<Error> error_;
  std::vector<Waiter> waiters_;
};

}  // namespace stele::http
