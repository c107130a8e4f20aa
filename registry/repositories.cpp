#include "registry/repositories.hpp"

#include "policy/decide.hpp"
#include "registry/protection.hpp"
#include "registry/read_on_pool.hpp"
#include "registry/ruled_write.hpp"
#include "registry/unknown.hpp"
#include "storage/catalog/collection.hpp"
#include "storage/catalog/departures.hpp"
#include "storage/catalog/trash.hpp"

namespace stele {
namespace {

// Of each kind of row: what is taken away at once, and what a repository has at most that goes in one write.
constexpr std::int64_t rows_per_step = 100;
constexpr std::int64_t rows_in_one_write = 500;
constexpr std::int64_t history_per_step = 2000;

bool is_small(sql::Session& session, catalog::RepositoryId id) {
  constexpr std::int64_t one_more = rows_in_one_write + 1;
  const auto few = [](const auto& rows) { return rows.size() <= rows_in_one_write; };
  return few(catalog::list_tags(session, id, "", one_more)) &&
         few(catalog::some_manifests(session, id, one_more)) &&
         few(catalog::some_blobs(session, id, one_more)) &&
         few(catalog::list_trash(session, {id, std::nullopt}, 0, one_more)) &&
         !catalog::has_history_beyond(session, id, history_per_step);
}

// One removal, in one write or in many.
class Removal {
 public:
  Removal(const RegistryContext& context, const RepositoryName& repository, const audit::Actor& actor)
      : context_(context), repository_(repository), actor_(actor), now_(context.clock.now()) {}

  // Inside a write: takes some of it away, the tags first, at last the repository itself. True: it is gone.
  Result<bool> take_some(sql::Tx& tx, Orderings& orderings, RemovedRepository& removed) const {
    const auto id = catalog::find_repository(tx, repository_);
    if (!id) return unknown_repository(repository_);
    if (auto refusal = Protection(tx, *id, repository_, context_.release_clock.now()).of_repository()) {
      record_refusal(tx, "repository.refused", repository_, {}, std::nullopt, std::nullopt, *refusal, actor_,
                     now_);
      return *refusal;
    }
    const auto tags = take_tags(tx, *id, orderings, removed);
    if (!tags) return tags.error();
    if (*tags || take_manifests(tx, *id, removed) || take_trash(tx, *id, removed) ||
        take_links(tx, *id, removed) || catalog::forget_tag_history(tx, *id, history_per_step) > 0)
      return false;
    catalog::delete_repository(tx, *id);
    const auto event = audit::append(
        tx, audit::Event{"repository.delete", repository_.str(), {}, std::nullopt, std::nullopt}, actor_,
        now_);
    catalog::record_departure(tx, repository_, std::nullopt, event, std::nullopt);
    return true;
  }

  // The first of the tags after `last` that its rule keeps, if there is one on this page; `last` moves on,
  // and is empty behind the last page.
  Result<std::optional<catalog::TagBinding>> first_kept(sql::Session& session, std::string& last) const {
    const auto id = catalog::find_repository(session, repository_);
    if (!id) return unknown_repository(repository_);
    const auto policy = context_.policy.current();
    auto tags = catalog::list_tag_bindings(session, *id, repository_, last, rows_in_one_write);
    if (!tags) return tags.error();
    last = tags->empty() ? std::string() : tags->back().tag.str();
    for (catalog::TagBinding& bound : *tags) {
      const policy::Match match = policy->tag_rule(repository_.str(), bound.tag.str());
      const policy::Binding present{bound.digest, false, bound.pushed_by, bound.pushed_at};
      if (policy::decide_removal({repository_.str(), bound.tag.str()}, match, present))
        return std::optional<catalog::TagBinding>(std::move(bound));
    }
    return std::optional<catalog::TagBinding>();
  }

  // Inside a write: the refusal of this tag's rule, with its record; nothing goes.
  Result<void> refuse(sql::Tx& tx, Orderings& orderings, const catalog::TagBinding& kept) const {
    const auto id = catalog::find_repository(tx, repository_);
    if (!id) return unknown_repository(repository_);
    TagRules rules(tx, context_, *id, repository_, actor_, orderings);
    if (auto gone = rules.remove(kept.tag, kept); !gone) return gone;
    return Error(Errc::unavailable,
                 "the policy was changed while " + repository_.str() + " was removed; try again");
  }

