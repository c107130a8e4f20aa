#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele token …`
void add_token_commands(CLI::App& app, int& exit_status);

}  // namespace stele
