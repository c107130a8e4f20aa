#include <nlohmann/json.hpp>

#include "api/admin/admin_handler.hpp"
#include "api/admin/json.hpp"

namespace stele::api {

// DELETE /api/v1/repositories/<name>
AdminHandler::Answer AdminHandler::delete_repository(http::Exchange& http, const AdminRoute& route) {
  if (!context_.deletion)
    co_return Error(Errc::deletion_disabled, "deletion is switched off here (delete: off)");
  const auto removed = co_await repositories_.remove(*route.name, actor(http));
  if (!removed) co_return removed.error();
  const Json body{{"repository", route.name->str()},
                  {"tags", removed->tags},
                  {"manifests", removed->manifests},
                  {"trash", removed->trash},
                  {"blobs", removed->blobs}};
  co_return json_response(body);
}

}  // namespace stele::api
