// What is asked of a mirror: which one a request means, and the answers that an upstream's content gets while
// it is not, or not yet, this registry's own.
#include <set>
#include <utility>

#include "api/conditional.hpp"
#include "api/oci/oci_handler.hpp"
#include "base/media_type.hpp"
#include "http/range.hpp"

namespace stele::api::oci {
namespace {

bool is_push(Endpoint endpoint, http::Method method) {
  return endpoint == Endpoint::uploads || endpoint == Endpoint::upload || method == http::Method::put ||
         method == http::Method::post || method == http::Method::patch;
}

bool reads(http::Method method) {
  return method == http::Method::get || method == http::Method::head;
}

// Of a repository that a request names, as far as the request and the configuration say. Empty: it names
// none.
Result<std::optional<mirror::Place>> named_place(const mirror::Names& names, const http::RequestHead& request,
                                                 const RepositoryName& name,
                                                 std::optional<std::size_t> in_path) {
  const http::QueryParameters query(request.query);
  std::optional<std::string_view> ns = query.first("ns");
  // containerd names the registry that it takes for the upstream, which may be this one.
  if (ns && mirror::canonical_registry(*ns) == mirror::canonical_registry(request.header("Host"))) ns.reset();
  return names.place(name, in_path, ns);
}

}  // namespace

MirroredNames names_of(mirror::Mirrors& mirrors) {
  MirroredNames names;
  names.path = [&mirrors](std::string_view path) {
    std::optional<std::size_t> in_path;
    return path.substr(mirrors.names().path_prefix(path, in_path));
  };
  names.repositories = [&mirrors](const http::RequestHead& request) {
    std::vector<RepositoryName> here;
    std::optional<std::size_t> in_path;
    const std::string_view path = request.path;
    const auto route = parse_route(path.substr(mirrors.names().path_prefix(path, in_path)));
    if (!route || !route->name) return here;
    const auto named = named_place(mirrors.names(), request, *route->name, in_path);
    if (named && *named) return std::vector{(*named)->stored};
    here.push_back(*route->name);
    const auto by_default = mirrors.names().default_place(*route->name);
    if (named && by_default && reads(request.method)) here.push_back(by_default->stored);
    return here;
  };
  return names;
}

Result<void> OciHandler::find_mirror(const http::Exchange& http, std::optional<std::size_t> in_path,
                                     Route& route) const {
  if (!route.name) return {};
  const http::RequestHead& request = http.request();
  auto place = named_place(settings_.mirrors->names(), request, *route.name, in_path);
  if (!place) return place.error();
  if (!*place) return {};
  if (is_push(route.endpoint, request.method)) {
    return Error(Errc::method_not_allowed,
                 (*place)->stored.str() + " is a mirror's: its content comes from upstream alone. Push it " +
                     "under a name of your own");
  }
  route.name = (*place)->stored;
  route.mirrored = std::move(**place);
  return {};
}

// The catalog says which of the two is meant, and is asked only for who may do it with one of them: the
// others are told the same whether this registry has the name or not.
Result<void> OciHandler::may_read_by_default(const http::Exchange& http, const GuardedOciRoute& row,
                                             mirror::Place place, Route& route) const {
  auto own = may_ask(access_, http, row, route.name);
  auto there = may_ask(access_, http, row, place.stored);
  if (!own && !there) {
    // A token that lacks what its owner may do: 401, so that the client gets another one.
    if (own.error().code() != Errc::unauthorized && there.error().code() == Errc::unauthorized) return there;
    return own;
  }
  const auto ours = settings_.mirrors->is_ours(*route.name);
  if (!ours) return ours.error();
  if (*ours) return own;
  route.name = place.stored;
  route.mirrored = std::move(place);
  return there;
}

Result<void> OciHandler::may(http::Exchange& http, const GuardedOciRoute& row, Route& route) const {
  if (settings_.mirrors && route.name && !route.mirrored && reads(http.request().method)) {
    if (auto place = settings_.mirrors->names().default_place(*route.name)) {
      auto allowed = may_read_by_default(http, row, std::move(*place), route);
      http.note.repository = route.name->str();
      return allowed;
    }
  }
  return may_ask(access_, http, row, route.name);
}

// HEAD of a manifest that nobody has fetched yet: what upstream's HEAD said.
OciHandler::Answer OciHandler::describe_mirrored_manifest(http::Exchange& http,
                                                          const mirror::KnownManifest& known) {
  const std::string tag = entity_tag(known.digest);
  http::Response response(matches_none(http.request(), tag) ? 304 : 200);
  response.header("Docker-Content-Digest", known.digest.str()).header("ETag", tag);
  if (!known.warning.empty()) response.header("Warning", known.warning);
  if (response.status() == 200) {
    response.header("Content-Type", known.media_type);
    http::FileSlice counted;
    counted.length = known.size;
    response.add_segment(http::Segment{{}, std::move(counted)});
  }
  co_return response;
}

// GET of a blob that is not here: streamed while it is fetched. Several ranges are answered with the whole.
OciHandler::Answer OciHandler::get_arriving_blob(http::Exchange& http, const Route& route,
                                                 const Digest& digest) {
  const std::string tag = entity_tag(digest);
  auto file = co_await settings_.mirrors->blob(*route.mirrored, digest);
  if (!file) co_return file.error();
  if (matches_none(http.request(), tag)) {
    http::Response unchanged(304);
    unchanged.header("Docker-Content-Digest", digest.str()).header("ETag", tag);
    co_return unchanged;
  }
  const std::optional<std::uint64_t> length = (*file)->length();
  std::optional<http::ByteRange> wanted;
  const std::string range = http.request().joined_header("Range");
  if (length && !range.empty() && range_applies(http.request(), tag)) {
    const auto parsed = http::parse_range(range, *length);
    if (!parsed) {
      http::Response response = refusal(http, parsed.error());
      response.header("Content-Range", "bytes */" + std::to_string(*length));
      co_return response;
    }
    if (parsed->size() == 1) wanted = parsed->front();
  }
  http::Response response(wanted ? 206 : 200);
  response.header("Docker-Content-Digest", digest.str())
      .header("ETag", tag)
      .header("Accept-Ranges", "bytes")
      .header("Content-Type", "application/octet-stream");
  http::Segment segment;
  if (wanted) {
    response.header("Content-Range", http::content_range(*wanted, *length));
    segment.arriving = (*file)->read(wanted->first, wanted->length());
    segment.arriving_length = wanted->length();
  } else {
    segment.arriving = (*file)->read(0, length);
    segment.arriving_length = length;
  }
  response.add_segment(std::move(segment));
  co_return response;
}

// Upstream's tags and those that are here, in byte order.
OciHandler::Answer OciHandler::list_mirrored_tags(http::Exchange&, const Route& route, std::int64_t limit,
                                                  std::string last) {
  auto theirs = co_await settings_.mirrors->tags(*route.mirrored);
  constexpr std::int64_t most_of_ours = 10'000;
  const auto ours = co_await registry_.tags(*route.name, "", most_of_ours);
  if (!theirs && !ours) {
    if (theirs.error().code() != Errc::not_found) co_return theirs.error();
    co_return Error(Errc::name_unknown, route.name->str() + " does not exist upstream");
  }
  std::set<std::string> tags;
  if (ours) tags.insert(ours->names.begin(), ours->names.end());
  if (theirs) {
    for (const auto& entry : theirs->entries) tags.insert(entry.text);
  }
  std::string listed;
  std::string last_listed;
  auto next = last.empty() ? tags.begin() : tags.upper_bound(last);
  for (std::int64_t count = 0; count < limit && next != tags.end(); ++count, ++next) {
    listed += (listed.empty() ? "\"" : ",\"") + *next + "\"";
    last_listed = *next;
  }
  http::Response response(200);
  if (next != tags.end() && !last_listed.empty()) {
    link_next(response, "/v2/" + route.name->str() + "/tags/list?n=" + std::to_string(limit) +
                            "&last=" + http::percent_encode(last_listed));
  }
  if (!theirs) response.header("Warning", mirror::Mirrors::stale_warning(theirs.error()));
  if (theirs && !theirs->warning.empty()) response.header("Warning", theirs->warning);
  response.body("{\"name\":\"" + route.name->str() + "\",\"tags\":[" + listed + "]}", "application/json");
  co_return response;
}

// Never an empty list while upstream cannot be asked: signed images would look unsigned.
OciHandler::Answer OciHandler::list_mirrored_referrers(http::Exchange&, const Route& route,
                                                       const Digest& subject,
                                                       std::optional<std::string> type) {
  std::vector<std::string> descriptors;
  std::string warning;
  const auto theirs = co_await settings_.mirrors->referrers(*route.mirrored, subject);
  if (theirs) {
    warning = theirs->warning;
    for (const auto& entry : theirs->entries) {
      if (!type || entry.artifact_type == *type) descriptors.push_back(entry.text);
    }
  } else {
    auto ours = co_await registry_.referrers(*route.name, subject, type, 0);
    if (!ours) co_return ours.error();
    if (ours->descriptors.empty()) co_return theirs.error();
    descriptors = std::move(ours->descriptors);
    warning = mirror::Mirrors::stale_warning(theirs.error());
  }
  http::Response response(200);
  if (type) response.header("OCI-Filters-Applied", "artifactType");
  if (!warning.empty()) response.header("Warning", warning);
  std::string body =
      R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) + R"(","manifests":[)";
  bool first = true;
  for (const std::string& descriptor : descriptors) {
    if (!std::exchange(first, false)) body += ',';
    body += descriptor;
  }
  response.body(body + "]}", media_type::oci_index);
  co_return response;
}

}  // namespace stele::api::oci
