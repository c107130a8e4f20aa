#include "cli/sweep_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "http/local_client.hpp"

namespace stele {

void add_sweep_command(CLI::App& app, int& exit_status) {
  CLI::App* command = app.add_subcommand("sweep", "Remove files that a crash left without a catalog row");
  struct Options {
    std::string data = "./data";
    std::uint64_t grace_seconds = 3600;
  };
  auto options = std::make_shared<Options>();
  command->add_option("--data", options->data, "The server's data directory")->capture_default_str();
  command->add_option("--grace", options->grace_seconds, "Leave files younger than this many seconds alone")->capture_default_str();
  command->callback([options, &exit_status] {
    const auto answer = http::request_local(options->data + "/stele.sock", "POST",
                                            "/api/v1/sweep?grace_seconds=" + std::to_string(options->grace_seconds));
    if (!answer || answer->status != 200) {
      std::cerr << "stele: " << (answer ? answer->body : answer.error().message()) << '\n';
      exit_status = 1;
      return;
    }
    std::cout << answer->body;
    if (answer->body.find("\"failed\":0,") == std::string::npos) exit_status = 1;
  });
}

}  // namespace stele
