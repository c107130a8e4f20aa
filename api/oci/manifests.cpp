#include "api/conditional.hpp"
#include "api/oci/oci_handler.hpp"

namespace stele::api::oci {
namespace {

// For a reference that is to be found: one that cannot exist does not exist.
Result<Reference> existing_reference(const Route& route) {
  auto reference = Reference::parse(route.tail);
  if (!reference && reference.error().code() == Errc::tag_invalid) {
    return Error(Errc::manifest_unknown, reference.error().message());
  }
  return reference;
}

}  // namespace

// GET /v2/<name>/manifests/<reference>, and HEAD: the stored bytes and type, whatever Accept says.
OciHandler::Answer OciHandler::get_manifest(http::Exchange& http, const Route& route) {
  const auto reference = existing_reference(route);
  if (!reference) co_return reference.error();
  const Principal& puller = http.identity().principal;
  if (auto may = registry_.may_pull(*route.name, *reference, puller); !may) co_return may.error();
  const Look look = registry_.look_of(puller, http.request().header("User-Agent"));
  std::string warning;
  std::optional<Reference> unbound;
  if (route.mirrored) {
    const bool description = http.request().method == http::Method::head;
    auto known = co_await settings_.mirrors->manifest(*route.mirrored, *reference, description);
    if (!known) co_return known.error();
    if (!known->stored) co_return co_await describe_mirrored_manifest(http, *known);
    warning = known->warning;
    if (!known->bound) unbound.emplace(known->digest);
  }
  const Reference& stored_as = unbound ? *unbound : *reference;
  auto stored = co_await registry_.manifest(*route.name, stored_as, look);
  if (!stored) co_return stored.error();
  const auto conditions = read_conditions(http.request());
  if (!conditions) co_return conditions.error();
  if (auto unmet = conditions->unmet(stored->digest)) co_return *unmet;
  if (look == Look::use) {
    registry_.count_pull(*stored);
    const Tag* const wanted =
        http.request().method == http::Method::head && !route.mirrored ? reference->tag() : nullptr;
    if (wanted && access_.may(http.identity(), {auth::Right::push, "pushing"}, &*route.name))
      registry_.count_push(*route.name, *wanted, *stored);
  }
  const std::string tag = entity_tag(stored->digest);
  http::Response response(matches_none(http.request(), tag) ? 304 : 200);
  response.header("Docker-Content-Digest", stored->digest.str()).header("ETag", tag);
  if (!warning.empty()) response.header("Warning", warning);
  if (response.status() != 200) co_return response;
  if (stored->bytes.size() < http::MemoryBudget::too_small_to_count) {
    response.body(std::move(stored->bytes), stored->media_type);
    co_return response;
  }
  // However many ask for it and read slowly: it is in memory once.
  auto shared = http.memory().share(stored->digest.str(), std::move(stored->bytes));
  if (!shared) {
    co_return Error(Errc::unavailable, std::string(http::MemoryBudget::spent));
  }
  response.shared_body(std::move(shared), stored->media_type);
  co_return response;
}

// PUT /v2/<name>/manifests/<reference>[?tag=…&tag=…]
OciHandler::Answer OciHandler::put_manifest(http::Exchange& http, const Route& route) {
  const auto reference = Reference::parse(route.tail);
  if (!reference) co_return reference.error();
  const http::QueryParameters query(http.request().query);
  std::vector<Tag> tags;
  for (const std::string_view text : query.all("tag")) {
    auto tag = Tag::parse(text);
    if (!tag) co_return tag.error();
    if (!reference->digest()) {
      co_return Error(Errc::parameter_invalid,
                      "?tag= goes with a push by digest; this one is by tag " + reference->str());
    }
    tags.push_back(std::move(*tag));
  }
  constexpr std::size_t max_tags = 100;
  if (tags.size() > max_tags)
    co_return Error(Errc::parameter_invalid, "a push may set at most 100 tags at once");

  const auto conditions = write_conditions(http.request());
  if (!conditions) co_return conditions.error();

  const auto body = co_await http.read_body(settings_.manifest_bytes);
  if (!body) co_return body.error();
  const auto manifest = co_await registry_.parse_manifest(http.request().header("Content-Type"), *body);
  if (!manifest) co_return manifest.error();
  ManifestPush push{*route.name, *reference, tags, *manifest, *body, DigestAlgorithm::sha256, actor(http)};
  push.conditions = &*conditions;
  const auto stored = co_await registry_.put_manifest(std::move(push));
  if (!stored) co_return stored.error();

  http::Response response(201);
  response.header("Location", outside("/v2/" + route.name->str() + "/manifests/" + stored->digest.str()))
      .header("Docker-Content-Digest", stored->digest.str());
  if (stored->subject) response.header("OCI-Subject", stored->subject->str());
  for (const Tag& tag : tags) response.header("OCI-Tag", tag.str());
  co_return response;
}

// DELETE /v2/<name>/manifests/<reference>
OciHandler::Answer OciHandler::delete_manifest(http::Exchange& http, const Route& route) {
  if (!settings_.deletion)
    co_return Error(Errc::deletion_disabled, "deletion is switched off here (delete: off)");
  const auto reference = existing_reference(route);
  if (!reference) co_return reference.error();
  const auto conditions = write_conditions(http.request());
  if (!conditions) co_return conditions.error();
  const auto deleted = co_await registry_.delete_manifest(*route.name, *reference, actor(http), &*conditions);
  if (!deleted) co_return deleted.error();
  co_return http::Response(202);
}

}  // namespace stele::api::oci
