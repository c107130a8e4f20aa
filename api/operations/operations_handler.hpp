#pragma once
// /livez, /readyz and /metrics: what the people and programs that run Stele look at.

#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "http/exchange.hpp"

namespace stele::api {

struct ReadinessCheck {
  std::string name;                     // "disk", "catalog", "store"
  std::function<Result<void>()> check;  // cheap; called on an I/O thread
};

// Thread-safe.
class OperationsHandler final : public http::Handler {
 public:
  // `metrics` makes the Prometheus text; empty: no /metrics here.
  OperationsHandler(std::vector<ReadinessCheck> checks, std::function<std::string()> metrics)
      : checks_(std::move(checks)), metrics_(std::move(metrics)) {}

  // True for the paths above.
  static bool serves(std::string_view path);

  Task<http::Response> handle(http::Exchange& http) override;
  http::Response refuse(int status, std::string_view why) override;

 private:
  http::Response ready() const;
  const std::vector<ReadinessCheck> checks_;
  const std::function<std::string()> metrics_;
};

}  // namespace stele::api
