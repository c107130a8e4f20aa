#include "audit/event_log.hpp"

namespace stele::audit {

std::int64_t append(sql::Tx& tx, const Event& event, const Actor& actor, Timestamp now) {
  const auto written = [](const std::optional<Digest>& digest) {
    return digest ? std::optional<std::string>(digest->str()) : std::nullopt;
  };
  const auto old_digest = written(event.old_digest);
  const auto new_digest = written(event.new_digest);
  const auto some = [](std::string_view text) {
    return text.empty() ? std::optional<std::string_view>() : text;
  };
  const auto tag = some(event.tag);
  const auto rule = some(event.rule);
  const auto reason = some(event.reason);
  auto inserted = tx.query(
      "INSERT INTO events (at, actor, action, repository, tag, old_digest, new_digest, request_id, rule, "
      "reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING sequence",
      now.microseconds, actor.principal.name(), event.action, event.repository, tag, old_digest, new_digest,
      actor.request_id, rule, reason);
  inserted.next();
  const std::int64_t sequence = inserted.integer(0);
  inserted.next();  // the statement has ended only when it says so
  return sequence;
}

}  // namespace stele::audit
