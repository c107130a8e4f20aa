#pragma once
// `stele access`: who may do what, and through which rule.

namespace CLI {
class App;
}

namespace stele {

void add_access_command(CLI::App& app, int& exit_status);

}  // namespace stele
