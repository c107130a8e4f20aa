#include "cli/status_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/server_link.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

void show(const Json& status, int& exit_status) {
  std::cout << "stele " << text_of(status, "version") << ", running since " << text_of(status, "started")
            << '\n';
  if (const std::string why = text_of(status, "read_only"); !why.empty()) {
    std::cout << "read-only: " << why << '\n';
    exit_status = 1;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& job : status["jobs"]) {
    const std::string problem = text_of(job, "problem");
    if (!problem.empty()) exit_status = 1;
    const std::string result = job["running"] == true ? "running"
                               : job["runs"] == 0     ? "not yet"
                               : problem.empty()      ? "good"
                                                      : "failed: " + problem;
    rows.push_back(
        {text_of(job, "name"), text_of(job, "ended"), text_of(job, "next"), job["failures"].dump(), result});
  }
  print_table({"JOB", "LAST RUN", "NEXT RUN", "FAILURES", "RESULT"}, rows);
}

}  // namespace

void add_status_command(CLI::App& app, int& exit_status) {
  CLI::App* const command =
      app.add_subcommand("status", "How the server stands, and the jobs that it does by itself");
  const auto link = std::make_shared<ServerLink>();
  link->add_options(*command);
  command->callback([link, &exit_status] {
    const auto status = link->ask("GET", "/api/v1/status", nullptr, exit_status);
    if (!status) return;
    if (link->json) {
      std::cout << status->dump(2) << '\n';
    } else {
      show(*status, exit_status);
    }
  });
}

}  // namespace stele
