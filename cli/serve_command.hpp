#pragma once
// `stele serve`.

#include <string>

namespace CLI {
class App;
}

namespace stele {

// `exit_status` must outlive the parse: 0 after a stop in good order, 1 when the server cannot start, 2 for a
// configuration that is not valid.
void add_serve_command(CLI::App& app, const std::string& version, int& exit_status);

}  // namespace stele
