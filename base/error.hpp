#pragma once
// What can go wrong in normal life, as a value. Exceptions are for bugs and for a configuration that cannot
// start.

#include <string>
#include <string_view>
#include <vector>

namespace stele {

// The conditions Stele distinguishes. api/error_response.cpp maps each to one status and one error code
// of the distribution specification; nothing else does.
enum class Errc {
  // the request
  name_invalid,
  tag_invalid,
  digest_invalid,
  digest_mismatch,
  parameter_invalid,
  range_invalid,        // a Content-Range that does not continue the upload
  range_unsatisfiable,  // a Range beyond the content
  size_invalid,
  body_too_large,
  body_incomplete,  // the client stopped sending before the announced end
  manifest_invalid,
  manifest_reference_unknown,  // a manifest names a blob or child that its repository does not have
  // the registry
  name_unknown,
  manifest_unknown,
  blob_unknown,
  upload_unknown,
  upload_busy,
  blob_in_use,
  not_found,
  // rights and rules
  unauthorized,
  forbidden,
  refused_by_policy,
  deletion_disabled,
  method_not_allowed,
  too_many_requests,
  // the machine
  no_space,
  read_only,  // the store latched itself after a failed fsync
  io,
  corrupt,  // stored bytes are not what their digest or checksum says
  unavailable,
  internal,
};

// The condition's identifier, e.g. "blob_unknown": for logs and metrics, stable.
std::string_view to_string(Errc);

// A value; cheap to move. The message is a sentence for the person who reads the client's output.
class Error {
 public:
  Error() : Error(Errc::internal, "unknown error") {}  // what boost::system::result needs
  Error(Errc code, std::string message) : code_(code), message_(std::move(message)) {}

  Errc code() const { return code_; }
  const std::string& message() const { return message_; }

  // The message in a few words of ASCII, for who is shown nothing longer. Empty: the condition says it all.
  const std::string& brief() const { return brief_; }
  Error&& in_brief(std::string brief) && {
    brief_ = std::move(brief);
    return std::move(*this);
  }

  // Members of the `detail` object in the answer, in order.
  struct Detail {
    std::string key;
    std::string value;
  };
  const std::vector<Detail>& details() const { return details_; }
  Error&& with(std::string key, std::string value) && {
    details_.push_back({std::move(key), std::move(value)});
    return std::move(*this);
  }

 private:
  Errc code_;
  std::string message_;
  std::string brief_;
  std::vector<Detail> details_;
};

}  // namespace stele
