#include "cli/robot_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/secret_options.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using RobotJson = nlohmann::ordered_json;

struct RobotOptions : SecretOptions {
  std::string description;
  std::string overlap;
  bool keep_secret = false;
};

std::string robot_path(const RobotOptions& options) {
  return "/api/v1/robots/" + http::percent_encode(options.name);
}

// The secret alone on standard output, so that it can be piped to where it belongs.
void print_secret(const RobotOptions& options, const RobotJson& robot) {
  if (options.link.json) {
    std::cout << robot.dump(2) << '\n';
    return;
  }
  const std::string until = text_of(robot, "expires_at");
  std::cerr << "robot " << text_of(robot, "name")
            << (until.empty() ? std::string(" does not expire") : " expires " + until);
  const std::string secret = text_of(robot, "secret");
  if (secret.empty()) {
    std::cerr << "; its secret is the one that it had\n";
    return;
  }
  std::cerr << "; its secret, which is not shown again:\n";
  std::cout << secret << std::endl;
  std::cerr << "log in with: docker login --username " << text_of(robot, "name") << " --password-stdin\n";
}

void create_robot(const RobotOptions& options, int& exit_status) {
  RobotJson body{{"name", options.name}, {"scopes", options.scopes}};
  if (!options.description.empty()) body["description"] = options.description;
  if (!options.expires.empty()) body["expires"] = options.expires;
  if (const auto made = options.link.ask("POST", "/api/v1/robots", body, exit_status))
    print_secret(options, *made);
}

void renew_robot(const RobotOptions& options, int& exit_status) {
  RobotJson body{{"secret", options.keep_secret ? "keep" : "new"}};
  if (!options.expires.empty()) body["expires"] = options.expires;
  if (!options.overlap.empty()) body["overlap"] = options.overlap;
  const auto made = options.link.ask("POST", robot_path(options) + "/renew", body, exit_status);
  if (!made) return;
  print_secret(options, *made);
  if (!options.overlap.empty() && !options.link.json) {
    std::cerr << "the secret before is good for another " << options.overlap
              << "; stele token list --of robot:" << options.name << " tells whether it is still used\n";
  }
}

void revoke_robot(const RobotOptions& options, int& exit_status) {
  const auto done =
      options.link.ask("POST", robot_path(options) + "/revoke", options.with_reason(), exit_status);
  if (done) options.say(*done, "the secret of robot " + options.name + " is good for nothing any more");
}

void remove_robot(const RobotOptions& options, int& exit_status) {
  const auto done = options.link.ask("DELETE", robot_path(options), options.with_reason(), exit_status);
  if (done) options.say(*done, "robot " + options.name + " is removed");
}

void list_robots(const RobotOptions& options, int& exit_status) {
  const auto page = all_pages(options.link, "/api/v1/robots", "robots", "after", exit_status);
  if (!page) return;
  if (options.link.json) {
    std::cout << page->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const RobotJson& robot : (*page)["robots"]) {
    const std::string expires = text_of(robot, "expires_at"), used = text_of(robot, "last_used_at");
    const std::string ends = text_of(robot, "secret_ends_at");
    rows.push_back({text_of(robot, "name"),
                    text_of(robot, "state") + (ends.empty() ? "" : ", its secret until " + ends),
                    expires.empty() ? "never" : expires, used.empty() ? "never" : used, scopes_shown(robot),
                    text_of(robot, "description")});
  }
  print_table({"ROBOT", "STATE", "EXPIRES", "USED", "SCOPES", "DESCRIPTION"}, rows);
}

}  // namespace

void add_robot_commands(CLI::App& app, int& exit_status) {
  const auto options = std::make_shared<RobotOptions>();
  CLI::App* const robot = app.add_subcommand("robot", "Robots: how programs log in");
  robot->require_subcommand(1);
  const auto add = [&](const char* name, const char* about, void (*run)(const RobotOptions&, int&)) {
    CLI::App* const command = robot->add_subcommand(name, about);
    command->callback([options, &exit_status, run] { run(*options, exit_status); });
    options->link.add_options(*command);
    return command;
  };
  const auto named = [&](CLI::App* command) {
    command->add_option("name", options->name, "The robot's name, as in ci-team")->required();
    return command;
  };
  CLI::App* command = named(add("create", "Make a robot; prints its secret, once", create_robot));
  options->add_scope(*command);
  command->add_option("--description", options->description, "What it is for");
  options->add_expires(*command);
  add("list", "The robots, when they expire and when they were used", list_robots);
  command = named(add("renew", "A later end, and another secret; the one before ends", renew_robot));
  options->add_expires(*command);
  command->add_flag("--keep-secret", options->keep_secret, "Only a later end; the secret stays");
  command
      ->add_option("--overlap", options->overlap,
                   "How long the secret before is still good, as in 24h; at most 30d")
      ->type_name("DURATION");
  options->add_reason(*named(add("revoke", "End its secret now; renew gives it another", revoke_robot)));
  options->add_reason(*named(add("remove", "Remove a robot", remove_robot)));
}

}  // namespace stele
