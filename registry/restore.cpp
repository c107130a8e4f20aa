#include <deque>
#include <map>
#include <set>

#include "base/manifest.hpp"
#include "registry/ruled_write.hpp"
#include "registry/signature_tags.hpp"
#include "registry/trash.hpp"
#include "storage/catalog/pulls.hpp"

namespace stele {
namespace {

constexpr int deepest_index = 32;
constexpr std::int64_t most_referrers = 10'000;  // of one manifest
constexpr std::int64_t items_per_page = 100;

std::string origin_and_time(const catalog::TrashItem& item) {
  return "trash " + std::to_string(item.id) + ", run " + std::to_string(item.run) + ", removed " +
         to_string(item.removed_at);
}

// One restoration inside its transaction: first the manifests, in the order in which they need each other,
// then the names.
class Return {
 public:
  Return(sql::Tx& tx, const RegistryContext& context, const Restoration& asked,
         const catalog::TrashItem& item, Timestamp now)
      : tx_(tx),
        context_(context),
        asked_(asked),
        repository_(item.repository),
        name_(item.name),
        now_(now) {}

  // The item and everything that comes with it.
  Result<void> take(catalog::TrashItem item) {
    waiting_.push_back(std::move(item));
    for (; !waiting_.empty(); waiting_.pop_front()) {
      const catalog::TrashItem& next = waiting_.front();
      if (seen_.contains(next.id)) continue;
      auto taken = next.media_type ? take_manifest(next, 0) : take_names(next);
      if (!taken) return taken;
    }
    return {};
  }

  // Names that somebody else has by now are refused, or left out.
  Result<void> bind(TagRules& rules) {
    std::map<std::string, Digest> names;  // the first one to ask for a name gets it
    for (const Name& name : names_) {
      const auto [first, unique] = names.emplace(name.tag.str(), name.digest);
      if (!unique) {
        if (first->second != name.digest) skipped_.push_back(name.tag);
        continue;
      }
      if (auto bound = bind(name, rules); !bound) return bound;
    }
    for (const catalog::ManifestId manifest : inserted_) catalog::note_untagged(tx_, manifest, now_);
    return {};
  }

  Restored restored() && { return {name_, std::move(manifests_), std::move(tags_), std::move(skipped_)}; }

 private:
  struct Name {
    Tag tag;
    catalog::ManifestId manifest;
    Digest digest;
    std::string origin;
  };

  Error incomplete(const catalog::TrashItem& item, const std::string& why) const {
    std::string message = item.digest.str() + " of " + name_.str() + " cannot come back from the trash (" +
                          std::to_string(item.id) + "): " + why;
    if (item.id != asked_.id)
      message += "; or go on without it: stele trash erase " + std::to_string(item.id);
    return Error(Errc::refused_by_policy, std::move(message))
        .in_brief("something that it needs is missing")
        .with("reason", "CONTENT_MISSING")
        .with("existing", item.digest.str());
  }

  Result<void> see(const catalog::TrashItem& item) {
    seen_.insert(item.id);
    if (seen_.size() <= Trash::most_items) return {};
    return Error(Errc::parameter_invalid, "more than " + std::to_string(Trash::most_items) +
                                              " items of the trash of " + name_.str() +
                                              " hang on this one; restore what refers to it in parts first");
  }

  void leave_trash(const catalog::TrashItem& item, catalog::ManifestId manifest) {
    for (catalog::TrashedTag& tag : catalog::trash_tags(tx_, item.id))
      names_.push_back({std::move(tag.tag), manifest, item.digest, origin_and_time(item)});
    catalog::forget_trash(tx_, item.id);
  }

  // Only tags went: what they pointed to lives, or came into the trash later.
  Result<void> take_names(const catalog::TrashItem& item) {
    if (auto seen = see(item); !seen) return seen;
    auto manifest = catalog::find_manifest(tx_, repository_, item.digest);
    if (!manifest) {
      const auto trashed = catalog::newest_trashed_manifest(tx_, repository_, item.digest);
      if (!trashed)
        return incomplete(item, "the manifest itself is no longer there, nor in the trash; push it again");
      if (auto taken = take_manifest(*trashed, 0); !taken) return taken;
      manifest = catalog::find_manifest(tx_, repository_, item.digest);
    }
    leave_trash(item, manifest.value().id);
    return {};
  }

