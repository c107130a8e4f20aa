#pragma once
// How often somebody logged in, and how often that failed: for metrics. Tokens are not counted, which are
// made of a login.

#include <array>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "base/identity.hpp"
#include "base/result.hpp"

namespace stele::auth {

enum class LoginMethod { password, robot, refresh_token, id_token, api_token };
inline constexpr std::string_view login_methods[] = {"password", "robot", "refresh_token", "id_token",
                                                     "api_token"};

enum class LoginResult {
  accepted,
  refused,  // wrong, expired or revoked
  limited,  // too many were wrong before
  failed,   // nobody can tell at the moment
};
inline constexpr std::string_view login_results[] = {"accepted", "refused", "limited", "failed"};

// Thread-safe.
class LoginCounts {
 public:
  void count(LoginMethod method, const Result<Identity>& outcome) {
    counts_.at(place(method, result_of(outcome))).fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t of(LoginMethod method, LoginResult result) const {
    return counts_.at(place(method, result)).load(std::memory_order_relaxed);
  }

 private:
  static LoginResult result_of(const Result<Identity>& outcome) {
    if (outcome) return LoginResult::accepted;
    if (outcome.error().code() == Errc::unauthorized) return LoginResult::refused;
    if (outcome.error().code() == Errc::too_many_requests) return LoginResult::limited;
    return LoginResult::failed;
  }
  static std::size_t place(LoginMethod method, LoginResult result) {
    return static_cast<std::size_t>(method) * std::size(login_results) + static_cast<std::size_t>(result);
  }
  std::array<std::atomic<std::uint64_t>, std::size(login_methods) * std::size(login_results)> counts_{};
};

}  // namespace stele::auth
