#pragma once
// The only place that names concrete classes and connects them. Start, reload, shutdown.

#include <chrono>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "server/config/config.hpp"

namespace stele {

// One server in one process. Signals must be blocked in the thread that creates it (block_signals), so that
// its threads inherit that.
class SteleServer {
 public:
  // Opens everything in order; the first thing that cannot be opened is the error, with what to do about it.
  static Result<std::unique_ptr<SteleServer>> start(const Config& config, const std::string& version);
  ~SteleServer();

  // "127.0.0.1:5000": where it listens, with the real port.
  const std::string& address() const;

  // Whether somebody can log in: then nobody does anything without.
  bool has_logins() const;
  // For people, in one line: who may do what, where nothing was set up that limits it. Empty: something was.
  std::string open_to() const;

  // Re-reads certificates (SIGHUP; changed files are noticed without).
  void reload();

  // Lets requests finish for up to stop_grace; hurry() cuts that short. What it has to say of those that were
  // cut off; empty: there were none, or it was stopped before.
  static constexpr std::chrono::seconds stop_grace{25};
  std::string stop();
  void hurry();

 private:
  struct Impl;
  explicit SteleServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace stele
