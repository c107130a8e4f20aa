#pragma once
// Internal to http/: the thread that carries all fetches.

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "http/fetch_transfer.hpp"

namespace stele::http {

class FetchThread {
 public:
  using Transfer = Fetched::Transfer;
  FetchThread();
  ~FetchThread();
  FetchThread(const FetchThread&) = delete;
  FetchThread& operator=(const FetchThread&) = delete;

  // Thread-safe; done soon, in order.
  void start(std::shared_ptr<Transfer>);
  void go_on(std::shared_ptr<Transfer>);
  void abort(std::shared_ptr<Transfer>, std::string why);
  void abort_all();

 private:
  struct Command {
    enum class Kind { start, go_on, abort } kind;
    std::shared_ptr<Transfer> transfer;
    std::string why;
  };
  void command(Command);
  void run();
  void obey(std::vector<Command>);
  void reap();
  int check_all();  // how long to wait at most, in milliseconds

  void* multi_;
  std::list<std::shared_ptr<Transfer>> running_;  // the fetch thread's
  std::mutex mutex_;
  std::vector<Command> commands_;
  bool closed_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace stele::http
