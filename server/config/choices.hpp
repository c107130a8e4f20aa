#pragma once
// The words that choose among fixed values, and the way to a key's place: shared by reading and printing.

#include <string_view>
#include <variant>

#include "server/config/keys.hpp"

namespace stele::config {

template <class T>
struct Choice {
  std::string_view name;
  T value;
};
inline constexpr Choice<bool> toggles[] = {{"on", true}, {"off", false}, {"true", true}, {"false", false}};
inline constexpr Choice<Config::LogLevel> log_levels[] = {
    {"trace", Config::LogLevel::trace}, {"debug", Config::LogLevel::debug}, {"info", Config::LogLevel::info},
    {"warn", Config::LogLevel::warn},   {"error", Config::LogLevel::error}, {"off", Config::LogLevel::off}};
inline constexpr Choice<Config::LogFormat> log_formats[] = {{"text", Config::LogFormat::text},
                                                            {"json", Config::LogFormat::json}};
inline constexpr Choice<http::CertificateName> certificate_names[] = {
    {"cn", http::CertificateName::common_name},
    {"dns", http::CertificateName::dns},
    {"uri", http::CertificateName::uri}};
inline constexpr Choice<Config::ReferenceMode> modes[] = {{"strict", Config::ReferenceMode::strict},
                                                          {"sparse", Config::ReferenceMode::sparse}};

template <class T, std::size_t N>
std::string_view name_of(T value, const Choice<T> (&choices)[N]) {
  for (const Choice<T>& choice : choices) {
    if (choice.value == value) return choice.name;
  }
  return choices[0].name;
}

template <class T>
T& place(const Key& key, Config& config) {
  return std::get<FieldOf<T>>(key.field)(config);
}

}  // namespace stele::config
