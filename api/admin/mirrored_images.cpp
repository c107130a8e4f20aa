// Images of mirrors as a whole: promoted out of a mirror, fetched into it beforehand.
#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"
#include "mirror/mirrors.hpp"

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

}  // namespace

Result<std::optional<mirror::Place>> AdminHandler::find_mirrored(Promotion& asked) const {
  if (!parts_.mirrors) return std::optional<mirror::Place>();
  const mirror::Names& names = parts_.mirrors->names();
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
  const auto gathered = co_await parts_.mirrors->gather(place, asked.reference, std::move(wanted));
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
