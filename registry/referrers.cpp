#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/media_type.hpp"
#include "base/strict_json.hpp"
#include "registry/large_read.hpp"
#include "registry/read_on_pool.hpp"
#include "registry/registry.hpp"
#include "registry/signature_tags.hpp"

namespace stele {
namespace {

// Positions from here on are those of the fallback tag's list, behind every row of the catalog.
constexpr std::int64_t fallback_begins = std::int64_t{1} << 62;

std::size_t total_size(const std::vector<std::string>& texts) {
  std::size_t total = 0;
  for (const std::string& text : texts) total += text.size();
  return total;
}

// Adds to the page what the index under the fallback tag lists and the catalog does not know as referrer of
// the subject (distribution-spec, "Referrers Tag Schema" and "Enabling the Referrers API"), from the
// `first` entry on. A page that is empty takes one entry of any size.
void add_fallback(sql::Session& session, catalog::RepositoryId id, const RepositoryName& repository,
                  const Digest& subject, const std::optional<std::string>& artifact_type, std::int64_t first,
                  ReferrersPage& page) {
  std::optional<catalog::StoredManifest> stored;
  for (const std::string& text : tag_texts(subject)) {
    auto found = catalog::manifest_by_tag(session, repository, Tag::parse(text).value());
    if (found && *found && media_type::is_index((*found)->media_type)) stored = std::move(**found);
    if (stored) break;
  }
  if (!stored) return;
  const auto index = parse_strict_json(stored->bytes, "index");
  if (!index) return;
  const auto& entries = index->at("manifests");
  std::size_t size = total_size(page.descriptors);
  for (auto i = static_cast<std::uint64_t>(first); i < entries.size(); ++i) {
    if (artifact_type && text_of(entries[i], "artifactType") != *artifact_type) continue;
    const auto digest = Digest::parse(text_of(entries[i], "digest"));
    if (!digest || catalog::is_referrer(session, id, *digest, subject)) continue;
    std::string descriptor = entries[i].dump();
    size += descriptor.size();
    if (size > Registry::referrers_page_bytes && !page.descriptors.empty()) {
      page.next = fallback_begins + static_cast<std::int64_t>(i);
      return;
    }
    page.descriptors.push_back(std::move(descriptor));
  }
}

}  // namespace

Task<Result<ReferrersPage>> Registry::referrers(const RepositoryName& repository, const Digest& subject,
                                                std::optional<std::string> artifact_type,
                                                std::int64_t after) {
  const auto read = [&](sql::Session& session) -> Result<ReferrersPage> {
    ReferrersPage page;
    const auto id = catalog::find_repository(session, repository);
    if (!id) return page;
    if (after < fallback_begins) {
      auto listed =
          catalog::list_referrers(session, *id, subject, artifact_type, after, referrers_page_bytes);
      for (auto& referrer : listed.referrers) page.descriptors.push_back(std::move(referrer.descriptor));
      if (listed.more) {
        page.next = listed.referrers.back().position;
        return page;
      }
    }
    add_fallback(session, *id, repository, subject, artifact_type,
                 std::max(after - fallback_begins, std::int64_t{0}), page);
    return page;
  };
  const auto turn = co_await large_read_turn(context_, subject);
  auto reading = read_on_pool<ReferrersPage>(context_, read);
  co_return co_await reading;
}

}  // namespace stele
