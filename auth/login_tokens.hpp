#pragma once
// The tokens by which somebody is known without a password, and that can be taken away one by one: the
// secrets of robots, the api tokens that users make for themselves, and refresh tokens. A token that is not
// listed is not accepted, nor is any that was made from it: each request looks.

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "audit/event_log.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "storage/catalog/logins.hpp"

namespace stele::auth {

// Whether what has this end is over at that moment: a token, a secret, a robot. Asked nowhere else, so that
// the last microsecond is the same everywhere. None: it has no end.
bool is_over(std::optional<Timestamp> end, Timestamp now);

// In the record of events: that it was ended, by whom and why.
void record_revocation(sql::Tx&, const catalog::LoginToken&, const std::string& reason, const audit::Actor&,
                       Timestamp now);

// Thread-safe.
class LoginTokens {
 public:
  // Of one principal: docker login on that many machines, where the oldest go first; or sessions of CI jobs
  // of one name, where no further one begins.
  static constexpr std::int64_t most_refresh_tokens = 1000;

  // All of it outlives this; `clock` tells the time of day.
  LoginTokens(sql::Database& database, sql::Writer& writer, const Clock& clock)
      : database_(database), writer_(writer), clock_(clock) {}

  // Lists a refresh token that is about to be made; its id. too_many_requests; what a full disk or the like
  // makes of it.
  Task<Result<std::int64_t>> add_refresh_token(std::string subject, std::int64_t seconds);

  // None unless it is listed, is the subject's and has not expired. A read of one row.
  Result<std::optional<catalog::LoginToken>> standing(std::int64_t id, const std::string& subject) const;

  // Remembered, and written by flush().
  void note_use(std::int64_t id);

  // By id after `after`, at most `limit`; `subject` empty: everybody's.
  Result<std::vector<catalog::LoginToken>> list(const std::string& subject, std::int64_t after,
                                                std::int64_t limit) const;
  // not_found.
  Task<Result<catalog::LoginToken>> revoke(std::int64_t id, std::string reason, audit::Actor);
  // All of a principal's, a robot's secret among them, in one transaction, each with its record: their ids.
  // not_found when he has none, as who is misspelled has none.
  Task<Result<std::vector<std::int64_t>>> revoke_all(std::string subject, std::string reason, audit::Actor);

  // Writes down when tokens were used, and forgets those whose time is over; for housekeeping.
  Task<Result<void>> flush();

 private:
  sql::Database& database_;
  sql::Writer& writer_;
  const Clock& clock_;
  std::mutex mutex_;
  std::unordered_map<std::int64_t, Timestamp> used_;  // since the last flush
};

}  // namespace stele::auth
