#include "cli/fsck_command.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/server_link.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* fsck_path = "/api/v1/fsck";

struct FsckOptions {
  ServerLink link;
  bool repair = false;
  bool last = false;
};

void show(const Json& report) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& one : report["classes"])
    rows.push_back(
        {text_of(one, "problem"), one["found"].dump(), one["repaired"].dump(), text_of(one, "explanation")});
  if (!rows.empty()) print_table({"PROBLEM", "FOUND", "REPAIRED", "WHAT IT IS"}, rows);
  for (const Json& one : report["classes"]) {
    std::cout << '\n' << text_of(one, "problem") << ":\n";
    for (const Json& name : one["names"]) std::cout << "  " << shown(name.get<std::string>()) << '\n';
    if (one["found"] > one["names"].size())
      std::cout << "  and " << one["found"].get<std::size_t>() - one["names"].size() << " more\n";
  }
  const std::string state = text_of(report, "state");
  if (state == "never") {
    std::cout << "nothing was checked since the server started\n";
    return;
  }
  if (state == "running") std::cout << "under way, at: " << text_of(report, "doing") << '\n';
  std::cout << (rows.empty() ? "" : "\n") << report["rows"] << " rows and " << report["files"]
            << " blob files looked at: " << report["problems"] << " problems, " << report["repaired"]
            << " repaired\n";
}

// Until it has ended; what it does meanwhile is shown on a terminal.
std::optional<Json> wait_for(const ServerLink& link, Json report, int& exit_status) {
  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  std::chrono::milliseconds rest(20);
  while (text_of(report, "state") == "running") {
    std::this_thread::sleep_for(rest);
    rest = std::min(rest * 2, std::chrono::milliseconds(1000));
    auto next = link.ask("GET", fsck_path, nullptr, exit_status);
    if (!next) return std::nullopt;
    report = std::move(*next);
    if (terminal) {
      std::cerr << "\r\033[K" << text_of(report, "doing");
      if (text_of(report, "state") != "running") std::cerr << '\r';
      std::cerr << std::flush;
    }
  }
  return report;
}

void run(const FsckOptions& options, int& exit_status) {
  const std::string begin = std::string(fsck_path) + (options.repair ? "?repair=1" : "");
  auto report = options.last ? options.link.ask("GET", fsck_path, nullptr, exit_status)
                             : options.link.ask("POST", begin, nullptr, exit_status);
  if (report && !options.last) report = wait_for(options.link, std::move(*report), exit_status);
  if (!report) return;
  if (options.link.json) {
    std::cout << report->dump(2) << '\n';
  } else {
    show(*report);
  }
  if (text_of(*report, "state") == "failed") {
    std::cerr << "stele: the check was not finished: " << text_of(*report, "message") << '\n';
    exit_status = exit_failed;
  } else if ((*report)["problems"] != 0) {
    exit_status = exit_problems;
  }
}

}  // namespace

void add_fsck_command(CLI::App& app, int& exit_status) {
  CLI::App* const command =
      app.add_subcommand("fsck", "Check the catalog and the files of a running server against each other");
  const auto options = std::make_shared<FsckOptions>();
  options->link.add_options(*command);
  CLI::Option* const repair = command->add_flag(
      "--repair", options->repair, "Put right what nothing is lost by; never removes content or a tag");
  command->add_flag("--last", options->last, "Show the check under way, or the last one; begin none")
      ->excludes(repair);
  command->callback([options, &exit_status] { run(*options, exit_status); });
}

}  // namespace stele
