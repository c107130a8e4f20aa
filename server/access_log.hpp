#pragma once
// One line per request, on standard output, as text or JSON. Nobody waits for who reads it.

#include <unistd.h>

#include <cstdint>
#include <string>

#include "http/exchange.hpp"
#include "server/config/config.hpp"
#include "server/line_writer.hpp"

namespace stele {

// Thread-safe.
class AccessLog {
 public:
  explicit AccessLog(Config::LogFormat format, int fd = STDOUT_FILENO);
  void write(const http::RequestSummary& summary);
  // Lines that nobody took in time.
  std::uint64_t lost() const { return lines_.lost(); }

 private:
  const Config::LogFormat format_;
  LineWriter lines_;
};

// The lines without their newline; for tests.
std::string access_line(const http::RequestSummary& summary, Config::LogFormat format,
                        const std::string& time);
std::string lost_line(std::uint64_t lost, Config::LogFormat format, const std::string& time);

}  // namespace stele
