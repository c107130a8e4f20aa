#include "gc/pause.hpp"

#include "storage/catalog/meta.hpp"

namespace stele::gc {

std::optional<std::string> Pause::in(sql::Session& session) const {
  return catalog::find_meta(session, key());
}

Result<std::optional<std::string>> Pause::now() const {
  return context_.database.read(
      [&](sql::Session& session) -> Result<std::optional<std::string>> { return in(session); });
}

Task<Result<void>> Pause::begin(std::string reason, audit::Actor actor) const {
  auto pending = context_.writer.write({activity_}, [&](sql::Tx& tx) -> Result<void> {
    if (const auto already = in(tx))
      return Error(Errc::parameter_invalid, activity_ + " is paused already: " + *already);
    const Timestamp now = context_.clock.now();
    catalog::put_meta(
        tx, key(),
        "since " + to_string(now) + " by " + actor.principal.name() + (reason.empty() ? "" : ": " + reason));
    const std::string action = activity_ + ".pause";
    audit::append(tx, audit::Event{action, {}, {}, std::nullopt, std::nullopt, {}, reason}, actor, now);
    return {};
  });
  co_return co_await pending;
}

Task<Result<void>> Pause::end(audit::Actor actor) const {
  auto pending = context_.writer.write({activity_}, [&](sql::Tx& tx) -> Result<void> {
    if (!in(tx)) return Error(Errc::parameter_invalid, activity_ + " is not paused");
    catalog::delete_meta(tx, key());
    const std::string action = activity_ + ".resume";
    audit::append(tx, audit::Event{action, {}, {}, std::nullopt, std::nullopt}, actor, context_.clock.now());
    return {};
  });
  co_return co_await pending;
}

}  // namespace stele::gc
