#pragma once
// `stele backup FILE`: the catalog of a running server, verified.

namespace CLI {
class App;
}

namespace stele {

// Exit status: 0, or 1 when no good copy could be made (then FILE is as it was).
void add_backup_command(CLI::App& app, int& exit_status);

}  // namespace stele
