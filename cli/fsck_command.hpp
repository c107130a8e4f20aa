#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele fsck [--repair] [--last]`: catalog and files held against each other, beside a server that serves.
void add_fsck_command(CLI::App& app, int& exit_status);

}  // namespace stele
