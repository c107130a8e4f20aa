#pragma once
// /api/v1 on the local socket: administration by who owns the server's process, or root.

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "base/task.hpp"
#include "gc/sweep.hpp"
#include "http/exchange.hpp"

namespace stele::api {

// What an administrator can ask of the running server; implemented by server/.
class Administration {
 public:
  virtual ~Administration() = default;
  // A verified copy of the catalog; the file goes when the slice's owner goes.
  virtual Task<Result<http::FileSlice>> copy_catalog() = 0;
  virtual Task<Result<gc::SweepReport>> sweep(gc::SweepLimits limits) = 0;
};

// Thread-safe.
class AdminHandler final : public http::Handler {
 public:
  explicit AdminHandler(Administration& administration) : administration_(administration) {}
  Task<http::Response> handle(http::Exchange& http) override;
  http::Response refuse(int status, std::string_view why) override;

 private:
  Task<Result<http::Response>> dispatch(http::Exchange& http);
  Administration& administration_;
};

}  // namespace stele::api
