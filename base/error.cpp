#include "base/error.hpp"

namespace stele {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::name_invalid:
      return "name_invalid";
    case Errc::tag_invalid:
      return "tag_invalid";
    case Errc::digest_invalid:
      return "digest_invalid";
    case Errc::digest_mismatch:
      return "digest_mismatch";
    case Errc::parameter_invalid:
      return "parameter_invalid";
    case Errc::range_invalid:
      return "range_invalid";
    case Errc::range_unsatisfiable:
      return "range_unsatisfiable";
    case Errc::size_invalid:
      return "size_invalid";
    case Errc::body_too_large:
      return "body_too_large";
    case Errc::body_incomplete:
      return "body_incomplete";
    case Errc::manifest_invalid:
      return "manifest_invalid";
    case Errc::manifest_reference_unknown:
      return "manifest_reference_unknown";
    case Errc::name_unknown:
      return "name_unknown";
    case Errc::manifest_unknown:
      return "manifest_unknown";
    case Errc::blob_unknown:
      return "blob_unknown";
    case Errc::upload_unknown:
      return "upload_unknown";
    case Errc::upload_busy:
      return "upload_busy";
    case Errc::blob_in_use:
      return "blob_in_use";
    case Errc::not_found:
      return "not_found";
    case Errc::unauthorized:
      return "unauthorized";
    case Errc::forbidden:
      return "forbidden";
    case Errc::refused_by_policy:
      return "refused_by_policy";
    case Errc::deletion_disabled:
      return "deletion_disabled";
    case Errc::method_not_allowed:
      return "method_not_allowed";
    case Errc::too_many_requests:
      return "too_many_requests";
    case Errc::no_space:
      return "no_space";
    case Errc::read_only:
      return "read_only";
    case Errc::io:
      return "io";
    case Errc::corrupt:
      return "corrupt";
    case Errc::unavailable:
      return "unavailable";
    case Errc::internal:
      return "internal";
  }
  return "internal";
}

}  // namespace stele
