#include "registry/preconditions.hpp"

#include <algorithm>
#include <string_view>

#include "storage/catalog/catalog.hpp"

namespace stele {
namespace {

constexpr std::string_view reason = "PRECONDITION_FAILED";

Error failed(const char* field, const std::optional<Digest>& present) {
  const std::string state = present ? "it is " + present->str() : std::string("there is none");
  Error error =
      Error(Errc::refused_by_policy, std::string("the condition in ") + field + " does not hold: " + state +
                                         "; look at the present manifest and decide again")
          .with("reason", std::string(reason));
  if (!present) return error;
  return Error(error).with("existing", present->str());
}

}  // namespace

bool EntityCondition::matches(const std::optional<Digest>& present) const {
  if (!present) return false;
  return any || std::find(digests.begin(), digests.end(), present->str()) != digests.end();
}

std::optional<Error> Preconditions::unmet(const std::optional<Digest>& present) const {
  if (if_match && !if_match->matches(present)) return failed("If-Match", present);
  if (if_none_match && if_none_match->matches(present)) return failed("If-None-Match", present);
  return std::nullopt;
}

Result<std::optional<Digest>> present_digest(sql::Session& session, const RepositoryName& repository,
                                             const Reference& reference) {
  const auto id = catalog::find_repository(session, repository);
  if (!id) return std::optional<Digest>();
  if (const Tag* const tag = reference.tag()) {
    const auto bound = catalog::find_tag(session, *id, repository, *tag);
    if (!bound) return bound.error();
    if (!*bound) return std::optional<Digest>();
    return std::optional<Digest>((*bound)->digest);
  }
  if (!catalog::find_manifest(session, *id, *reference.digest())) return std::optional<Digest>();
  return std::optional<Digest>(*reference.digest());
}

bool is_unmet_precondition(const Error& error) {
  return std::any_of(error.details().begin(), error.details().end(), [](const Error::Detail& member) {
    return member.key == "reason" && member.value == reason;
  });
}

}  // namespace stele
