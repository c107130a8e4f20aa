#pragma once
// `stele serve`: one server in one process, from its start to the signal that ends it.

#include <string>

#include "server/config/config.hpp"

namespace stele {

// Serves until SIGTERM or SIGINT; the exit code. Prints where it listens to standard output.
int run_server(const Config& config, const std::string& version);

}  // namespace stele
