#include "api/hold_details.hpp"

#include <algorithm>

namespace stele::api {

bool tells_of_hold(const Error& error) {
  const auto& details = error.details();
  return std::any_of(details.begin(), details.end(), [](const Error::Detail& member) {
    return member.key == "reason" && member.value == "HELD";
  });
}

Error without_hold_details(const Error& error) {
  return Error(error.code(),
               "it is under a legal hold and can go when that is released; who may see holds can tell more "
               "(stele hold list)")
      .in_brief("under a legal hold")
      .with("reason", "HELD");
}

Error for_the_eyes_of(const Identity& identity, const auth::Access& access, const Error& error,
                      std::string_view repository) {
  if (!tells_of_hold(error)) return error;
  const auto name = RepositoryName::parse(repository);
  if (access.may(identity, seeing_holds, name ? &*name : nullptr)) return error;
  return without_hold_details(error);
}

}  // namespace stele::api
