#pragma once
// `stele status`: the running server, and the jobs that it does by itself.

namespace CLI {
class App;
}

namespace stele {

// Exit status: 0; 1 when a job's last run failed or writes are refused, or the server does not answer.
void add_status_command(CLI::App& app, int& exit_status);

}  // namespace stele
