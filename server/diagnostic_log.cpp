#include "server/diagnostic_log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <mutex>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "base/hex.hpp"
#include "server/line_writer.hpp"

namespace stele {
namespace {

// `%*` of the pattern.
class EscapedMessage final : public spdlog::custom_flag_formatter {
 public:
  explicit EscapedMessage(Config::LogFormat format) : format_(format) {}
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const std::string text = escaped_message({message.payload.data(), message.payload.size()}, format_);
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<EscapedMessage>(format_);
  }

 private:
  const Config::LogFormat format_;
};

// Who answers requests says something now and then, most of all when a disk is full: nobody waits for who
// reads it (I7).
class StandardError final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit StandardError(Config::LogFormat format)
      : lines_(STDERR_FILENO,
               [format](std::uint64_t lost) {
                 return lost_messages(lost, format, to_string(SystemClock().now()));
               },
               {.capacity = 256 * 1024, .gathering = std::chrono::milliseconds(0)}) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    lines_.write({line.data(), line.size() - std::min<std::size_t>(line.size(), 1)});  // without the newline
  }
  void flush_() override {}

 private:
  LineWriter lines_;
};

}  // namespace

std::string lost_messages(std::uint64_t lost, Config::LogFormat format, const std::string& time) {
  const std::string message = std::to_string(lost) +
                              " messages were lost before this one: who reads standard error did "
                              "not keep up, or it could not be written";
  if (format == Config::LogFormat::text) return time + " warning " + message;
  return nlohmann::ordered_json{{"time", time}, {"level", "warning"}, {"message", message}}.dump();
}

std::string escaped_message(std::string_view message, Config::LogFormat format) {
  if (format == Config::LogFormat::json) {
    const std::string quoted =
        nlohmann::json(message).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return quoted.substr(1, quoted.size() - 2);
  }
  std::string text;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      text += "\\x";
      append_hex(text, byte);
    } else {
      text += c;
    }
  }
  return text;
}

void set_up_diagnostic_log(const Config::Log& log) {
  auto logger = std::make_shared<spdlog::logger>("stele", std::make_shared<StandardError>(log.format));
  static constexpr spdlog::level::level_enum levels[] = {spdlog::level::trace, spdlog::level::debug,
                                                         spdlog::level::info,  spdlog::level::warn,
                                                         spdlog::level::err,   spdlog::level::off};
  logger->set_level(levels[static_cast<int>(log.level)]);
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<EscapedMessage>('*', log.format);
  formatter->set_pattern(log.format == Config::LogFormat::json
                             ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":"%*"})"
                             : "%Y-%m-%dT%H:%M:%S.%eZ %l %*");
  logger->set_formatter(std::move(formatter));
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace stele
