#include "server/line_writer.hpp"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace stele {
namespace {

using namespace std::chrono_literals;

// A stop does not wait longer for somebody who reads no more.
constexpr auto patience = 1s;
constexpr std::size_t gathered = 64 * 1024;  // bytes that wait for no others

}  // namespace

// Shared with the thread, which may outlive the writer in a call that never returns.
struct LineWriter::State {
  State(int descriptor, Notice words, Limits bounds)
      : fd(descriptor), notice(std::move(words)), limits(bounds) {}

  void run();
  // Bytes of `text` that were written before something failed.
  std::size_t write_all(std::string_view text) const;

  const int fd;
  const Notice notice;
  const Limits limits;
  std::mutex mutex;
  std::condition_variable changed;  // for the thread
  std::condition_variable over;     // for the destructor
  std::string waiting;
  std::uint64_t lost = 0;
  std::uint64_t untold = 0;  // of them
  bool full = false;         // until the thread has taken what waits, nothing more is
  bool stopping = false;
  bool ended = false;
};

std::size_t LineWriter::State::write_all(std::string_view text) const {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = ::write(fd, text.data() + done, text.size() - done);
    if (wrote > 0) {
      done += static_cast<std::size_t>(wrote);
    } else if (wrote < 0 && errno == EAGAIN) {  // somebody who shares the descriptor does not want to wait
      pollfd writable{fd, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (wrote < 0 && errno != EINTR) {
      break;
    }
  }
  return done;
}

void LineWriter::State::run() {
  std::string batch;
  bool torn = false;  // what came last ended within a line
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [&] { return stopping || !waiting.empty(); });
    if (waiting.empty()) break;
    changed.wait_for(lock, limits.gathering, [&] { return stopping || waiting.size() >= gathered; });
    batch.clear();
    batch.swap(waiting);
    full = false;
    const std::uint64_t gone = std::exchange(untold, 0);
    lock.unlock();
    if (gone > 0) batch.append(notice(gone)).push_back('\n');
    const bool closes_line = torn;
    if (closes_line) batch.insert(batch.begin(), '\n');
    const std::size_t done = write_all(batch);
    const std::string_view left = std::string_view(batch).substr(done);
    if (done > 0) torn = batch[done - 1] != '\n';
    const auto lines = static_cast<std::uint64_t>(std::count(left.begin(), left.end(), '\n'));
    lock.lock();
    if (left.empty()) continue;
    const std::uint64_t own = (gone > 0 ? 1U : 0U) + (closes_line && done == 0 ? 1U : 0U);
    lost += lines - own;
    untold += lines - own + gone;
  }
  ended = true;
  over.notify_all();
}

LineWriter::LineWriter(int fd, Notice notice, Limits limits)
    : state_(std::make_shared<State>(fd, std::move(notice), limits)) {
  std::thread thread([state = state_] { state->run(); });
  pthread_setname_np(thread.native_handle(), "stele-log");
  thread.detach();  // its end is waited for below, but not for ever
}

LineWriter::~LineWriter() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->changed.notify_one();
  state_->over.wait_for(lock, patience, [&] { return state_->ended; });
}

void LineWriter::write(std::string_view line) {
  const std::lock_guard lock(state_->mutex);
  if (state_->full || state_->waiting.size() + line.size() + 1 > state_->limits.capacity) {
    state_->full = true;
    ++state_->lost;
    ++state_->untold;
    return;
  }
  const bool first = state_->waiting.empty();
  state_->waiting.append(line).push_back('\n');
  if (first || state_->waiting.size() >= gathered) state_->changed.notify_one();
}

std::uint64_t LineWriter::lost() const {
  const std::lock_guard lock(state_->mutex);
  return state_->lost;
}

}  // namespace stele