 private:
  Result<bool> take_tags(sql::Tx& tx, catalog::RepositoryId id, Orderings& orderings,
                         RemovedRepository& removed) const {
    const auto tags = catalog::list_tag_bindings(tx, id, repository_, "", rows_per_step);
    if (!tags) return tags.error();
    TagRules rules(tx, context_, id, repository_, actor_, orderings);
    for (const catalog::TagBinding& binding : *tags) {
      auto gone = rules.remove(binding.tag, binding);
      if (!gone && orderings.unread().empty()) return gone.error();
      ++removed.tags;
    }
    if (!orderings.unread().empty())
      return Error(Errc::unavailable, "the images' versions are still to be read");
    return !tags->empty();
  }

  // What lists a manifest goes before it: at no moment an index lacks what it lists.
  bool take_manifests(sql::Tx& tx, catalog::RepositoryId id, RemovedRepository& removed) const {
    const std::int64_t before = removed.manifests;
    for (const Digest& digest : catalog::some_manifests(tx, id, rows_per_step)) {
      while (catalog::find_manifest(tx, id, digest)) {
        Digest top = digest;
        while (auto above = catalog::referring_manifest(tx, id, top)) top = std::move(*above);
        take_manifest(tx, id, top);
        if (++removed.manifests - before == rows_per_step) return true;
      }
    }
    return removed.manifests > before;
  }

  void take_manifest(sql::Tx& tx, catalog::RepositoryId id, const Digest& digest) const {
    catalog::delete_manifest(tx, catalog::find_manifest(tx, id, digest).value().id,
                             now_ + context_.leases.microseconds());
    const auto event = audit::append(
        tx, audit::Event{"manifest.delete", repository_.str(), {}, digest, std::nullopt}, actor_, now_);
    catalog::record_departure(tx, repository_, digest, event, std::nullopt);
  }

  bool take_trash(sql::Tx& tx, catalog::RepositoryId id, RemovedRepository& removed) const {
    const auto items = catalog::list_trash(tx, {id, std::nullopt}, 0, rows_per_step);
    for (const catalog::TrashItem& item : items) {
      catalog::forget_trash(tx, item.id);
      audit::append(tx, audit::Event{"trash.erase", repository_.str(), {}, item.digest, std::nullopt}, actor_,
                    now_);
      ++removed.trash;
    }
    return !items.empty();
  }

  bool take_links(sql::Tx& tx, catalog::RepositoryId id, RemovedRepository& removed) const {
    const auto digests = catalog::some_blobs(tx, id, rows_per_step);
    for (const Digest& digest : digests) {
      catalog::unlink_blob(tx, id, digest);
      catalog::queue_review(tx, std::nullopt, digest, now_ + context_.leases.microseconds());
      ++removed.blobs;
    }
    return !digests.empty();
  }

  const RegistryContext& context_;
  const RepositoryName& repository_;
  const audit::Actor& actor_;
  const Timestamp now_;  // of every record: they tell of one removal (catalog::repository_departure)
};

}  // namespace

Task<Result<RemovedRepository>> Repositories::remove(RepositoryName repository, audit::Actor actor) const {
  const auto look = [&](sql::Session& session) -> Result<bool> {
    const auto id = catalog::find_repository(session, repository);
    if (!id) return unknown_repository(repository);
    return is_small(session, *id);
  };
  auto looking = read_on_pool<bool>(context_, look);
  const auto looked = co_await std::move(looking);
  if (!looked) co_return looked.error();
  const Removal removal(context_, repository, actor);
  if (!*looked) {
    if (auto allowed = co_await decide(repository, actor); !allowed) co_return allowed.error();
  }
  RemovedRepository removed;
  for (bool gone = false; !gone;) {
    RemovedRepository so_far;
    const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
      so_far = removed;
      do {
        const auto taken = removal.take_some(tx, orderings, so_far);
        if (!taken) return taken.error();
        gone = *taken;
      } while (!gone && *looked);
      return {};
    };
    sql::Keys keys{"repository:" + repository.str()};
    const Result<void> written =
        co_await write_under_rules(context_, std::move(keys), repository, std::nullopt, body);
    if (!written) co_return written.error();
    removed = so_far;
  }
  co_return removed;
}

Task<Result<void>> Repositories::decide(const RepositoryName& repository, const audit::Actor& actor) const {
  const Removal removal(context_, repository, actor);
  using Kept = std::optional<catalog::TagBinding>;
  std::string last;
  const auto look = [&](sql::Session& session) { return removal.first_kept(session, last); };
  do {
    auto looking = read_on_pool<Kept>(context_, look);
    const auto kept = co_await std::move(looking);
    if (!kept) co_return kept.error();
    if (!*kept) continue;
    const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) {
      return removal.refuse(tx, orderings, **kept);
    };
    sql::Keys keys{"repository:" + repository.str()};
    co_return co_await write_under_rules(context_, std::move(keys), repository, std::nullopt, body);
  } while (!last.empty());
  co_return Result<void>();
}

}  // namespace stele
