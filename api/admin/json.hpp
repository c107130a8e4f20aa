#pragma once
// Internal to api/admin/: bodies in and out.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>

#include "base/digest.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "http/exchange.hpp"
#include "registry/retention.hpp"
#include "registry/usage.hpp"

namespace stele::api {

using Json = nlohmann::ordered_json;

Json time_or_null(const std::optional<Timestamp>&);

http::Response json_response(const Json& body, int status = 200);

// The request's body: an object with no other members than these, all of them texts or lists of texts; absent
// when there is no body. parameter_invalid, body_too_large.
Task<Result<nlohmann::json>> read_json(http::Exchange& http, std::span<const std::string_view> members);

// A text member; empty when it is not there. parameter_invalid when it is something else.
Result<std::string> text_member(const nlohmann::json& object, const char* name);

// The same for what people write and others read again in lists and logs: one line of printable text, of at
// most 500 bytes. parameter_invalid otherwise: nothing that reaches somebody's terminal may steer it.
Result<std::string> line_member(const nlohmann::json& object, const char* name);
// And it must be there.
Result<std::string> required_line(const nlohmann::json& object, const char* name);

// `n=` of a page: 1 to `most`, which is also what an absent one means. parameter_invalid.
Result<std::int64_t> page_size(std::string_view query, std::int64_t most);

// The line "reason" of a body that has no other member; empty when there is none.
Task<Result<std::string>> read_reason(http::Exchange& http);

// Null when there is none.
Json optional_text(const std::optional<Digest>&);
Json text_or_null(std::string_view text);  // none: it is empty

Json lock_json(const catalog::LockRow&);
Json hold_json(const catalog::HoldRow&);
Json usage_json(const catalog::Usage&);

}  // namespace stele::api
