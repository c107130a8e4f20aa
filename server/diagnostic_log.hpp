#pragma once
// What the server itself has to say, on standard error: spdlog's default logger, as text or JSON.

#include <string>
#include <string_view>

#include "server/config/config.hpp"

namespace stele {

// Messages quote what clients sent. Text: controls become \xNN, so that a message stays on its line. JSON:
// the inside of a string.
std::string escaped_message(std::string_view message, Config::LogFormat format);

// Once, before the first message.
void set_up_diagnostic_log(const Config::Log& log);

}  // namespace stele
