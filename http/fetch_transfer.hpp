#pragma once
// Internal to http/: one hop of a fetch.

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/pending.hpp"
#include "http/fetcher.hpp"

namespace stele::http {

class FetchThread;

// Shared by its reader and the fetch thread. The libcurl side of it belongs to the fetch thread alone.
class Fetched::Transfer : public std::enable_shared_from_this<Fetched::Transfer> {
 public:
  Transfer(FetchThread& thread, const FetchRequest& request, Url url, bool own_origin, bool checked);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // --- the reader's side ---
  // Whether the head is here, or what went wrong. Nothing: await `waiting` and ask again.
  std::optional<Result<void>> head(std::optional<Pending<void>>& waiting);
  // Bytes of the body, 0 at its end, or what went wrong. Nothing: await `waiting` and ask again.
  std::optional<Result<std::size_t>> take(ByteSpan out, std::optional<Pending<void>>& waiting);
  void abort(std::string_view why);
  // Once the head is here.
  int status() const { return status_; }
  std::string_view header(std::string_view name) const;
  std::vector<std::string_view> headers(std::string_view name) const;

  // --- the fetch thread's side ---
  using Time = std::chrono::steady_clock::time_point;
  void begin(void* multi, Time now);
  void go_on(Time now);  // after a pause
  void end(void* multi, int curl_code, Time now);
  void fail(void* multi, Error error);
  // When it is next to be looked at; fails it when it has had its time.
  Time check(void* multi, Time now);
  void* handle() const { return handle_; }

 private:
  struct Callbacks;
  void set_options();
  Time check_progress(void* multi, Time now);
  std::size_t take_header(std::string_view line);
  std::size_t take_body(std::string_view piece);
  Error failure(int curl_code) const;
  void finish(std::optional<Error> error);
  void wake(std::optional<Completion<void>> waiter);

  FetchThread& thread_;
  const std::string method_;
  const Url url_;
  std::vector<std::string> field_lines_;
  const std::string body_;
  const std::string ca_file_;
  const std::string proxy_;
  const std::function<bool(const Url&, std::string_view)> may_connect_;
  const FetchLimits limits_;

  // The fetch thread's.
  void* handle_ = nullptr;
  void* fields_ = nullptr;
  std::string detail_;  // libcurl's words
  std::string refused_address_;
  std::string head_problem_;
  std::size_t head_bytes_ = 0;
  bool in_body_ = false;
  Time began_{};
  Time window_began_{};
  std::uint64_t window_bytes_ = 0;

  // Written by the fetch thread before head_done_ is set, read after it.
  int status_ = 0;
  std::vector<std::pair<std::string, std::string>> fields_received_;

  std::mutex mutex_;
  bool head_done_ = false;
  bool ended_ = false;
  bool paused_ = false;
  std::optional<Error> error_;
  std::string buffer_;
  std::size_t read_ = 0;  // of buffer_
  std::optional<Completion<void>> waiter_;
};

}  // namespace stele::http
