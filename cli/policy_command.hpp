#pragma once

namespace CLI {
class App;
}

namespace stele {

// `stele policy check|test|try|import|explain`. 0: good; 2: the policy or the arguments are not.
void add_policy_command(CLI::App&, int& exit_status);

}  // namespace stele
