#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele mirror warm`: has a list of images fetched into the mirrors before anybody asks for them.
void add_mirror_warm(CLI::App& mirror, int& exit_status);

}  // namespace stele
