#include <charconv>

#include "api/oci/oci_handler.hpp"
#include "api/page_size.hpp"
#include "base/media_type.hpp"
#include "base/printable.hpp"
#include "http/uri.hpp"

namespace stele::api::oci {
namespace {

constexpr std::int64_t most_names = 10'000;    // of one page, whatever `n` says
constexpr std::int64_t catalog_names = 1'000;  // of the catalog when no `n` is given

// Names and tags consist of characters that JSON needs no escapes for.
std::string json_list(const std::vector<std::string>& names) {
  std::string text = "[";
  for (const std::string& name : names) {
    if (text.size() > 1) text += ',';
    text += '"';
    text += name;
    text += '"';
  }
  return text + ']';
}

}  // namespace

void OciHandler::link_next(http::Response& response, const std::string& target) const {
  response.header("Link", "<" + outside(target) + ">; rel=\"next\"");
}

// GET /v2/
OciHandler::Answer OciHandler::version(http::Exchange&, const Route&) {
  http::Response response(200);
  response.body("{}", "application/json");
  co_return response;
}

// GET /v2/_catalog
OciHandler::Answer OciHandler::list_repositories(http::Exchange& http, const Route&) {
  const http::QueryParameters query(http.request().query);
  const auto size = entries_asked(query, most_names);
  if (!size) co_return size.error();
  const std::int64_t limit = size->value_or(catalog_names);
  auto last = positions_.open(query.first("last").value_or(""));
  if (!last) co_return last.error();
  Sees sees;
  const auth::Sight sight = access_.sight_of(http.identity(), {auth::Right::pull});
  if (!sight.everything()) sees = [&sight](std::string_view name) { return sight.has(name); };
  const auto page = co_await registry_.repositories(std::move(*last), limit, std::move(sees));
  if (!page) co_return page.error();
  http::Response response(200);
  if (page->more && !page->next.empty()) {
    const bool shown = !page->names.empty() && page->names.back() == page->next;
    link_next(response, "/v2/_catalog?n=" + std::to_string(limit) + "&last=" +
                            http::percent_encode(shown ? page->next : positions_.seal(page->next)));
  }
  response.body("{\"repositories\":" + json_list(page->names) + "}", "application/json");
  co_return response;
}

// GET /v2/<name>/tags/list
OciHandler::Answer OciHandler::list_tags(http::Exchange& http, const Route& route) {
  const http::QueryParameters query(http.request().query);
  const auto size = entries_asked(query, most_names);
  if (!size) co_return size.error();
  const std::string last(query.first("last").value_or(""));
  const std::int64_t limit = size->value_or(most_names);
  if (route.mirrored) co_return co_await list_mirrored_tags(http, route, limit, last);
  const auto page = co_await registry_.tags(*route.name, last, limit);
  if (!page) co_return page.error();
  http::Response response(200);
  if (page->more && !page->names.empty()) {
    link_next(response, "/v2/" + route.name->str() + "/tags/list?n=" + std::to_string(limit) +
                            "&last=" + http::percent_encode(page->names.back()));
  }
  response.body("{\"name\":\"" + route.name->str() + "\",\"tags\":" + json_list(page->names) + "}",
                "application/json");
  co_return response;
}

// GET /v2/<name>/referrers/<digest>[?artifactType=…]
OciHandler::Answer OciHandler::list_referrers(http::Exchange& http, const Route& route) {
  const auto digest = Digest::parse(route.tail);
  if (!digest) co_return digest.error();
  const http::QueryParameters query(http.request().query);
  std::optional<std::string> artifact_type;
  if (const auto wanted = query.first("artifactType"); wanted && !wanted->empty())
    artifact_type = std::string(*wanted);
  std::int64_t after = 0;
  if (const auto text = query.first("after")) {
    const auto parsed = std::from_chars(text->data(), text->data() + text->size(), after);
    if (parsed.ec != std::errc() || parsed.ptr != text->data() + text->size() || after < 0) {
      co_return Error(Errc::parameter_invalid, "after= is not a position that a Link of this server named");
    }
  }
  if (route.mirrored && after == 0)
    co_return co_await list_mirrored_referrers(http, route, *digest, artifact_type);
  const auto page = co_await registry_.referrers(*route.name, *digest, artifact_type, after);
  if (!page) co_return page.error();

  http::Response response(200);
  if (artifact_type) response.header("OCI-Filters-Applied", "artifactType");
  if (page->next != 0) {
    std::string target =
        "/v2/" + route.name->str() + "/referrers/" + digest->str() + "?after=" + std::to_string(page->next);
    if (artifact_type) target += "&artifactType=" + http::percent_encode(*artifact_type);
    link_next(response, target);
  }
  std::string body =
      R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) + R"(","manifests":[)";
  for (std::size_t i = 0; i < page->descriptors.size(); ++i) {
    if (i > 0) body += ',';
    body += page->descriptors[i];
  }
  body += "]}";
  response.body(std::move(body), media_type::oci_index);
  co_return response;
}

// GET /v2/_oci/ext/discover
OciHandler::Answer OciHandler::discover(http::Exchange&, const Route&) {
  http::Response response(200);
  response.body(
      R"({"extensions":[{"name":"_oci","description":"what this registry offers beyond the specification","url":"https://github.com/opencontainers/distribution-spec/tree/main/extensions","endpoints":["_oci/ext/discover"]}]})",
      "application/json");
  co_return response;
}

}  // namespace stele::api::oci
