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

struct MirrorThread::Sleep {
  Sleep(MirrorThread& on, Time time) : thread(on), until(time) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) const {
    const std::lock_guard lock(thread.mutex_);
    if (thread.awake_) return false;
    thread.asleep_.emplace(until, handle);
    thread.changed_.notify_one();
    return true;
  }
  bool await_resume() const {
    const std::lock_guard lock(thread.mutex_);
    return !thread.awake_;
  }
  MirrorThread& thread;
  const Time until;
};

Task<bool> MirrorThread::sleep(std::chrono::milliseconds time) {
  Sleep sleeping(*this, std::chrono::steady_clock::now() + time);
  co_return co_await sleeping;
}

void MirrorThread::end_sleeps() {
  const std::lock_guard lock(mutex_);
  awake_ = true;
  for (const auto& [until, handle] : asleep_) ready_.push_back(handle);
  asleep_.clear();
  changed_.notify_one();
}

void MirrorThread::loop() {
  const Scope scope(*this);
  std::unique_lock lock(mutex_);
  const auto wanted = [&] { return !ready_.empty() || (stopping_ && active_ == 0); };
  for (;;) {
    if (asleep_.empty()) {
      changed_.wait(lock, [&] { return wanted() || !asleep_.empty(); });
    } else {
      const Time next = asleep_.begin()->first;
      changed_.wait_until(lock, next,
                          [&] { return wanted() || asleep_.empty() || asleep_.begin()->first < next; });
    }
    const Time now = std::chrono::steady_clock::now();
    while (!asleep_.empty() && asleep_.begin()->first <= now) {
      ready_.push_back(asleep_.begin()->second);
      asleep_.erase(asleep_.begin());
    }
    if (ready_.empty() && stopping_ && active_ == 0) return;
    if (ready_.empty()) continue;
    const auto handle = ready_.front();
    ready_.pop_front();
    lock.unlock();
    handle.resume();
    lock.lock();
  }
}

}  // namespace stele::mirror
