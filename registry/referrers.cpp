#include <nlohmann/json.hpp>

#include "base/media_type.hpp"
#include "base/strict_json.hpp"
#include "registry/registry.hpp"

namespace stele {
namespace {

// The position behind every catalog row: what is left is the fallback tag's list.
constexpr std::int64_t behind_all = INT64_MAX - 1;

std::string text_member(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// What the index under the fallback tag lists and the catalog does not know as referrer of the subject
// (distribution-spec, "Referrers Tag Schema" and "Enabling the Referrers API").
std::vector<std::string> fallback_descriptors(sql::Session& session, catalog::RepositoryId id,
                                              const RepositoryName& repository, const Digest& subject,
                                              const std::optional<std::string>& artifact_type) {
  std::vector<std::string> descriptors;
  std::string name(to_string(subject.algorithm()));
  name += '-';
  name += subject.hex();
  const auto tag = Tag::parse(name.substr(0, Tag::max_bytes));
  const auto stored = catalog::manifest_by_tag(session, repository, *tag);
  if (!stored || !*stored || !media_type::is_index((*stored)->media_type)) return descriptors;
  const auto index = parse_strict_json((*stored)->bytes, "index");
  if (!index) return descriptors;
  for (const auto& entry : index->at("manifests")) {
    const auto digest = Digest::parse(text_member(entry, "digest"));
    if (!digest || catalog::is_referrer(session, id, *digest, subject)) continue;
    if (artifact_type && text_member(entry, "artifactType") != *artifact_type) continue;
    descriptors.push_back(entry.dump());
  }
  return descriptors;
}

std::size_t total_size(const std::vector<std::string>& texts) {
  std::size_t total = 0;
  for (const std::string& text : texts) total += text.size();
  return total;
}

}  // namespace

Task<Result<ReferrersPage>> Registry::referrers(const RepositoryName& repository, const Digest& subject,
                                                std::optional<std::string> artifact_type,
                                                std::int64_t after) {
  const auto read = [&](sql::Session& session) -> Result<ReferrersPage> {
    ReferrersPage page;
    const auto id = catalog::find_repository(session, repository);
    if (!id) return page;
    auto listed = catalog::list_referrers(session, *id, subject, artifact_type, after, referrers_page_bytes);
    for (auto& referrer : listed.referrers) page.descriptors.push_back(std::move(referrer.descriptor));
    if (listed.more) {
      page.next = listed.referrers.back().position;
      return page;
    }
    auto fallback = fallback_descriptors(session, *id, repository, subject, artifact_type);
    if (!page.descriptors.empty() &&
        total_size(page.descriptors) + total_size(fallback) > referrers_page_bytes) {
      page.next = behind_all;
      return page;
    }
    page.descriptors.insert(page.descriptors.end(), fallback.begin(), fallback.end());
    return page;
  };
  auto pending = parts_.db.start([&] {
    auto result = parts_.database.read(read);
    parts_.database.release_snapshot();
    return result;
  });
  co_return co_await pending;
}

}  // namespace stele
