// Images of mirrors as a whole: promoted out of a mirror, fetched into it beforehand.
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "base/printable.hpp"
#include "mirror/mirrors.hpp"
#include "mirror/platform.hpp"

namespace stele::api {
namespace {

Json gathered_json(const mirror::Gathered& gathered) {
  return Json{{"upstream", gathered.upstream},
              {"manifests", gathered.manifests},
              {"blobs", gathered.blobs},
              {"fetched_manifests", gathered.fetched_manifests},
              {"fetched_blobs", gathered.fetched_blobs},
              {"fetched_bytes", gathered.fetched_bytes},
              {"warnings", gathered.warnings}};
}

Result<mirror::Wanted> wanted_of(const nlohmann::json& body) {
  constexpr std::size_t most_platforms = 20;
  mirror::Wanted wanted;
  if (const auto platforms = body.find("platforms"); platforms != body.end() && !platforms->is_null()) {
    Error wrong(Errc::parameter_invalid, "platforms must be a list of at most 20 texts such as linux/amd64");
    if (!platforms->is_array() || platforms->size() > most_platforms) return wrong;
    for (const auto& platform : *platforms) {
      if (!platform.is_string()) return wrong;
      if (auto fits = mirror::check_platform(platform.get_ref<const std::string&>()); !fits)
        return fits.error();
      wanted.platforms.push_back(platform.get<std::string>());
    }
  }
  const auto referrers = text_member(body, "referrers");
  if (!referrers) return referrers.error();
  if (!referrers->empty() && *referrers != "fetch" && *referrers != "leave")
    return Error(Errc::parameter_invalid, "referrers must be fetch or leave, not " + in_quotes(*referrers));
  wanted.referrers = *referrers == "fetch";
  return wanted;
}

}  // namespace

// POST /api/v1/mirrors/fetches
AdminHandler::Answer AdminHandler::fetch_image(http::Exchange& http, const AdminRoute&) {
  static constexpr std::string_view members[] = {"repository", "reference", "platforms", "referrers"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  const auto name = text_member(*body, "repository");
  if (!name) co_return name.error();
  const auto repository = RepositoryName::parse(*name);
  if (!repository) co_return Error(Errc::parameter_invalid, "repository: " + repository.error().message());
  const auto text = text_member(*body, "reference");
  if (!text) co_return text.error();
  auto reference = Reference::parse(*text);
  if (!reference) co_return Error(Errc::parameter_invalid, "reference: " + reference.error().message());
  auto wanted = wanted_of(*body);
  if (!wanted) co_return wanted.error();
  std::optional<mirror::Place> place;
  if (context_.mirrors) {
    auto found = context_.mirrors->place(*repository, std::nullopt, std::nullopt);
    if (!found) co_return found.error();
    place = std::move(*found);
  }
  if (!place) {
    co_return Error(Errc::name_unknown, "no mirror is meant by " + repository->str() +
                                            "; name it as clients do, as in docker.io/library/python");
  }
  http.note.repository = place->stored.str();
  http.note.reference = reference->str();
  const auto gathered = co_await context_.mirrors->gather(*place, *reference, std::move(*wanted));
  if (!gathered) co_return gathered.error();
  const Json answer{{"repository", place->stored.str()},
                    {"reference", reference->str()},
                    {"digest", gathered->digest.str()},
                    {"mirrored", gathered_json(*gathered)}};
  co_return json_response(answer);
}

Result<std::optional<mirror::Place>> AdminHandler::find_mirrored(Promotion& asked) const {
  if (!context_.mirrors) return std::optional<mirror::Place>();
  const mirror::Names& names = context_.mirrors->names();
  if (names.is_mirrored(asked.to)) {
    return Error(Errc::method_not_allowed,
                 asked.to.str() + " is a mirror's: its content comes from upstream alone. Promote to a " +
                     "repository of your own (to)");
  }
  auto place = names.place(asked.from, std::nullopt, std::nullopt);
  if (place && *place) asked.from = (*place)->stored;
  return place;
}

Task<Result<Json>> AdminHandler::gather_source(const mirror::Place& place, bool offline,
                                               Promotion& asked) const {
  mirror::Wanted wanted;
  wanted.referrers = true;
  wanted.offline = offline;
  const auto gathered = co_await context_.mirrors->gather(place, asked.reference, std::move(wanted));
  if (!gathered) co_return gathered.error();
  // As local promotions have it, with the tag and the registry that it was upstream's.
  asked.origin = asked.from.str();
  if (const Tag* const tag = asked.reference.tag()) {
    asked.origin += ":" + tag->str();
    if (asked.tags.empty()) asked.tags.push_back(*tag);
  }
  asked.origin += "@" + gathered->digest.str() + " of " + gathered->upstream;
  asked.reference = Reference(gathered->digest);
  co_return gathered_json(*gathered);
}

}  // namespace stele::api
