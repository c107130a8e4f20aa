#pragma once
// Conditional requests on content that never changes under its digest (RFC 9110, 13).

#include <string>

#include "base/digest.hpp"
#include "http/message.hpp"

namespace stele::api::oci {

// A strong entity tag: the digest in quotes.
std::string entity_tag(const Digest&);

// Does If-None-Match name the entity (weak comparison)?
bool matches_none(const http::RequestHead&, std::string_view entity_tag);

// May Range be honoured, as far as If-Range says?
bool range_applies(const http::RequestHead&, std::string_view entity_tag);

}  // namespace stele::api::oci
