#include "http/fetch_thread.hpp"

#include <curl/curl.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>

namespace stele::http {

FetchThread::FetchThread() {
  // Once in the process, before its first use anywhere.
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(initialised);
  multi_ = curl_multi_init();
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "stele-fetch");
}

FetchThread::~FetchThread() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = stopping_ = true;
  }
  curl_multi_wakeup(static_cast<CURLM*>(multi_));
  thread_.join();
  curl_multi_cleanup(static_cast<CURLM*>(multi_));
}

void FetchThread::start(std::shared_ptr<Transfer> transfer) {
  command({Command::Kind::start, std::move(transfer), {}});
}

void FetchThread::go_on(std::shared_ptr<Transfer> transfer) {
  command({Command::Kind::go_on, std::move(transfer), {}});
}

void FetchThread::abort(std::shared_ptr<Transfer> transfer, std::string why) {
  command({Command::Kind::abort, std::move(transfer), std::move(why)});
}

void FetchThread::command(Command next) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(next));
  }
  curl_multi_wakeup(static_cast<CURLM*>(multi_));
}

void FetchThread::abort_all() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  curl_multi_wakeup(static_cast<CURLM*>(multi_));
}

void FetchThread::obey(std::vector<Command> commands) {
  const auto now = std::chrono::steady_clock::now();
  for (Command& next : commands) {
    switch (next.kind) {
      case Command::Kind::start:
        running_.push_back(next.transfer);
        next.transfer->begin(multi_, now);
        if (!next.transfer->handle()) running_.pop_back();
        break;
      case Command::Kind::go_on:
        next.transfer->go_on(now);
        break;
      case Command::Kind::abort:
        next.transfer->fail(multi_, Error(Errc::unavailable, "the transfer is over: " + next.why));
        running_.remove(next.transfer);
        break;
    }
  }
}

void FetchThread::reap() {
  int left = 0;
  while (CURLMsg* const message = curl_multi_info_read(static_cast<CURLM*>(multi_), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const handle = message->easy_handle;
    const CURLcode code = message->data.result;
    const auto found = std::find_if(running_.begin(), running_.end(),
                                    [&](const auto& transfer) { return transfer->handle() == handle; });
    if (found == running_.end()) continue;
    (*found)->end(multi_, code, std::chrono::steady_clock::now());
    running_.erase(found);
  }
}

int FetchThread::check_all() {
  constexpr std::chrono::milliseconds longest(60'000);
  const auto now = std::chrono::steady_clock::now();
  auto next = now + longest;
  for (auto at = running_.begin(); at != running_.end();) {
    next = std::min(next, (*at)->check(multi_, now));
    at = (*at)->handle() ? std::next(at) : running_.erase(at);
  }
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(next - now).count());
}

void FetchThread::run() {
  for (;;) {
    std::vector<Command> commands;
    bool closed = false;
    bool stopping = false;
    {
      const std::lock_guard lock(mutex_);
      commands.swap(commands_);
      closed = closed_;
      stopping = stopping_;
    }
    obey(std::move(commands));
    if (closed) {
      for (const auto& transfer : running_)
        transfer->fail(multi_, Error(Errc::unavailable, "this server is stopping"));
      running_.clear();
    }
    if (stopping) return;
    int active = 0;
    curl_multi_perform(static_cast<CURLM*>(multi_), &active);
    reap();
    curl_multi_poll(static_cast<CURLM*>(multi_), nullptr, 0, check_all(), nullptr);
  }
}

}  // namespace stele::http
