#include "cli/sweep_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/server_link.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct SweepOptions {
  ServerLink link;
  std::uint64_t grace_seconds = 24 * 60 * 60;
  bool all = false;
};

int run_sweep(const SweepOptions& options) {
  int status = 0;
  const auto report = options.link.ask(
      "POST",
      "/api/v1/sweep?grace_seconds=" + std::to_string(options.grace_seconds) + (options.all ? "&all=1" : ""),
      nullptr, status);
  if (!report) return status;
  if (options.link.json) {
    std::cout << report->dump(2) << '\n';
  } else {
    std::cout << "removed:    " << (*report)["blobs_removed"] << " blobs without a catalog row ("
              << (*report)["bytes_removed"] << " bytes), " << (*report)["uploads_removed"]
              << " files of uploads\nleft:       " << (*report)["failed"] << " that could not be removed, "
              << (*report)["foreign"].size() << " that are not the store's\n";
    for (const auto& path : (*report)["foreign"])
      std::cout << "            " << shown(path.get<std::string>()) << '\n';
  }
  if ((*report)["failed"] != 0) status = exit_failed;
  if ((*report)["withheld"] == 0) return status;
  std::cerr
      << "stele: " << (*report)["withheld"]
      << " blobs without a catalog row mean that the catalog is older than its blobs, perhaps a restored "
         "snapshot; nothing of them was removed. --all removes them once you are sure\n";
  return exit_failed;
}

}  // namespace

void add_sweep_command(CLI::App& app, int& exit_status) {
  CLI::App* const command =
      app.add_subcommand("sweep", "Remove files that a crash left without a catalog row");
  const auto options = std::make_shared<SweepOptions>();
  options->link.add_options(*command);
  command->add_option("--grace", options->grace_seconds, "Leave files younger than this many seconds alone")
      ->capture_default_str();
  command->add_flag("--all", options->all, "Also when there are so many that the catalog may be an old one");
  command->callback([options, &exit_status] { exit_status = run_sweep(*options); });
}

}  // namespace stele
