#include "registry/trash.hpp"

#include <algorithm>

#include "registry/protection.hpp"
#include "registry/tag_rules.hpp"
#include "registry/unknown.hpp"

namespace stele {
namespace {

constexpr std::int64_t items_per_write = 16;  // a push waits for one such transaction
constexpr std::int64_t day = 24LL * 3600 * 1'000'000;

std::string origin(const catalog::TrashItem& item) {
  return "trash " + std::to_string(item.id) + ", run " + std::to_string(item.run);
}

// One transaction that erases.
class Erasing {
 public:
  Erasing(sql::Tx& tx, const RegistryContext& context, const audit::Actor& actor)
      : tx_(tx), context_(context), actor_(actor), now_(context.clock.now()) {}

  // Why the item has to stay. Where its manifest lives, or none is in the trash, nothing is lost with it.
  std::optional<Error> protection(const catalog::TrashItem& item) const {
    if (!item.media_type || catalog::find_manifest(tx_, item.repository, item.digest)) return std::nullopt;
    const Protection protection(tx_, item.repository, item.name, context_.release_clock.now());
    if (auto refusal = protection.of_content(item.digest)) return refusal;
    return protection.of_use(item.digest);
  }

  void erase(const catalog::TrashItem& item) {
    // The trash was the lease of its blobs.
    catalog::erase_trash(tx_, item.id, now_);
    audit::append(
        tx_,
        audit::Event{"trash.erase", item.name.str(), {}, item.digest, std::nullopt, item.rule, origin(item)},
        actor_, now_);
  }

  void record_refusal_of(const catalog::TrashItem& item, const std::string& reason) {
    audit::append(tx_,
                  audit::Event{"trash.refused", item.name.str(), {}, item.digest, std::nullopt, {}, reason},
                  actor_, now_);
  }

  void postpone(const catalog::TrashItem& item) { catalog::postpone_erasing(tx_, item.id, now_ + day); }

 private:
  sql::Tx& tx_;
  const RegistryContext& context_;
  const audit::Actor& actor_;
  const Timestamp now_;
};

// One batch of erase_all().
struct ErasedBatch {
  Erased erased;
  std::int64_t last = 0;  // id of the last item that was looked at; 0: there was none
};

}  // namespace

Error not_in_trash(std::int64_t id) {
  return Error(Errc::not_found, "nothing in the trash has the number " + std::to_string(id) +
                                    ": it was restored or erased; stele trash list shows what there is");
}

Error nothing_of_run(std::int64_t run) {
  return Error(Errc::not_found, "the trash has nothing of run " + std::to_string(run) +
                                    ": what it removed was restored or erased; stele trash list shows what "
                                    "there is");
}

std::string reason_of(const Error& error) {
  for (const Error::Detail& member : error.details()) {
    if (member.key == "reason") return member.value;
  }
  return std::string(to_string(error.code()));
}

Task<Result<TrashPage>> Trash::list(TrashQuery query) const {
  auto reading = context_.db.start([&] {
    return context_.database.read([&](sql::Session& session) -> Result<TrashPage> {
      catalog::TrashFilter filter{std::nullopt, query.run};
      if (query.repository) {
        filter.repository = catalog::find_repository(session, *query.repository);
        if (!filter.repository) return unknown_repository(*query.repository);
      }
      TrashPage page;
      auto items = catalog::list_trash(session, filter, query.after, query.limit + 1);
      if (items.size() > static_cast<std::size_t>(query.limit)) {
        items.pop_back();
        page.next = items.back().id;
      }
      for (catalog::TrashItem& item : items) {
        auto tags = catalog::trash_tags(session, item.id);
        page.items.push_back({std::move(item), std::move(tags)});
      }
      return page;
    });
  });
  co_return co_await reading;
}

Task<Result<Erased>> Trash::erase(std::int64_t id, audit::Actor actor) const {
  auto pending = context_.writer.write({"trash:" + std::to_string(id)}, [&](sql::Tx& tx) -> Result<Erased> {
    const auto item = catalog::find_trash(tx, id);
    if (!item) return not_in_trash(id);
    Erasing erasing(tx, context_, actor);
    if (auto refusal = erasing.protection(*item)) {
      record_refusal(tx, "trash.refused", item->name, {}, item->digest, std::nullopt, *refusal, actor,
                     context_.clock.now());
      return *refusal;
    }
    erasing.erase(*item);
    return Erased{1, 0, {}};
  });
  co_return co_await pending;
}

Task<Result<Erased>> Trash::erase_all(std::optional<RepositoryName> repository,
                                      std::optional<std::int64_t> run, audit::Actor actor) const {
  Erased total;
  for (std::int64_t after = 0;;) {
    auto pending = context_.writer.write({"trash"}, [&](sql::Tx& tx) -> Result<ErasedBatch> {
      catalog::TrashFilter filter{std::nullopt, run};
      if (repository) {
        filter.repository = catalog::find_repository(tx, *repository);
        if (!filter.repository) return unknown_repository(*repository);
      }
      ErasedBatch batch;
      Erasing erasing(tx, context_, actor);
      for (const catalog::TrashItem& item : catalog::list_trash(tx, filter, after, items_per_write)) {
        batch.last = item.id;
        const auto refusal = erasing.protection(item);
        if (!refusal) {
          erasing.erase(item);
          ++batch.erased.items;
          continue;
        }
        ++batch.erased.refused;
        const std::string reason = reason_of(*refusal);
        erasing.record_refusal_of(item, reason);
        batch.erased.refusals.push_back({item.id, item.name, item.digest, reason, refusal->message()});
      }
      return batch;
    });
    auto batch = co_await pending;
    if (!batch) co_return batch.error();
    if (batch->last == 0) break;
    after = batch->last;
    total.items += batch->erased.items;
    total.refused += batch->erased.refused;
    for (TrashRefusal& refusal : batch->erased.refusals) {
      if (total.refusals.size() < refusals_shown) total.refusals.push_back(std::move(refusal));
    }
  }
  co_return total;
}

Task<Result<Erased>> Trash::erase_run(std::int64_t run, audit::Actor actor) const {
  auto erasing = erase_all(std::nullopt, run, std::move(actor));
  auto erased = co_await std::move(erasing);
  if (erased && erased->items + erased->refused == 0) co_return nothing_of_run(run);
  co_return erased;
}

Task<Result<Erased>> Trash::erase_repository(RepositoryName repository, audit::Actor actor) const {
  auto erasing = erase_all(std::move(repository), std::nullopt, std::move(actor));
  co_return co_await std::move(erasing);
}

Task<Result<ErasedDue>> Trash::erase_due(std::int64_t limit) const {
  const Timestamp now = std::min(context_.clock.now(), context_.release_clock.now());
  const auto due = context_.database.read(
      [&](sql::Session& session) -> Result<bool> { return !catalog::due_trash(session, now, 1).empty(); });
  if (!due) co_return due.error();
  if (!*due) co_return ErasedDue();
  const audit::Actor actor{Principal::system(), "gc"};
  auto pending = context_.writer.write({"trash"}, [&](sql::Tx& tx) -> Result<ErasedDue> {
    ErasedDue done;
    Erasing erasing(tx, context_, actor);
    for (const catalog::TrashItem& item : catalog::due_trash(tx, now, limit)) {
      if (erasing.protection(item)) {
        erasing.postpone(item);
        ++done.postponed;
      } else {
        erasing.erase(item);
        ++done.items;
      }
    }
    return done;
  });
  co_return co_await pending;
}

}  // namespace stele
