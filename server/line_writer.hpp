#pragma once
// Lines to a descriptor that may not take them: a pipe that nobody reads, a terminal that is paused, a full
// disk. A thread of its own writes; who has a line never waits.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace stele {

// Thread-safe. Lines leave in the order in which they came. Those that `capacity` has no room for are
// dropped, from the first one on until the thread has taken what waits; then a line of its own says how many
// they were.
class LineWriter {
 public:
  // The line that says so, without its newline.
  using Notice = std::function<std::string(std::uint64_t lost)>;
  static constexpr std::size_t default_capacity = 1024 * 1024;  // bytes that wait; as many are being written

  struct Limits {
    std::size_t capacity = default_capacity;
    // How long a line waits for others, so that they leave in one call.
    std::chrono::milliseconds gathering{20};
  };
  // `fd` is not closed, and outlives the process's use of it: the thread may still hang in it afterwards.
  LineWriter(int fd, Notice notice, Limits limits);
  // What waits is written, if it goes on, within a second.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Without its newline, and with none in it.
  void write(std::string_view line);
  // Lines dropped since the start.
  std::uint64_t lost() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace stele
