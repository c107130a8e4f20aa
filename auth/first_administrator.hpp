#pragma once
// How the first administrator of a new registry gets in without a default password: `stele init` makes a
// token, shows it once and leaves its hash in a file of the data directory; whoever shows it to the running
// server within thirty minutes makes one user. Then the file is gone.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace stele::auth {

// Thread-safe: what it knows is in the file. All of it blocks.
class FirstAdministrator {
 public:
  static constexpr const char* file_name = "first-administrator";
  static constexpr std::int64_t seconds = 30 * 60;
  // The group of local users that the policy of `stele init` gives every right that rules can give.
  static constexpr const char* group = "administrators";

  explicit FirstAdministrator(std::string path) : path_(std::move(path)) {}

  // A new token, good for thirty minutes from `now`; one that was there before is over. The file has mode
  // 0600. io or no_space.
  Result<std::string> make(Timestamp now) const;

  // Until when there is a token; none: there is none, or it has expired.
  std::optional<Timestamp> open_until(Timestamp now) const;

  // forbidden: this is not the token, or it has expired, or it was used.
  Result<void> check(std::string_view token, Timestamp now) const;

  // The same, and nobody else can use it from now on.
  Result<void> take(std::string_view token, Timestamp now) const;
  // There is an administrator: whoever has the token needs it no more, and nobody else should.
  void end() const;
  // After take(), when nothing came of it.
  void give_back(std::string_view token, Timestamp expires_at) const;

 private:
  struct Stored {
    std::string hash;
    Timestamp expires_at;
  };
  std::optional<Stored> read() const;
  Result<void> write(const Stored&) const;

  const std::string path_;
};

}  // namespace stele::auth
