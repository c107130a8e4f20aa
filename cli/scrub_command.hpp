#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele scrub status|start|pause|resume` and `stele quarantine list`: blobs are read again, and what became
// of those whose bytes are wrong.
void add_scrub_commands(CLI::App& app, int& exit_status);

}  // namespace stele
