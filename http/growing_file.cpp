#include "http/growing_file.hpp"

#include <algorithm>
#include <functional>
#include <iterator>

namespace stele::http {
namespace {

// Of one slice: the connection looks up between two of them.
constexpr std::uint64_t longest_slice = 8 * 1024 * 1024;

class Reading final : public ArrivingBody {
 public:
  Reading(std::shared_ptr<GrowingFile> file, std::uint64_t first, std::optional<std::uint64_t> count)
      : file_(std::move(file)), at_(first), left_(count.value_or(UINT64_MAX)) {}

  Task<Result<Piece>> next() override {
    Piece piece;
    if (left_ == 0) co_return std::move(piece);
    const auto size = co_await file_->beyond(at_);
    if (!size) co_return size.error();
    if (*size > at_) {
      const std::uint64_t length = std::min({*size - at_, left_, longest_slice});
      piece.file = file_->slice(at_, length);
      at_ += length;
      left_ -= length;
    }
    co_return std::move(piece);
  }

 private:
  const std::shared_ptr<GrowingFile> file_;
  std::uint64_t at_;
  std::uint64_t left_;
};

}  // namespace

GrowingFile::GrowingFile(std::shared_ptr<const void> owner, int fd, std::optional<std::uint64_t> length)
    : owner_(std::move(owner)), fd_(fd), length_(length) {}

void GrowingFile::wake(std::unique_lock<std::mutex> lock) {
  std::vector<Waiter> woken;
  const auto ready = [&](const Waiter& waiter) { return whole_ || error_ || waiter.offset < size_; };
  const auto waiting = std::partition(waiters_.begin(), waiters_.end(), std::not_fn(ready));
  woken.assign(std::make_move_iterator(waiting), std::make_move_iterator(waiters_.end()));
  waiters_.erase(waiting, waiters_.end());
  lock.unlock();
  for (Waiter& waiter : woken) waiter.completion.set();
}

void GrowingFile::advance(std::uint64_t size) {
  std::unique_lock lock(mutex_);
  size_ = std::max(size_, size);
  wake(std::move(lock));
}

void GrowingFile::finish(std::uint64_t size) {
  std::unique_lock lock(mutex_);
  if (error_) return;
  size_ = size;
  whole_ = true;
  wake(std::move(lock));
}

void GrowingFile::fail(Error error) {
  std::unique_lock lock(mutex_);
  if (whole_ || error_) return;
  error_ = std::move(error);
  wake(std::move(lock));
}

std::shared_ptr<ArrivingBody> GrowingFile::read(std::uint64_t first, std::optional<std::uint64_t> count) {
  return std::make_shared<Reading>(shared_from_this(), first, count);
}

Task<Result<std::uint64_t>> GrowingFile::beyond(std::uint64_t offset) {
  for (;;) {
    std::optional<Pending<void>> waiting;
    {
      const std::lock_guard lock(mutex_);
      if (error_) co_return *error_;
      if (whole_ || size_ > offset) co_return size_;
      Completion<void> completion;
      waiting.emplace(completion.pending());
      waiters_.push_back({offset, completion});
    }
    co_await *waiting;
  }
}

}  // namespace stele::http
