#pragma once
// Conditional requests (RFC 9110, 13): on content that never changes under its digest, and on names that
// move.

#include <string>

#include "base/digest.hpp"
#include "base/result.hpp"
#include "http/message.hpp"
#include "registry/preconditions.hpp"

namespace stele::api {

// A strong entity tag: the digest in quotes.
std::string entity_tag(const Digest&);

// Does If-None-Match name the entity (weak comparison)?
bool matches_none(const http::RequestHead&, std::string_view entity_tag);

// If-Match, for a read. parameter_invalid: it is neither "*" nor a list of entity tags.
Result<Preconditions> read_conditions(const http::RequestHead&);

// If-Match and If-None-Match, for a write, where a condition that cannot be read must not count as none: the
// same error.
Result<Preconditions> write_conditions(const http::RequestHead&);

// May Range be honoured, as far as If-Range says?
bool range_applies(const http::RequestHead&, std::string_view entity_tag);

}  // namespace stele::api
