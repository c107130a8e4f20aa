#include "api/error_response.hpp"

#include <nlohmann/json.hpp>

#include "mirror/bad_upstream.hpp"
#include "registry/preconditions.hpp"

namespace stele::api {
namespace {

constexpr const char* usual_wait = "5";  // seconds

http::Response answer(int status, std::string_view code, std::string_view message,
                      nlohmann::ordered_json detail, const std::string& retry_after) {
  nlohmann::ordered_json entry{{"code", code}, {"message", message}};
  if (!detail.is_null()) entry["detail"] = std::move(detail);
  const nlohmann::ordered_json body{{"errors", nlohmann::ordered_json::array({entry})}};
  http::Response response(status);
  // Messages quote what the client sent: bytes that are not UTF-8 are replaced rather than thrown at.
  response.body(body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace),
                "application/json");
  if (status == 429 || status == 503) response.header("Retry-After", retry_after);
  return response;
}

}  // namespace

ErrorForm form_of(Errc code) {
  switch (code) {
    case Errc::name_invalid:
      return {400, "NAME_INVALID"};
    case Errc::tag_invalid:
      return {400, "MANIFEST_INVALID"};
    case Errc::digest_invalid:
      return {400, "DIGEST_INVALID"};
    case Errc::digest_mismatch:
      return {400, "DIGEST_INVALID"};
    case Errc::parameter_invalid:
      return {400, "UNSUPPORTED"};
    case Errc::range_invalid:
      return {416, "BLOB_UPLOAD_INVALID"};
    case Errc::range_unsatisfiable:
      return {416, "SIZE_INVALID"};
    case Errc::size_invalid:
      return {400, "SIZE_INVALID"};
    case Errc::body_too_large:
      return {413, "SIZE_INVALID"};
    case Errc::body_incomplete:
      return {400, "BLOB_UPLOAD_INVALID"};
    case Errc::manifest_invalid:
      return {400, "MANIFEST_INVALID"};
    case Errc::manifest_reference_unknown:
      return {400, "MANIFEST_BLOB_UNKNOWN"};
    case Errc::name_unknown:
      return {404, "NAME_UNKNOWN"};
    case Errc::manifest_unknown:
      return {404, "MANIFEST_UNKNOWN"};
    case Errc::blob_unknown:
      return {404, "BLOB_UNKNOWN"};
    case Errc::upload_unknown:
      return {404, "BLOB_UPLOAD_UNKNOWN"};
    case Errc::upload_busy:
      return {409, "BLOB_UPLOAD_INVALID"};
    case Errc::blob_in_use:
      return {409, "DENIED"};
    case Errc::not_found:
      return {404, "UNSUPPORTED"};
    case Errc::unauthorized:
      return {401, "UNAUTHORIZED"};
    case Errc::forbidden:
      return {403, "DENIED"};
    case Errc::refused_by_policy:
      return {409, "DENIED"};
    case Errc::deletion_disabled:
      return {405, "UNSUPPORTED"};
    case Errc::method_not_allowed:
      return {405, "UNSUPPORTED"};
    case Errc::too_many_requests:
      return {429, "TOOMANYREQUESTS"};
    case Errc::no_space:
      return {507, "UNAVAILABLE"};
    case Errc::read_only:
      return {503, "UNAVAILABLE"};
    case Errc::io:
      return {503, "UNAVAILABLE"};
    case Errc::corrupt:
      return {500, "UNKNOWN"};
    case Errc::unavailable:
      return {503, "UNAVAILABLE"};
    case Errc::internal:
      return {500, "UNKNOWN"};
  }
  return {500, "UNKNOWN"};
}

bool is_store_failure(Errc code) {
  return code == Errc::no_space || code == Errc::io || code == Errc::corrupt || code == Errc::read_only;
}

http::Response error_response(const Error& error) {
  // The client's own condition refuses, not a rule (RFC 9110, 15.5.13).
  const ErrorForm form = is_unmet_precondition(error) ? ErrorForm{412, "DENIED"} : form_of(error.code());
  nlohmann::ordered_json detail;
  std::string retry_after = usual_wait;
  for (const Error::Detail& member : error.details()) {
    detail[member.key] = member.value;
    if (member.key == "retry_after") retry_after = member.value;
  }
  // What a mirror's upstream did wrong (mirror/bad_upstream.hpp) is no failure of this server.
  const int status = mirror::is_bad_upstream(error) ? 502 : form.status;
  http::Response response = answer(status, form.code, error.message(), std::move(detail), retry_after);
  // Some clients show the status line instead of the message.
  if (!error.brief().empty())
    response.reason(std::string(http::reason_phrase(status)) + ": " + error.brief());
  return response;
}

http::Response error_response(int status, std::string_view message) {
  const std::string_view code = status == 429   ? "TOOMANYREQUESTS"
                                : status == 503 ? "UNAVAILABLE"
                                : status >= 500 ? "UNKNOWN"
                                                : "UNSUPPORTED";
  return answer(status, code, message, nullptr, usual_wait);
}

}  // namespace stele::api
