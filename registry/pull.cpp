#include "policy/decide.hpp"
#include "registry/large_read.hpp"
#include "registry/read_on_pool.hpp"
#include "registry/registry.hpp"
#include "registry/unknown.hpp"

namespace stele {
namespace {

// Larger manifests are read on the db pool: hashing 4 MiB would hold up an I/O thread for milliseconds.
constexpr std::uint64_t inline_manifest_bytes = 64 * 1024;
constexpr std::int64_t inline_names = 1000;
constexpr std::int64_t most_advised_tags = 100;

Result<catalog::StoredManifest> load_manifest(sql::Session& session, const RepositoryName& repository,
                                              const Reference& reference, std::uint64_t max_bytes) {
  auto found = reference.tag()
                   ? catalog::manifest_by_tag(session, repository, *reference.tag(), max_bytes)
                   : catalog::manifest_by_digest(session, repository, *reference.digest(), max_bytes);
  if (!found) return found.error();
  if (!*found) {
    if (!catalog::find_repository(session, repository)) return unknown_repository(repository);
    return unknown_manifest(repository, reference);
  }
  return std::move(**found);
}

Error unknown_blob(const RepositoryName& repository, const Digest& digest) {
  return Error(Errc::blob_unknown, "blob " + digest.str() + " does not exist in " + repository.str());
}

NamePage page_of(std::vector<std::string> names, std::int64_t limit) {
  NamePage page;
  page.more = std::cmp_greater(names.size(), limit);
  if (page.more) names.resize(static_cast<std::size_t>(limit));
  page.names = std::move(names);
  if (page.more && !page.names.empty()) page.next = page.names.back();
  return page;
}

// The same of those that may be seen, in reads of a thousand.
Result<NamePage> seen_page(sql::Session& session, std::string last, std::int64_t limit, const Sees& sees) {
  NamePage page;
  for (std::int64_t looked_at = 0; looked_at < Registry::most_looked_at; looked_at += inline_names) {
    const auto names = catalog::list_repositories(session, last, inline_names);
    for (const std::string& name : names) {
      if (!sees(name)) continue;
      page.more = std::cmp_equal(page.names.size(), limit);
      if (page.more) {
        if (!page.names.empty()) page.next = page.names.back();
        return page;
      }
      page.names.push_back(name);
    }
    if (std::cmp_less(names.size(), inline_names)) return page;
    last = names.back();
  }
  page.more = true;
  page.next = std::move(last);
  return page;
}

}  // namespace

Task<Result<catalog::StoredManifest>> Registry::manifest(const RepositoryName& repository,
                                                         const Reference& reference, Look look) {
  const auto lease = [&](const Digest& digest) {
    if (look == Look::use) context_.leases.take(digest);
  };
  const auto read = [&](std::uint64_t max_bytes) {
    return context_.database.read(
        [&](sql::Session& session) { return load_manifest(session, repository, reference, max_bytes); });
  };
  // What is being removed is there or not when that has ended. Rare, and as long as a commit.
  const auto ended = [&](const Digest& digest) {
    return context_.db.start(
        [this, &repository, digest] { return context_.leases.await_removal(repository, digest); });
  };
  if (reference.digest()) {
    lease(*reference.digest());
    if (context_.leases.being_removed(repository, *reference.digest())) {
      auto waiting = ended(*reference.digest());
      if (!co_await waiting) co_return unknown_manifest(repository, reference);
    }
  }
  for (;;) {
    const std::uint64_t removals = context_.leases.removals();
    auto found = read(inline_manifest_bytes);
    if (found && found->deferred) {
      const auto turn = co_await large_read_turn(context_, found->digest);
      auto pending = context_.db.start([&] { return read(UINT64_MAX); });
      found = co_await pending;
    }
    if (!found || reference.digest()) co_return found;
    // The digest was not known before the row was read, and the lease comes after it: what was removed in
    // between is looked for once more, so that nobody gets an index whose entries went with it.
    lease(found->digest);
    if (context_.leases.being_removed(repository, found->digest)) {
      auto waiting = ended(found->digest);
      if (!co_await waiting) co_return unknown_manifest(repository, reference);
      continue;
    }
    if (context_.leases.removals() == removals) co_return found;
  }
}

Result<void> Registry::may_pull(const RepositoryName& repository, const Reference& reference,
                                const Principal& principal) const {
  const Tag* const tag = reference.tag();
  if (!tag) return {};
  const auto policy = context_.policy.current();
  if (!policy->has_pull_rules()) return {};
  const policy::PullRule* const rule = policy->pull_rule(repository.str(), principal.name());
  const auto immutable = [&](const std::string& name) {
    return policy->tag_rule(repository.str(), name).rule->mutability == policy::Mutability::immutable;
  };
  if (!rule || immutable(tag->str())) return {};
  return context_.database.read([&](sql::Session& session) -> Result<void> {
    const auto id = catalog::find_repository(session, repository);
    if (!id) return {};
    const auto bound = catalog::find_tag(session, *id, repository, *tag);
    if (!bound) return bound.error();
    if (!*bound) return {};
    std::vector<std::string> pinned;
    for (const Tag& other : catalog::tags_of_manifest(session, (*bound)->manifest, most_advised_tags)) {
      if (immutable(other.str())) pinned.push_back(other.str());
    }
    return policy::refuse_pull({repository.str(), tag->str()}, *rule, (*bound)->digest, pinned);
  });
}

Look Registry::look_of(const Principal& principal, std::string_view agent) const {
  return context_.policy.counts_pulls_of(principal.name(), agent) ? Look::use : Look::glance;
}

void Registry::count_pull(const catalog::StoredManifest& pulled) noexcept {
  context_.pulls.record(pulled.id, context_.clock.now());
}

void Registry::count_push(const RepositoryName& repository, const Tag& tag,
                          const catalog::StoredManifest& found) {
  context_.pulls.pushes().record(repository, tag, found.id, context_.clock.now());
}

void Registry::count_blob_read(const RepositoryName& repository, const Digest& digest) {
  blob_reads_.record(repository, digest, context_.clock.now());
}

Result<std::uint64_t> Registry::listed_size(const RepositoryName& repository, const Digest& digest) {
  context_.leases.take(digest);
  if (context_.leases.being_removed(repository, digest) && !context_.leases.await_removal(repository, digest))
    return unknown_blob(repository, digest);
  return context_.database.read([&](sql::Session& session) -> Result<std::uint64_t> {
    const auto found = catalog::find_blob_in(session, repository, digest);
    if (!found) return unknown_blob(repository, digest);
    if (context_.quarantine.holds(digest)) return in_quarantine(digest);
    return found->size;
  });
}

Result<std::uint64_t> Registry::blob_size(const RepositoryName& repository, const Digest& digest) {
  const auto content = blob(repository, digest);
  if (content) return content->size;
  if (content.error().code() != Errc::corrupt) return content.error();
  return Error(Errc::blob_unknown, content.error().message());
}

Result<BlobContent> Registry::blob(const RepositoryName& repository, const Digest& digest) {
  const auto size = listed_size(repository, digest);
  if (!size) return size.error();
  auto reader = context_.blobs.open(digest);
  if (!reader) {
    if (reader.error().code() != Errc::blob_unknown) return reader.error();
    context_.quarantine.suspect(digest);
    return Error(
        Errc::corrupt,
        "the content of blob " + digest.str() +
            " is missing from the store although the catalog lists it; restore the file or push it again");
  }
  if ((*reader)->size() != *size) {
    context_.quarantine.suspect(digest);
    return Error(Errc::corrupt, "the stored content of blob " + digest.str() + " has " +
                                    std::to_string((*reader)->size()) + " bytes instead of " +
                                    std::to_string(*size) + "; restore the file or push it again");
  }
  return BlobContent{std::shared_ptr<BlobReader>(std::move(*reader)), *size};
}

Task<Result<NamePage>> Registry::tags(const RepositoryName& repository, std::string last,
                                      std::int64_t limit) {
  const auto read = [&](sql::Session& session) -> Result<NamePage> {
    const auto id = catalog::find_repository(session, repository);
    if (!id) return unknown_repository(repository);
    return page_of(catalog::list_tags(session, *id, last, limit + 1), limit);
  };
  if (limit <= inline_names) co_return context_.database.read(read);
  auto reading = read_on_pool<NamePage>(context_, read);
  co_return co_await reading;
}

Task<Result<NamePage>> Registry::repositories(std::string last, std::int64_t limit, Sees sees) {
  if (sees) {
    const auto read_seen = [&](sql::Session& session) { return seen_page(session, last, limit, sees); };
    auto reading = read_on_pool<NamePage>(context_, read_seen);
    co_return co_await reading;
  }
  const auto read = [&](sql::Session& session) -> Result<NamePage> {
    return page_of(catalog::list_repositories(session, last, limit + 1), limit);
  };
  if (limit <= inline_names) co_return context_.database.read(read);
  auto reading = read_on_pool<NamePage>(context_, read);
  co_return co_await reading;
}

}  // namespace stele
