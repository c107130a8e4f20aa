#include "registry/tag_history.hpp"

#include "registry/read_on_pool.hpp"
#include "registry/unknown.hpp"

namespace stele {
Task<Result<TagPage>> TagHistory::list(RepositoryName repository, std::string last,
                                       std::int64_t limit) const {
  const auto read = [&](sql::Session& session) -> Result<TagPage> {
    const auto id = catalog::find_repository(session, repository);
    if (!id) return unknown_repository(repository);
    auto tags = catalog::list_tag_bindings(session, *id, repository, last, limit + 1);
    if (!tags) return tags.error();
    TagPage page{std::move(*tags)};
    page.more = std::cmp_greater(page.tags.size(), limit);
    if (page.more) page.tags.pop_back();
    return page;
  };
  auto reading = read_on_pool<TagPage>(context_, read);
  co_return co_await reading;
}

Result<catalog::TagBinding> TagHistory::find(const RepositoryName& repository, const Tag& tag) const {
  return context_.database.read([&](sql::Session& session) -> Result<catalog::TagBinding> {
    const auto id = catalog::find_repository(session, repository);
    if (!id) return unknown_repository(repository);
    auto bound = catalog::find_tag(session, *id, repository, tag);
    if (!bound) return bound.error();
    if (!*bound) return unknown_tag(repository, tag);
    return std::move(**bound);
  });
}

Task<Result<TagHistoryPage>> TagHistory::history(RepositoryName repository, Tag tag, std::int64_t before,
                                                 std::int64_t limit) const {
  const auto read = [&](sql::Session& session) -> Result<TagHistoryPage> {
    const auto id = catalog::find_repository(session, repository);
    if (!id) return unknown_repository(repository);
    TagHistoryPage page{
        catalog::list_tag_history(session, *id, tag, before == 0 ? INT64_MAX : before, limit + 1)};
    if (page.entries.empty() && before == 0) return unknown_tag(repository, tag);
    if (std::cmp_greater(page.entries.size(), limit)) {
      page.entries.pop_back();
      page.next = page.entries.back().position;
    }
    return page;
  };
  auto reading = read_on_pool<TagHistoryPage>(context_, read);
  co_return co_await reading;
}

Task<Result<catalog::TagHistoryEntry>> TagHistory::at(RepositoryName repository, Tag tag,
                                                      Timestamp moment) const {
  const auto read = [&](sql::Session& session) -> Result<catalog::TagHistoryEntry> {
    const auto id = catalog::find_repository(session, repository);
    if (!id) return unknown_repository(repository);
    auto entry = catalog::tag_history_at(session, *id, tag, moment);
    if (!entry) {
      return Error(Errc::manifest_unknown,
                   "tag " + tag.str() + " did not exist in " + repository.str() + " at " + to_string(moment));
    }
    return std::move(*entry);
  };
  auto reading = read_on_pool<catalog::TagHistoryEntry>(context_, read);
  co_return co_await reading;
}

}  // namespace stele
