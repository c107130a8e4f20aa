#pragma once
// One request and its answer, as a handler sees it, and what the server learns when it is over.

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/identity.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "http/memory_budget.hpp"
#include "http/message.hpp"

namespace stele::http {

// Who is at the other end of the connection.
struct Peer {
  std::string address;  // "127.0.0.1", "::1", or "local" on a Unix socket
  bool tls = false;
  std::string certificate;           // its owner's name in a verified one of the client's; empty: none
  std::optional<std::uint32_t> uid;  // the peer's user id on a Unix socket
  // When the client's certificate is over, or one that vouches for it: seconds of the epoch.
  std::optional<std::int64_t> certificate_ends = {};
};

// The bytes of the request body, in order, read at the handler's pace. The first read sends "100 Continue"
// when the client waits for it: a handler that refuses before reading never invites the body.
class BodySource {
 public:
  virtual ~BodySource() = default;
  // Between 1 and out.size() bytes; 0 at the end. body_incomplete: the client left or broke the framing.
  virtual Task<Result<std::size_t>> read_some(ByteSpan out) = 0;
  // The same of what has arrived; none: nothing yet.
  virtual Result<std::optional<std::size_t>> read_arrived(ByteSpan out) = 0;
  // Until read_arrived() may have something. For who would hold no buffer while the client lets him wait.
  virtual Task<void> wait() = 0;
};

// Lives for one request, on one I/O thread.
class Exchange {
 public:
  Exchange(const RequestHead& request, const Peer& peer, std::string id, BodySource& body,
           MemoryBudget& memory)
      : request_(request), peer_(peer), id_(std::move(id)), body_(body), memory_(memory), reserved_(memory) {}

  const RequestHead& request() const { return request_; }
  const Peer& peer() const { return peer_; }
  const std::string& id() const { return id_; }  // the request id in logs, events and X-Request-Id

  Task<Result<std::size_t>> read_some(ByteSpan out) { return body_.read_some(out); }
  Result<std::optional<std::size_t>> read_arrived(ByteSpan out) { return body_.read_arrived(out); }
  Task<void> wait_for_body() { return body_.wait(); }
  // Fills `out` unless the body ends or breaks before; the number of bytes read. Only when there are none: 0
  // at the end, or the error.
  Task<Result<std::size_t>> read_full(ByteSpan out);
  // The whole body; body_too_large past `limit` (decided by Content-Length before anything is read, if there
  // is one); unavailable when the memory budget is spent. Its part of the budget is held until the answer has
  // been sent.
  Task<Result<std::string>> read_body(std::uint64_t limit);

  // What answers may take from.
  MemoryBudget& memory() { return memory_; }
  // Who asks: found out once, by the handler in front, before anything is decided. Anonymous until then.
  const Identity& identity() const { return identity_; }
  bool identified() const { return identified_; }
  void identify(Identity identity) {
    identity_ = std::move(identity);
    identified_ = true;
  }

  // What the handler found out, for the access log.
  struct Note {
    std::string client;  // the address behind trusted proxies; empty: the peer's
    std::string repository;
    std::string reference;
    std::string error;            // the message of a refusal
    std::string also_pulled;      // from which other repository a better token would have to let pull
    const char* route = "other";  // a metric label from a fixed set
    bool store_failed = false;    // the answer is an error of the store: no space, I/O, damage
  };
  Note note;

 private:
  const RequestHead& request_;
  const Peer& peer_;
  std::string id_;
  BodySource& body_;
  MemoryBudget& memory_;
  MemoryBudget::Part reserved_;
  Identity identity_;
  bool identified_ = false;
};

// Thread-safe; called on every I/O thread. An exception that leaves handle() is answered with 500.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual Task<Response> handle(Exchange&) = 0;
  // For requests that never reach handle(): a framing error, too large a head, an exception.
  virtual Response refuse(int status, std::string_view why) = 0;
};

struct RequestSummary {
  std::string_view method;
  std::string_view target;
  const Exchange::Note& note;
  const Peer& peer;
  const Identity* identity;  // null: nobody asked who it was
  const std::string& id;
  int status;
  std::uint64_t bytes_received;  // of the body
  std::uint64_t bytes_sent;      // of the body
  std::int64_t microseconds;     // from the complete head to the last byte handed to the kernel
  bool complete;                 // false: the connection broke before the answer was out
};

// Thread-safe; called on the I/O thread that served the request.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void request_finished(const RequestSummary&) = 0;
};

}  // namespace stele::http
