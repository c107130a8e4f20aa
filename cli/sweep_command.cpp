#include "cli/sweep_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "http/client.hpp"

namespace stele {

void add_sweep_command(CLI::App& app, int& exit_status) {
  CLI::App* command = app.add_subcommand("sweep", "Remove files that a crash left without a catalog row");
  struct Options {
    std::string data = "./data";
    std::uint64_t grace_seconds = 24 * 60 * 60;
    bool all = false;
  };
  auto options = std::make_shared<Options>();
  command->add_option("--data", options->data, "The server's data directory")->capture_default_str();
  command->add_option("--grace", options->grace_seconds, "Leave files younger than this many seconds alone")
      ->capture_default_str();
  command->add_flag("--all", options->all, "Also when there are so many that the catalog may be an old one");
  command->callback([options, &exit_status] {
    http::ClientTarget server;
    server.socket_path = options->data + "/stele.sock";
    const auto answer =
        http::request(server, "POST",
                      "/api/v1/sweep?grace_seconds=" + std::to_string(options->grace_seconds) +
                          (options->all ? "&all=1" : ""));
    if (!answer || answer->status != 200) {
      std::cerr << "stele: " << (answer ? answer->body : answer.error().message()) << '\n';
      exit_status = 1;
      return;
    }
    std::cout << answer->body;
    if (answer->body.find("\"withheld\":0") == std::string::npos) {
      std::cerr << "stele: these blobs without a catalog row mean that the catalog is older than its blobs, "
                   "perhaps a restored snapshot; nothing of them was removed. --all removes them once you "
                   "are sure\n";
      exit_status = 1;
    }
    if (answer->body.find("\"failed\":0,") == std::string::npos) exit_status = 1;
  });
}

}  // namespace stele