  Result<void> take_manifest(const catalog::TrashItem& item, int depth) {
    if (auto seen = see(item); !seen) return seen;
    if (depth > deepest_index) {
      return Error(Errc::parameter_invalid, "indexes are nested more than " + std::to_string(deepest_index) +
                                                " deep in the trash of " + name_.str());
    }
    auto live = catalog::find_manifest(tx_, repository_, item.digest);  // pushed again meanwhile
    if (!live) {
      if (auto inserted = insert(item, depth); !inserted) return inserted;
      live = catalog::find_manifest(tx_, repository_, item.digest);
      inserted_.push_back(live.value().id);
    }
    if (item.pulled_at) catalog::raise_pulled_at(tx_, live->id, *item.pulled_at);
    leave_trash(item, live->id);
    for (auto& referrer : catalog::trashed_referrers(tx_, repository_, item.digest, most_referrers))
      waiting_.push_back(std::move(referrer));
    for (const Tag& tag : signature_tags(item.digest)) {
      const auto bound = catalog::find_tag(tx_, repository_, name_, tag);
      if (!bound) return bound.error();
      if (*bound) continue;
      if (auto signature = catalog::newest_trash_of_tag(tx_, repository_, tag))
        waiting_.push_back(std::move(*signature));
    }
    return {};
  }

  Result<void> insert(const catalog::TrashItem& item, int depth) {
    const auto bytes = catalog::trash_bytes(tx_, item);
    if (!bytes) return bytes.error();
    const auto manifest = Manifest::parse(*item.media_type, *bytes);
    if (!manifest) return manifest.error();
    // An index without its entries would dangle (I2).
    for (const Descriptor& entry : manifest->entries()) {
      if (catalog::find_manifest(tx_, repository_, entry.digest) ||
          catalog::repository_has_blob(tx_, repository_, entry.digest))
        continue;
      const auto child = catalog::newest_trashed_manifest(tx_, repository_, entry.digest);
      if (!child) continue;
      if (auto taken = take_manifest(*child, depth + 1); !taken) return taken;
    }
    if (auto complete = check_references(context_, tx_, repository_, name_, *manifest); !complete)
      return incomplete(item, complete.error().message());
    context_.leases.take(item.digest);
    catalog::insert_manifest(tx_, repository_, catalog::NewManifest{*manifest, item.digest, *bytes},
                             item.created_at, item.created_by);
    audit::append(
        tx_,
        audit::Event{
            "manifest.restore", name_.str(), {}, std::nullopt, item.digest, item.rule, origin_and_time(item)},
        asked_.actor, now_);
    manifests_.push_back(item.digest);
    return {};
  }

  Result<void> bind(const Name& name, TagRules& rules) {
    const auto bound = catalog::find_tag(tx_, repository_, name_, name.tag);
    if (!bound) return bound.error();
    if (*bound && (*bound)->digest == name.digest) return {};
    if (*bound) {
      if (!asked_.skip_taken) return taken(name, **bound);
      skipped_.push_back(name.tag);
      return {};
    }
    auto done = rules.bind(name.tag, name.manifest, name.digest, Cause{"tag.restore", name.origin, true});
    if (done) {
      tags_.push_back(name.tag);
    } else if (asked_.skip_taken && done.error().code() == Errc::refused_by_policy) {
      skipped_.push_back(name.tag);  // a rule keeps it bound to what it had since
    } else {
      return done;
    }
    return {};
  }

