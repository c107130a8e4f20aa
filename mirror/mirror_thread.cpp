#include "mirror/mirror_thread.hpp"

namespace stele::mirror {
namespace {

struct Hop {
  explicit Hop(Executor& executor) : to(executor) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) const { to.post(handle); }
  void await_resume() const noexcept {}
  Executor& to;
};

}  // namespace

MirrorThread::MirrorThread() {
  thread_ = std::thread([this] { loop(); });
  pthread_setname_np(thread_.native_handle(), "stele-mirror");
}

MirrorThread::~MirrorThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

void MirrorThread::post(std::coroutine_handle<> handle) {
  const std::lock_guard lock(mutex_);
  ready_.push_back(handle);
  changed_.notify_one();
}

void MirrorThread::start(Task<void> task) {
  {
    const std::lock_guard lock(mutex_);
    ++active_;
  }
  spawn(run(std::move(task)));
}

Task<void> MirrorThread::run(Task<void> task) {
  co_await Hop(*this);
  co_await std::move(task);
  const std::lock_guard lock(mutex_);
  --active_;
}

void MirrorThread::loop() {
  const Scope scope(*this);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return !ready_.empty() || (stopping_ && active_ == 0); });
    if (ready_.empty()) return;
    const auto handle = ready_.front();
    ready_.pop_front();
    lock.unlock();
    handle.resume();
    lock.lock();
  }
}

}  // namespace stele::mirror
