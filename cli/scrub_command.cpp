#include "cli/scrub_command.hpp"

#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/server_link.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct ScrubOptions {
  ServerLink link;
  std::string reason;
};

void show(const ScrubOptions& options, const std::optional<Json>& status) {
  if (!status) return;
  if (options.link.json) {
    std::cout << status->dump(2) << '\n';
    return;
  }
  const std::string begun = text_of(*status, "begun_at");
  const std::string ended = text_of(*status, "ended_at");
  const std::string next = text_of(*status, "next");
  const std::string paused = text_of(*status, "paused");
  std::cout << "state:       " << text_of(*status, "state") << (paused.empty() ? "" : " ") << paused;
  if (begun.empty()) {
    std::cout << "\nlast pass:   none yet";
  } else if (ended.empty()) {
    std::cout << "\nthis pass:   since " << begun << ", about "
              << std::floor((*status)["done"].get<double>() * 100) << " % done";
  } else {
    std::cout << "\nlast pass:   " << begun << " to " << ended;
  }
  if (!begun.empty()) {
    std::cout << ": " << (*status)["blobs"] << " blobs, " << (*status)["bytes"] << " bytes, "
              << (*status)["damaged"] << " damaged, " << (*status)["repaired"] << " repaired";
  }
  if (!next.empty()) std::cout << "\nnext pass:   " << next;
  std::cout << "\nquarantine:  " << (*status)["quarantined"] << " blobs\n";
  if (const std::string problem = text_of(*status, "problem"); !problem.empty())
    std::cout << "problem:     " << problem << '\n';
}

void list_quarantine(const ScrubOptions& options, int& exit_status) {
  const auto list = all_pages(options.link, "/api/v1/quarantine", "blobs", "after", exit_status);
  if (!list) return;
  if (options.link.json) {
    std::cout << list->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& blob : (*list)["blobs"]) {
    std::string repositories;
    for (const Json& repository : blob["repositories"])
      repositories += (repositories.empty() ? "" : ", ") + repository.get<std::string>();
    rows.push_back({text_of(blob, "digest"), blob["size"].dump(), text_of(blob, "found_at"), repositories,
                    text_of(blob, "problem")});
  }
  print_table({"DIGEST", "SIZE", "FOUND", "REPOSITORIES", "PROBLEM"}, rows);
}

}  // namespace

void add_scrub_commands(CLI::App& app, int& exit_status) {
  CLI::App* const scrub = app.add_subcommand("scrub", "Every blob read again: how far, what was found");
  scrub->require_subcommand(1);
  const auto options = std::make_shared<ScrubOptions>();
  const auto subcommand = [&](CLI::App* group, const char* name, const char* about, auto run) {
    CLI::App* const command = group->add_subcommand(name, about);
    options->link.add_options(*command);
    command->callback(run);
    return command;
  };
  const auto post = [options, &exit_status](const char* path) {
    Json body = Json::object();
    if (!options->reason.empty()) body["reason"] = options->reason;
    show(*options, options->link.ask("POST", path, body, exit_status));
  };
  subcommand(scrub, "status", "How the scrub stands", [options, &exit_status] {
    show(*options, options->link.ask("GET", "/api/v1/scrub", nullptr, exit_status));
  });
  subcommand(scrub, "start", "Begin a pass now", [post] { post("/api/v1/scrub/start"); });
  CLI::App* const pause = subcommand(scrub, "pause", "Read nothing until resumed, across restarts",
                                     [post] { post("/api/v1/scrub/pause"); });
  pause->add_option("--reason", options->reason, "Shown by status and kept in the record");
  subcommand(scrub, "resume", "Go on after a pause", [post] { post("/api/v1/scrub/resume"); });

  CLI::App* const quarantine = app.add_subcommand("quarantine", "Blobs whose bytes are wrong or missing");
  quarantine->require_subcommand(1);
  subcommand(quarantine, "list", "All of them, and who can mend them by pushing again",
             [options, &exit_status] { list_quarantine(*options, exit_status); });
}

}  // namespace stele
