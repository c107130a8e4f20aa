#pragma once
// One line per request, on standard output, as text or JSON.

#include <memory>
#include <string>

#include "http/exchange.hpp"
#include "server/config/config.hpp"

namespace spdlog {
class logger;
}

namespace stele {

// Thread-safe.
class AccessLog {
 public:
  explicit AccessLog(Config::LogFormat format);
  void write(const http::RequestSummary& summary);

 private:
  std::shared_ptr<spdlog::logger> logger_;
  const Config::LogFormat format_;
};

// The line without its newline; for tests.
std::string access_line(const http::RequestSummary& summary, Config::LogFormat format,
                        const std::string& time);

}  // namespace stele
