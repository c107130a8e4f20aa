#include "http/written_target.hpp"

namespace stele::http {

bool lives_among(const Url& written, AddressKind kind) {
  if (written.host() == "localhost") return kind == AddressKind::loopback;
  return is_address_literal(written.host()) && kind_of_address(written.host()) == kind;
}

bool may_reach_from(const Url& written, AddressKind kind) {
  if (kind == AddressKind::cloud_metadata) return false;
  return kind == AddressKind::global || lives_among(written, kind);
}

}  // namespace stele::http