  Error taken(const Name& name, const catalog::TagBinding& by) {
    Error refusal = Error(Errc::refused_by_policy,
                          "tag " + name.tag.str() + " in " + name_.str() + " points to " + by.digest.str() +
                              " by now, pushed " + to_string(by.pushed_at) + " by " + by.pushed_by +
                              "; in the trash it belongs to " + name.digest.str() +
                              "; restore without such names (--skip-taken), or remove that tag first")
                        .in_brief("tag is bound elsewhere by now")
                        .with("reason", "TAG_TAKEN")
                        .with("tag", name.tag.str())
                        .with("existing", by.digest.str())
                        .with("offered", name.digest.str())
                        .with("pushed_by", by.pushed_by)
                        .with("pushed_at", to_string(by.pushed_at));
    record_refusal(tx_, "trash.refused", name_, name.tag.str(), by.digest, name.digest, refusal, asked_.actor,
                   now_);
    return refusal;
  }

  sql::Tx& tx_;
  const RegistryContext& context_;
  const Restoration& asked_;
  const catalog::RepositoryId repository_;
  const RepositoryName name_;
  const Timestamp now_;
  std::deque<catalog::TrashItem> waiting_;
  std::set<std::int64_t> seen_;
  std::vector<catalog::ManifestId> inserted_;
  std::vector<Name> names_;
  std::vector<Digest> manifests_;
  std::vector<Tag> tags_;
  std::vector<Tag> skipped_;
};

}  // namespace

Task<Result<Restored>> Trash::restore(Restoration asked) const {
  const auto found = context_.database.read([&](sql::Session& session) -> Result<catalog::TrashItem> {
    auto item = catalog::find_trash(session, asked.id);
    if (!item) return not_in_trash(asked.id);
    return std::move(*item);
  });
  if (!found) co_return found.error();
  std::optional<Restored> restored;
  const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
    restored.reset();
    const auto item = catalog::find_trash(tx, asked.id);
    if (!item) return not_in_trash(asked.id);
    const Timestamp now = context_.clock.now();
    Return returning(tx, context_, asked, *item, now);
    auto taken = returning.take(*item);
    if (!taken) {
      record_refusal(tx, "trash.refused", item->name, {}, item->digest, std::nullopt, taken.error(),
                     asked.actor, now);
      return taken;
    }
    TagRules rules(tx, context_, item->repository, item->name, asked.actor, orderings);
    auto bound = returning.bind(rules);
    if (!bound) return bound;
    restored.emplace(std::move(returning).restored());
    return {};
  };
  sql::Keys keys{"trash:" + std::to_string(asked.id), "repository:" + found->name.str()};
  const Result<void> written =
      co_await write_under_rules(context_, std::move(keys), found->name, std::nullopt, body);
  if (!written) co_return written.error();
  co_return std::move(*restored);
}

Task<Result<RestoredRun>> Trash::restore_run(Restoration asked) const {
  RestoredRun total;
  bool any = false;
  for (std::int64_t after = 0;;) {
    auto reading = context_.db.start([&] {
      return context_.database.read([&](sql::Session& session) -> Result<std::vector<catalog::TrashItem>> {
        return catalog::list_trash(session, {std::nullopt, asked.id}, after, items_per_page);
      });
    });
    const auto page = co_await reading;
    if (!page) co_return page.error();
    if (page->empty()) break;
    any = true;
    for (const catalog::TrashItem& item : *page) {
      after = item.id;
      Restoration one{item.id, asked.skip_taken, asked.actor};
      const auto restored = co_await restore(std::move(one));
      if (restored) {
        total.manifests += static_cast<std::int64_t>(restored->manifests.size());
        total.tags += static_cast<std::int64_t>(restored->tags.size());
        total.skipped += static_cast<std::int64_t>(restored->skipped.size());
        continue;
      }
      const Error& refusal = restored.error();
      if (refusal.code() == Errc::not_found) continue;  // it came back with another
      if (refusal.code() != Errc::refused_by_policy && refusal.code() != Errc::corrupt &&
          refusal.code() != Errc::parameter_invalid)
        co_return refusal;
      ++total.refused;
      if (total.refusals.size() < refusals_shown)
        total.refusals.push_back({item.id, item.name, item.digest, reason_of(refusal), refusal.message()});
    }
  }
  if (!any) co_return nothing_of_run(asked.id);
  co_return total;
}

}  // namespace stele
