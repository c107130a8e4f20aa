#pragma once
// stele lifecycle plan | show | apply | run | runs | approve | dismiss

namespace CLI {
class App;
}

namespace stele {

void add_lifecycle_command(CLI::App& app, int& exit_status);

}  // namespace stele
