#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele tag list|history|at|rollback|promote`.
void add_tag_command(CLI::App& app, int& exit_status);

}  // namespace stele
