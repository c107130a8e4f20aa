#pragma once
// The main listener: the registry's API, administration, the operators' pages, and the address of the client
// behind trusted proxies.

#include <vector>

#include "api/admin/admin_handler.hpp"
#include "api/oci/oci_handler.hpp"
#include "api/operations/operations_handler.hpp"
#include "api/token/token_handler.hpp"
#include "server/config/address.hpp"

namespace stele {

class FrontHandler final : public http::Handler {
 public:
  FrontHandler(api::oci::OciHandler& registry, api::AdminHandler& administration,
               api::OperationsHandler& operations, const std::vector<AddressRange>& proxies,
               api::TokenHandler* tokens)
      : registry_(registry),
        administration_(administration),
        operations_(operations),
        proxies_(proxies),
        tokens_(tokens) {}
  Task<http::Response> handle(http::Exchange& http) override;
  http::Response refuse(int status, std::string_view why) override { return registry_.refuse(status, why); }

 private:
  api::oci::OciHandler& registry_;
  api::AdminHandler& administration_;
  api::OperationsHandler& operations_;
  const std::vector<AddressRange>& proxies_;
  api::TokenHandler* const tokens_;  // null: no tokens are made
};

// The right-most address of X-Forwarded-For that is no trusted proxy, if `peer` is one; otherwise `peer`.
// What is no address ends the search.
std::string client_address(std::string_view peer, std::string_view forwarded_for,
                           const std::vector<AddressRange>& proxies);

}  // namespace stele
