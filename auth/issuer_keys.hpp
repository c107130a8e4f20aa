#pragma once
// The keys of one issuer of ID tokens: from a file, or asked for when the first token comes, and then kept.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "auth/json_web_keys.hpp"
#include "base/clock.hpp"
#include "base/pending.hpp"
#include "base/result.hpp"
#include "base/task.hpp"

namespace stele::auth {

struct IssuerKeyTimes {               // seconds
  std::int64_t fresh = 3600;          // for so long keys are not asked for again
  std::int64_t stale = 86400;         // for so long they are good while the issuer does not answer
  std::int64_t after_failure = 5;     // before it is asked again
  std::int64_t between_unknown = 10;  // that a token names a key that is not here: asked once in this time
  std::size_t most_waiting = 256;     // for an answer, besides who asks; more are told to come again
};

// Thread-safe. Whoever awaits one lives as long as it.
class IssuerKeys {
 public:
  // `ask` gets the text of the set from the issuer; one call at a time. `clock` should not be one that
  // somebody sets; it outlives this.
  IssuerKeys(std::function<Task<Result<std::string>>()> ask, const Clock& clock, IssuerKeyTimes times = {})
      : ask_(std::move(ask)), clock_(clock), times_(times) {}
  // Never asks: the set lies in a file.
  IssuerKeys(std::string file, const Clock& clock) : file_(std::move(file)), clock_(clock) {}

  // Reads the file again if it is another one: whether other keys hold now. What is wrong with the file as it
  // stands; then the keys before stay in force. False where there is no file. Blocks.
  Result<bool> renew();

  // unavailable: the issuer has not been heard of for too long, or too many wait for it. Keys that are no
  // longer fresh are asked for by one caller; the others go on with those that are here.
  Task<Result<JsonWebKeys>> present();
  // For a token that names a key which `known` does not have: perhaps the same again.
  Task<Result<JsonWebKeys>> other_than(JsonWebKeys known);

 private:
  struct Step;
  Step next(const JsonWebKeys* unwanted);
  Task<Result<JsonWebKeys>> get(const JsonWebKeys* unwanted);
  Task<void> fetch();
  bool is_good(std::int64_t now) const;  // with mutex_ held, like the rest below

  const std::function<Task<Result<std::string>>()> ask_;
  const std::string file_;
  const Clock& clock_;
  const IssuerKeyTimes times_;
  std::mutex mutex_;
  std::optional<JsonWebKeys> keys_;
  std::string text_;                                                     // of the file in force
  std::int64_t asked_at_ = 0, not_before_ = 0, unknown_not_before_ = 0;  // seconds of clock_
  bool asking_ = false;
  Error problem_;  // of the last time that it was asked
  std::vector<Completion<void>> waiters_;
};

}  // namespace stele::auth
