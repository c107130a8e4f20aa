#include "auth/identify.hpp"

namespace stele::auth {

Principal identify(const http::Exchange& http) {
#ifdef STELE_TEST_IDENTITY
  if (const auto name = http.request().header("X-Stele-Test-Identity"); !name.empty())
    return Principal(std::string(name));
#endif
  return identify(http.peer());
}

Principal identify(const http::Peer& peer) {
  if (peer.uid) return Principal("local:" + std::to_string(*peer.uid));
  if (!peer.certificate.empty()) return Principal("cert:" + peer.certificate);
  return Principal::anonymous();
}

}  // namespace stele::auth
