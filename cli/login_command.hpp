#pragma once
// `stele login` and `stele logout`.

namespace CLI {
class App;
}

namespace stele {

void add_login_commands(CLI::App& app, int& exit_status);

}  // namespace stele
