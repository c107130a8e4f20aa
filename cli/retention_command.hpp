#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele hold set|release|list`, `stele lock list|extend|release`, `stele clock show|confirm`.
void add_retention_commands(CLI::App& app, int& exit_status);

}  // namespace stele
