#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele trash list|restore|erase`: what lifecycle removed and has not erased yet.
void add_trash_command(CLI::App& app, int& exit_status);

}  // namespace stele
