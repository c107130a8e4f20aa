#include "auth/issuer_discovery.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "auth/json_web_keys.hpp"
#include "base/printable.hpp"
#include "base/strict_json.hpp"
#include "http/written_target.hpp"

namespace stele::auth {
namespace {

constexpr std::chrono::milliseconds connect_within(3'000);
constexpr std::chrono::milliseconds head_within(5'000);
constexpr std::chrono::milliseconds body_window(5'000);
constexpr std::chrono::milliseconds all_within(15'000);  // both documents, with their redirects
constexpr unsigned redirects = 3;
constexpr std::uint64_t longest_document = 256 * 1024;

Error failed(const IssuerPlace& place, const std::string& why) {
  return Error(Errc::unavailable, "the keys of " + place.issuer + " cannot be had: " + why);
}

using Deadline = std::chrono::steady_clock::time_point;

http::FetchRequest request_for(const IssuerPlace& place, http::Url target, Deadline until) {
  http::FetchRequest request(std::move(target));
  request.fields.emplace_back("User-Agent", "stele");
  request.fields.emplace_back("Accept", "application/json");
  request.trusted = request.url.same_origin(place.url);
  request.ca_file = place.ca;
  request.proxy = place.proxy;
  request.limits.connect = connect_within;
  request.limits.head = head_within;
  request.limits.window = body_window;
  request.limits.until = until;
  request.limits.redirects = redirects;
  request.may_follow = [](const http::Url&, const http::Url&) -> Result<void> { return {}; };
  request.may_connect = [written = place.url](const http::Url& hop, std::string_view address) {
    return hop.same_origin(written) || http::may_reach_from(written, http::kind_of_address(address));
  };
  return request;
}

Task<Result<std::string>> get(http::Fetcher& fetcher, const IssuerPlace& place, http::Url target,
                              std::uint64_t most, Deadline until) {
  const std::string origin = target.origin();
  http::FetchRequest request = request_for(place, std::move(target), until);
  auto fetched = co_await fetcher.fetch(std::move(request));
  if (!fetched) co_return failed(place, fetched.error().message());
  if (fetched->status() != 200)
    co_return failed(place, origin + " answers " + std::to_string(fetched->status()));
  auto body = co_await fetched->read_all(most);
  if (!body) co_return failed(place, body.error().message());
  co_return std::move(*body);
}

// Where its configuration says that its keys are.
Result<http::Url> keys_of(const IssuerPlace& place, const std::string& document) {
  const auto parsed = parse_strict_json(document, "its configuration");
  if (!parsed) return failed(place, parsed.error().message());
  const auto text_of = [&](const char* name) {
    const auto member = parsed->is_object() ? parsed->find(name) : parsed->end();
    return parsed->is_object() && member != parsed->end() && member->is_string() ? member->get<std::string>()
                                                                                 : std::string();
  };
  if (text_of("issuer") != place.issuer)
    return failed(place, "its configuration is that of the issuer " + in_quotes(text_of("issuer")));
  auto url = http::Url::parse(text_of("jwks_uri"));
  if (!url) return failed(place, "its configuration names no http or https URL of keys (jwks_uri)");
  if (place.url.secure() && !url->secure()) return failed(place, "https is never left for http");
  return std::move(*url);
}

}  // namespace

Task<Result<std::string>> fetch_issuer_keys(http::Fetcher& fetcher, IssuerPlace place) {
  const Deadline until = std::chrono::steady_clock::now() + all_within;
  std::string path = place.url.path();
  while (path.ends_with('/')) path.pop_back();
  http::Url configuration = place.url.at(path + "/.well-known/openid-configuration");
  const auto document = co_await get(fetcher, place, std::move(configuration), longest_document, until);
  if (!document) co_return document.error();
  auto keys = keys_of(place, *document);
  if (!keys) co_return keys.error();
  co_return co_await get(fetcher, place, std::move(*keys), JsonWebKeys::max_bytes, until);
}

}  // namespace stele::auth
