#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele usage [PATTERN]`: what repositories hold, and what a clean-up would free.
void add_usage_command(CLI::App& app, int& exit_status);

}  // namespace stele
