#pragma once
// `stele user`: local users, and the first administrator of a new registry.

namespace CLI {
class App;
}

namespace stele {

void add_user_command(CLI::App& app, int& exit_status);

}  // namespace stele
