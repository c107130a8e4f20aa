#include "auth/login_tokens.hpp"

#include <utility>

#include "base/printable.hpp"

namespace stele::auth {
namespace {

constexpr std::int64_t expired_at_once = 10'000;
constexpr std::int64_t api_seconds = 30 * 86'400;  // for which one that is over is still known
// Of tokens, between two flushes; what comes beyond is noted when it is used again.
constexpr std::size_t most_noted = 100'000;

}  // namespace

bool is_over(std::optional<Timestamp> end, Timestamp now) {
  return end && *end <= now;
}

Task<Result<std::int64_t>> LoginTokens::add_refresh_token(std::string subject, std::int64_t seconds) {
  auto pending = writer_.write({"logins:" + subject}, [&](sql::Tx& tx) -> Result<std::int64_t> {
    const Timestamp now = clock_.now();
    // A user's oldest makes room. Jobs share a name (all pull requests of a project do): none ends another's.
    const bool is_job = subject.starts_with("oidc:");
    if (is_job && std::int64_t(catalog::list_login_tokens(tx, subject, 0, most_refresh_tokens).size()) >=
                      most_refresh_tokens) {
      return Error(Errc::too_many_requests,
                   std::to_string(most_refresh_tokens) + " CI sessions of " + subject +
                       " are open; they end by themselves, a shorter session in auth.oidc ends them sooner");
    }
    const catalog::LoginToken token{0, "refresh", subject, now, now + seconds * 1'000'000, {}};
    const std::int64_t id = catalog::insert_login_token(tx, token, {});
    if (!is_job) catalog::trim_refresh_tokens(tx, subject, most_refresh_tokens);
    return id;
  });
  co_return co_await pending;
}

Result<std::optional<catalog::LoginToken>> LoginTokens::standing(std::int64_t id,
                                                                 const std::string& subject) const {
  const Timestamp now = clock_.now();
  return database_.read([&](sql::Session& session) -> Result<std::optional<catalog::LoginToken>> {
    auto token = catalog::find_login_token(session, id);
    if (token && (token->subject != subject || is_over(token->expires_at, now))) token.reset();
    return token;
  });
}

void LoginTokens::note_use(std::int64_t id) {
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  if (used_.size() < most_noted || used_.contains(id)) used_[id] = now;
}

Result<std::vector<catalog::LoginToken>> LoginTokens::list(const std::string& subject, std::int64_t after,
                                                           std::int64_t limit) const {
  auto found = database_.read([&](sql::Session& session) -> Result<std::vector<catalog::LoginToken>> {
    if (subject.empty()) return catalog::list_login_tokens(session, after, limit);
    return catalog::list_login_tokens(session, subject, after, limit);
  });
  return found;
}

void record_revocation(sql::Tx& tx, const catalog::LoginToken& token, const std::string& reason,
                       const audit::Actor& actor, Timestamp now) {
  audit::append(tx,
                audit::Event{"token.revoke",
                             {},
                             {},
                             std::nullopt,
                             std::nullopt,
                             token.subject,
                             std::to_string(token.id) + (reason.empty() ? "" : ": " + reason)},
                actor, now);
}

Task<Result<catalog::LoginToken>> LoginTokens::revoke(std::int64_t id, std::string reason,
                                                      audit::Actor actor) {
  auto pending =
      writer_.write({"login:" + std::to_string(id)}, [&](sql::Tx& tx) -> Result<catalog::LoginToken> {
        auto token = catalog::find_login_token(tx, id);
        if (!token) {
          return Error(Errc::not_found, "there is no token " + std::to_string(id) +
                                            "; it may have expired, or been revoked before");
        }
        catalog::delete_login_token(tx, id);
        record_revocation(tx, *token, reason, actor, clock_.now());
        return std::move(*token);
      });
  co_return co_await pending;
}

Task<Result<std::vector<std::int64_t>>> LoginTokens::revoke_all(std::string subject, std::string reason,
                                                                audit::Actor actor) {
  auto pending = writer_.write({"logins:" + subject}, [&](sql::Tx& tx) -> Result<std::vector<std::int64_t>> {
    std::vector<std::int64_t> ids;
    for (;;) {
      const std::int64_t after = ids.empty() ? 0 : ids.back();
      const auto tokens = catalog::list_login_tokens(tx, subject, after, most_refresh_tokens);
      for (const catalog::LoginToken& token : tokens) {
        ids.push_back(token.id);
        record_revocation(tx, token, reason, actor, clock_.now());
      }
      if (std::int64_t(tokens.size()) < most_refresh_tokens) break;
    }
    if (ids.empty()) {
      return Error(Errc::not_found,
                   "there is no token of " + in_quotes(subject) +
                       "; whose it is is written as stele token list shows it, as in user:alice");
    }
    catalog::delete_login_tokens(tx, subject);
    return ids;
  });
  co_return co_await pending;
}

Task<Result<void>> LoginTokens::flush() {
  std::unordered_map<std::int64_t, Timestamp> used;
  {
    const std::lock_guard lock(mutex_);
    used.swap(used_);
  }
  const Timestamp now = clock_.now();
  const auto due = database_.read([&](sql::Session& session) -> Result<bool> {
    return catalog::any_expired_login_token(session, now, api_seconds);
  });
  if (due && !*due && used.empty()) co_return Result<void>();
  auto pending = writer_.write({"logins"}, [&](sql::Tx& tx) -> Result<void> {
    for (const auto& [id, at] : used) catalog::note_login(tx, id, at);
    catalog::expire_login_tokens(tx, now, api_seconds, expired_at_once);
    return {};
  });
  const Result<void> written = co_await pending;
  if (written) co_return written;
  // Later, then; where one was used since, that counts.
  const std::lock_guard lock(mutex_);
  for (const auto& [id, at] : used) used_.emplace(id, at);
  co_return written;
}

}  // namespace stele::auth
