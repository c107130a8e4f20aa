#pragma once
// Requests to other servers, awaited: one thread with libcurl's multi interface carries all of them. Bodies
// are streamed at the reader's pace. Knows nothing of registries and of the command line.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "http/url.hpp"

namespace stele::http {

struct FetchLimits {
  std::chrono::milliseconds connect{5'000};  // name, connection and TLS of one hop
  std::chrono::milliseconds head{10'000};    // of one hop, from its start to the end of its response's head
  // In each such window at least `window_bytes` of the body must come, unless the reader is the slower one.
  std::chrono::milliseconds window{30'000};
  std::uint64_t window_bytes = 1024;
  // Of all of it, redirects and body together, however much comes; none: as long as something does.
  std::optional<std::chrono::steady_clock::time_point> until = {};
  std::size_t header_bytes = 64 * 1024;  // of one response's head
  std::size_t buffered = 512 * 1024;     // of body that nobody has read yet; libcurl adds up to 256 KiB
  unsigned redirects = 5;
};

struct FetchRequest {
  explicit FetchRequest(Url target) : url(std::move(target)) {}

  std::string method = "GET";  // GET, HEAD, POST or PUT
  Url url;
  // Sent on every hop: no secret belongs here.
  std::vector<std::pair<std::string, std::string>> fields;
  // The value of Authorization. Sent to the origin of `url` and to no other, whatever redirects say.
  std::string authorization;
  std::string body;  // of a POST or PUT, which are never redirected
  // Sent as "Range: bytes=N-" when above 0. The answer says by its status whether it was heeded.
  std::uint64_t from = 0;

  std::string ca_file;  // PEM; empty: the system's
  // "http://proxy:3128"; "none" for none; empty: what HTTP_PROXY, HTTPS_PROXY and NO_PROXY say.
  std::string proxy;

  // Whether a redirect may be followed; from https to http never is, whatever this says. Empty: none is, and
  // the caller gets the 3xx. Called on the awaiter's executor.
  std::function<Result<void>(const Url& from, const Url& to)> may_follow;
  // Whether a connection to this address, as the name was resolved just now, is allowed. Asked for every hop
  // whose origin is not that of `url`, and for that one too unless `trusted`. Called on the fetch thread:
  // thread-safe and quick. A name that a proxy resolves is not asked about. Empty: every address.
  std::function<bool(const Url& url, std::string_view address)> may_connect;
  bool trusted = true;  // `url` was written by the operator

  FetchLimits limits;
};

// A response whose head is here and whose body may still be arriving. Destroying it ends the transfer. One
// reader at a time.
class Fetched {
 public:
  class Transfer;
  Fetched(std::shared_ptr<Transfer> transfer, Url url);
  Fetched(Fetched&&) noexcept = default;
  Fetched& operator=(Fetched&&) noexcept;
  ~Fetched();

  int status() const;
  const Url& url() const { return url_; }  // of the last hop
  // The first field of that name, or empty.
  std::string_view header(std::string_view name) const;
  std::vector<std::string_view> headers(std::string_view name) const;
  std::optional<std::uint64_t> content_length() const;

  // 1…out.size() bytes as they come; 0 at the end that the framing promised. unavailable when the transfer
  // broke off, stood still or was ended: then what came is a part, never the whole. A body without length and
  // without chunks ends with its connection, and cannot be told from a part.
  Task<Result<std::size_t>> read_some(ByteSpan out);
  // The rest of the body; body_too_large past `limit` bytes.
  Task<Result<std::string>> read_all(std::uint64_t limit);
  // Ends the transfer: a read that waits, and every later one, fails. Thread-safe.
  void abort();

 private:
  std::shared_ptr<Transfer> transfer_;
  Url url_;
};

// Thread-safe. Destroyed after everything that it fetched.
class Fetcher {
 public:
  Fetcher();
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  // Returns when the head of the last hop's response has come, whatever its status. unavailable: no name, no
  // connection, time over, broken off, TLS, a redirect or an address that the rules refuse, no HTTP, too
  // large a head. Messages name origins, never a path or a query. Cancelled by abort_all() alone.
  Task<Result<Fetched>> fetch(FetchRequest request);

  // Ends every transfer, now and from now on: for a stop.
  void abort_all();

 private:
  Task<Result<Fetched>> hop(const FetchRequest& request, const Url& url, bool own_origin);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stele::http
