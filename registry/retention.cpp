#include "registry/retention.hpp"

#include "registry/ruled_write.hpp"
#include "registry/unknown.hpp"

namespace stele {
namespace {

// As far as a rule may lock (docs/policy.md): a compliance lock cannot be taken back, not even a mistyped
// one.
constexpr std::int64_t longest_lock = 100LL * 365 * 24 * 3600 * 1'000'000;

}  // namespace

Task<Result<catalog::HoldRow>> Retention::set_hold(NewHold asked) const {
  auto pending = context_.writer.write(
      {"repository:" + asked.repository.str()}, [&](sql::Tx& tx) -> Result<catalog::HoldRow> {
        const auto id = catalog::find_repository(tx, asked.repository);
        if (!id) return unknown_repository(asked.repository);
        const Timestamp now = context_.clock.now();
        catalog::HoldRow hold{0,
                              asked.name,
                              asked.case_number,
                              asked.reason,
                              asked.repository,
                              std::nullopt,
                              std::nullopt,
                              now,
                              asked.actor.principal.name(),
                              std::nullopt,
                              {},
                              {}};
        if (asked.reference) {
          if (const Tag* tag = asked.reference->tag()) {
            const auto bound = catalog::find_tag(tx, *id, asked.repository, *tag);
            if (!bound) return bound.error();
            if (!*bound) return unknown_tag(asked.repository, *tag);
            hold.tag = *tag;
            hold.digest = (*bound)->digest;
          } else {
            hold.digest = *asked.reference->digest();
            if (!catalog::find_manifest(tx, *id, *hold.digest))
              return unknown_manifest(asked.repository, *asked.reference);
          }
        }
        hold.id = catalog::insert_hold(tx, hold);
        audit::append(
            tx,
            audit::Event{"hold.set", asked.repository.str(),
                         hold.tag ? std::string_view(hold.tag->str()) : std::string_view(), std::nullopt,
                         hold.digest, asked.name, asked.case_number + ": " + asked.reason},
            asked.actor, now);
        return hold;
      });
  co_return co_await pending;
}

Task<Result<catalog::HoldRow>> Retention::release_hold(std::int64_t id, std::string reason,
                                                       audit::Actor actor) const {
  auto pending =
      context_.writer.write({"hold:" + std::to_string(id)}, [&](sql::Tx& tx) -> Result<catalog::HoldRow> {
        auto hold = catalog::find_hold(tx, id);
        if (!hold) return Error(Errc::not_found, "there is no hold " + std::to_string(id));
        if (hold->released_at) {
          return Error(Errc::parameter_invalid, "hold " + std::to_string(id) + " was released " +
                                                    to_string(*hold->released_at) + " by " +
                                                    hold->released_by);
        }
        const Timestamp now = context_.clock.now();
        catalog::release_hold(tx, id, now, actor.principal.name(), reason);
        audit::append(tx,
                      audit::Event{"hold.release", hold->repository.str(),
                                   hold->tag ? std::string_view(hold->tag->str()) : std::string_view(),
                                   hold->digest, std::nullopt, hold->name, reason},
                      actor, now);
        hold->released_at = now;
        hold->released_by = actor.principal.name();
        hold->release_reason = reason;
        return std::move(*hold);
      });
  co_return co_await pending;
}

Result<std::vector<catalog::HoldRow>> Retention::holds(std::int64_t after, bool released,
                                                       std::int64_t limit) const {
  return context_.database.read([&](sql::Session& session) -> Result<std::vector<catalog::HoldRow>> {
    return catalog::list_holds(session, after, released, limit);
  });
}

Result<std::vector<catalog::LockRow>> Retention::locks(const RepositoryName& repository,
                                                       const std::string& after_digest,
                                                       const std::string& after_tag,
                                                       std::int64_t limit) const {
  return context_.database.read([&](sql::Session& session) -> Result<std::vector<catalog::LockRow>> {
    return catalog::list_locks(session, repository, after_digest, after_tag, limit);
  });
}

Result<catalog::LockRow> Retention::find_lock(sql::Session& session, const LockName& name) const {
  std::optional<Digest> digest = name.digest;
  if (!digest) {
    const auto id = catalog::find_repository(session, name.repository);
    if (!id) return unknown_repository(name.repository);
    const auto bound = catalog::find_tag(session, *id, name.repository, name.tag);
    if (!bound) return bound.error();
    if (!*bound) return unknown_tag(name.repository, name.tag);
    digest = (*bound)->digest;
  }
  auto lock = catalog::lock_on_tag(session, name.repository, name.tag, *digest, context_.release_clock.now());
  if (!lock) {
    return Error(Errc::not_found, "no lock holds " + name.repository.str() + ":" + name.tag.str() + " (" +
                                      digest->str() + ")");
  }
  return std::move(*lock);
}

Task<Result<catalog::LockRow>> Retention::extend_lock(LockName name, Timestamp until,
                                                      audit::Actor actor) const {
  auto pending = context_.writer.write(
      {"tag:" + name.repository.str() + ":" + name.tag.str()}, [&](sql::Tx& tx) -> Result<catalog::LockRow> {
        auto lock = find_lock(tx, name);
        if (!lock) return lock.error();
        if (until <= lock->until) {
          return Error(Errc::parameter_invalid, "the lock holds until " + to_string(lock->until) +
                                                    " already; it can only be made longer");
        }
        if (const Timestamp latest = context_.release_clock.now() + longest_lock; until > latest) {
          return Error(Errc::parameter_invalid,
                       "the lock on " + name.repository.str() + ":" + name.tag.str() + " can hold until " +
                           to_string(latest) + " at most, 100 years of 365 days from now, " +
                           "and not until " + to_string(until) +
                           ": what was locked by mistake cannot be taken "
                           "back; name an earlier time, and extend it again when that is near");
        }
        const Timestamp now = context_.clock.now();
        lock->until = until;
        catalog::put_lock(tx, *lock);
        audit::append(tx,
                      audit::Event{"lock.extend", name.repository.str(), name.tag.str(), std::nullopt,
                                   lock->digest, lock->rule, to_string(until)},
                      actor, now);
        return lock;
      });
  co_return co_await pending;
}

Task<Result<void>> Retention::release_lock(LockName name, std::string reason, audit::Actor actor) const {
  auto pending = context_.writer.write(
      {"tag:" + name.repository.str() + ":" + name.tag.str()}, [&](sql::Tx& tx) -> Result<void> {
        const auto lock = find_lock(tx, name);
        if (!lock) return lock.error();
        const Timestamp now = context_.clock.now();
        if (lock->mode != "governance") {
          Error refusal =
              Error(Errc::refused_by_policy,
                    "the lock on " + name.repository.str() + ":" + name.tag.str() + " (rule " + lock->rule +
                        ") is a compliance lock: nobody can release it before " + to_string(lock->until))
                  .with("reason", "LOCKED")
                  .with("rule", lock->rule)
                  .with("mode", lock->mode)
                  .with("until", to_string(lock->until));
          record_refusal(tx, "lock.refused", name.repository, name.tag.str(), lock->digest, std::nullopt,
                         refusal, actor, now);
          return refusal;
        }
        catalog::delete_lock(tx, name.repository, lock->digest, name.tag);
        audit::append(tx,
                      audit::Event{"lock.release", name.repository.str(), name.tag.str(), lock->digest,
                                   std::nullopt, lock->rule, reason},
                      actor, now);
        return {};
      });
  co_return co_await pending;
}

Task<Result<void>> Retention::confirm_clock(audit::Actor actor) const {
  const auto claimed = context_.release_clock.unconfirmed();
  if (!claimed) co_return Error(Errc::parameter_invalid, "the release clock waits for no confirmation");
  auto pending = context_.writer.write({"release_clock"}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = context_.clock.now();
    // The time that was shown, which is later than the highest that was seen.
    catalog::store_release_time(tx, *claimed);
    audit::append(tx,
                  audit::Event{"clock.confirm", {}, {}, std::nullopt, std::nullopt, {}, to_string(*claimed)},
                  actor, now);
    return {};
  });
  const Result<void> written = co_await pending;
  if (written) context_.release_clock.confirm();
  co_return written;
}

Task<Result<void>> Retention::store_clock() const {
  auto pending = context_.writer.write({"release_clock"}, [&](sql::Tx& tx) -> Result<void> {
    catalog::store_release_time(tx, context_.release_clock.now());
    return {};
  });
  co_return co_await pending;
}

}  // namespace stele
