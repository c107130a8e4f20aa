#pragma once
// What has to happen now and then beside the requests, on one thread of its own: uploads expire, certificates
// are re-read, snapshots are made, debris is swept.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace stele {

class Housekeeping {
 public:
  struct Duty {
    std::string name;
    std::chrono::seconds first;  // after the start
    std::chrono::seconds every;
    std::function<void()> work;  // must not throw; may block
  };

  explicit Housekeeping(std::vector<Duty> duties);
  // Waits for the duty under way.
  ~Housekeeping();

 private:
  void run();
  std::vector<Duty> duties_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace stele
