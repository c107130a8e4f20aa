#include "auth/identify.hpp"

namespace stele::auth {

Principal identify(const http::Peer& peer) {
  if (peer.uid) return Principal("local:" + std::to_string(*peer.uid));
  if (!peer.certificate.empty()) return Principal("cert:" + peer.certificate);
  return Principal::anonymous();
}

}  // namespace stele::auth
