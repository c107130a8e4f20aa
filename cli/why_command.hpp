#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele why NAME[:TAG|@DIGEST]`: what holds it here, or what took it away.
void add_why_command(CLI::App& app, int& exit_status);

}  // namespace stele
