#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele gc status|pause|resume`: the online collector of a running server.
void add_gc_command(CLI::App& app, int& exit_status);

}  // namespace stele
