// Lists that only upstream knows whole: tags (merged with what is here by the caller) and referrers. Kept in
// memory for as long as a tag is believed, and beyond that while upstream cannot be asked.
#include <nlohmann/json.hpp>

#include "mirror/bad_upstream.hpp"
#include "mirror/mirrors_impl.hpp"

namespace stele::mirror {
namespace {

constexpr int most_pages = 20;
constexpr std::size_t most_list_bytes = 4 * 1024 * 1024;
constexpr std::size_t most_kept_bytes = 64 * 1024 * 1024;  // of all lists; past it they are asked for anew

using Json = nlohmann::json;

// The query of `Link: </v2/…?n=…&last=…>; rel="next"`: where the next page is is not upstream's to choose.
std::string next_query(std::string_view link) {
  const std::size_t begin = link.find('<');
  const std::size_t end = link.find('>');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
  if (link.substr(end).find("next") == std::string_view::npos) return {};
  const std::string_view target = link.substr(begin + 1, end - begin - 1);
  const std::size_t query = target.find('?');
  return query == std::string_view::npos ? std::string() : std::string(target.substr(query + 1));
}

// Adds the entries of one page; false when it is no such list.
bool add_tags(const std::string& text, std::vector<Listing::Entry>& entries) {
  const auto json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("tags")) return false;
  if (json["tags"].is_null()) return true;
  if (!json["tags"].is_array()) return false;
  for (const auto& tag : json["tags"]) {
    if (!tag.is_string()) return false;
    auto name = tag.get<std::string>();
    if (Tag::parse(name)) entries.push_back({std::move(name), {}});
  }
  return true;
}

bool add_referrers(const std::string& text, std::vector<Listing::Entry>& entries) {
  const auto json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("manifests") || !json["manifests"].is_array()) return false;
  for (const auto& item : json["manifests"]) {
    if (!item.is_object() || !item.contains("digest") || !item["digest"].is_string()) return false;
    if (!Digest::parse(item["digest"].get<std::string>())) continue;
    std::string type;
    if (const auto found = item.find("artifactType"); found != item.end() && found->is_string())
      type = found->get<std::string>();
    entries.push_back({item.dump(), std::move(type)});
  }
  return true;
}

std::size_t bytes_of(const std::vector<Listing::Entry>& entries) {
  std::size_t bytes = 0;
  for (const Listing::Entry& entry : entries)
    bytes += sizeof(entry) + entry.text.size() + entry.artifact_type.size();
  return bytes;
}

}  // namespace

Task<Result<std::vector<Listing::Entry>>> Mirrors::Impl::fetch_list(Place place, std::string path,
                                                                    bool tags) {
  std::vector<Listing::Entry> entries;
  UpstreamRequest request;
  request.repository = place.remote;
  request.path = std::move(path);
  for (int page = 0; page < most_pages && bytes_of(entries) < most_list_bytes; ++page) {
    std::size_t url = 0;
    auto fetched = co_await upstream(place).ask(request, url);
    if (!fetched) co_return fetched.error();
    const std::string next = next_query(fetched->header("Link"));
    auto text = co_await read_manifest(place, *fetched);
    if (!text) co_return text.error();
    if (!(tags ? add_tags(*text, entries) : add_referrers(*text, entries))) {
      co_return bad_upstream(upstream(place).origin(url) + " answers the request for a list of " +
                             place.remote + " with something else");
    }
    if (next.empty()) break;
    request.query = next;
  }
  co_return std::move(entries);
}

Task<Result<std::vector<Listing::Entry>>> Mirrors::Impl::fetch_referrers(Place place, Digest subject) {
  auto listed = co_await fetch_list(place, "referrers/" + subject.str(), false);
  const bool without =
      !listed && (listed.error().code() == Errc::not_found || is_bad_upstream(listed.error()));
  if (!without) co_return listed;
  // Registries without that endpoint: what the clients' fallback tag lists.
  std::string tag = subject.str();
  tag[tag.find(':')] = '-';
  listed = co_await fetch_list(place, "manifests/" + tag, false);
  if (!listed && listed.error().code() == Errc::not_found) {
    std::vector<Listing::Entry> none;
    co_return std::move(none);
  }
  co_return listed;
}

std::optional<Listing> Mirrors::Impl::kept_list(const std::string& key, bool also_old) {
  const std::lock_guard lock(mutex);
  const auto found = lists.find(key);
  if (found == lists.end()) return std::nullopt;
  if (!also_old && std::chrono::steady_clock::now() >= found->second.until) return std::nullopt;
  return Listing{found->second.entries, {}};
}

Task<Result<Listing>> Mirrors::Impl::list(Place place, std::optional<Digest> subject) {
  std::string key = place.stored.str() + (subject ? "@" + subject->str() : std::string());
  if (auto kept = kept_list(key, false)) co_return std::move(*kept);
  std::function<Task<Result<Listing>>()> work = [this, place, subject, key] {
    return renew_list(place, subject, key);
  };
  auto listed = co_await list_flights->run(key, std::move(work));
  if (listed) co_return listed;
  auto old = kept_list(key, true);
  if (!old) co_return listed;
  old->warning = stale_warning(listed.error());
  co_return std::move(*old);
}

Task<Result<Listing>> Mirrors::Impl::renew_list(Place place, std::optional<Digest> subject, std::string key) {
  Result<std::vector<Listing::Entry>> fetched = Error(Errc::internal, "");
  if (subject) {
    fetched = co_await fetch_referrers(place, *subject);
  } else {
    fetched = co_await fetch_list(place, "tags/list", true);
  }
  if (!fetched) co_return fetched.error();
  const std::size_t bytes = bytes_of(*fetched);
  const auto until = std::chrono::steady_clock::now() + upstream(place).tag_ttl();
  const std::lock_guard lock(mutex);
  if (list_bytes + bytes > most_kept_bytes) {
    lists.clear();
    list_bytes = 0;
  }
  const auto before = lists.find(key);
  if (before != lists.end()) list_bytes -= bytes_of(before->second.entries);
  list_bytes += bytes;
  lists.insert_or_assign(key, KeptList{*fetched, until});
  Listing listed(std::move(*fetched), std::string());
  co_return std::move(listed);
}

Task<Result<Listing>> Mirrors::tags(Place place) {
  return impl_->list(std::move(place), std::nullopt);
}

Task<Result<Listing>> Mirrors::referrers(Place place, Digest subject) {
  return impl_->list(std::move(place), std::move(subject));
}

}  // namespace stele::mirror
