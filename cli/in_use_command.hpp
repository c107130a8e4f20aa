#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele in-use report|list|show|remove`: what clusters run, and what is therefore never removed.
void add_in_use_command(CLI::App& app, int& exit_status);

}  // namespace stele
