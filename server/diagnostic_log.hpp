#pragma once
// What the server itself has to say, on standard error: spdlog's default logger, as text or JSON.

#include <cstdint>
#include <string>
#include <string_view>

#include "server/config/config.hpp"

namespace stele {

// Messages quote what clients sent. Text: controls become \xNN, so that a message stays on its line. JSON:
// the inside of a string.
std::string escaped_message(std::string_view message, Config::LogFormat format);

// The line that stands for messages that nobody took in time.
std::string lost_messages(std::uint64_t lost, Config::LogFormat format, const std::string& time);

// Once, before the first message. Messages leave by a thread of their own, within a second of the process's
// end at the latest.
void set_up_diagnostic_log(const Config::Log& log);

}  // namespace stele
