#include "cli/gc_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/server_link.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct GcOptions {
  ServerLink link;
  std::string reason;
};

void show(const GcOptions& options, const std::optional<Json>& status) {
  if (!status) return;
  if (options.link.json) {
    std::cout << status->dump(2) << '\n';
    return;
  }
  const std::string state = text_of(*status, "state");
  std::cout << "state:      " << state;
  if (state == "paused") std::cout << ' ' << text_of(*status, "paused");
  if (state == "settling") std::cout << ": nothing is removed before one lease (gc.lease) after the start";
  std::cout << "\nqueue:      " << (*status)["queued"] << " waiting, " << (*status)["due"] << " due";
  if (const std::string next = text_of(*status, "next"); !next.empty()) std::cout << ", the first " << next;
  const Json& total = (*status)["since_start"];
  std::cout << "\nremoved:    " << total["blobs_removed"] << " blobs, " << total["bytes_freed"]
            << " bytes since the start (" << total["reviews"] << " looked at, " << total["postponed"]
            << " postponed, " << total["failed"] << " failed)\n";
  if (const std::string problem = text_of(*status, "problem"); !problem.empty())
    std::cout << "problem:    " << problem << '\n';
}

}  // namespace

void add_gc_command(CLI::App& app, int& exit_status) {
  CLI::App* const gc = app.add_subcommand("gc", "The online collector: what waits, what was removed");
  gc->require_subcommand(1);
  const auto options = std::make_shared<GcOptions>();
  const auto subcommand = [&](const char* name, const char* about, auto run) {
    CLI::App* const command = gc->add_subcommand(name, about);
    options->link.add_options(*command);
    command->callback([options, run] { show(*options, run()); });
    return command;
  };
  subcommand("status", "How the collector stands", [options, &exit_status] {
    return options->link.ask("GET", "/api/v1/gc", nullptr, exit_status);
  });
  CLI::App* const pause =
      subcommand("pause", "Remove nothing until resumed, across restarts", [options, &exit_status] {
        Json body = Json::object();
        if (!options->reason.empty()) body["reason"] = options->reason;
        return options->link.ask("POST", "/api/v1/gc/pause", body, exit_status);
      });
  pause->add_option("--reason", options->reason, "Shown by status and kept in the record");
  subcommand("resume", "Go on after a pause", [options, &exit_status] {
    return options->link.ask("POST", "/api/v1/gc/resume", Json::object(), exit_status);
  });
}

}  // namespace stele
