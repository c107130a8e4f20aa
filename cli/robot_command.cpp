#include "cli/robot_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/saved_logins.hpp"
#include "cli/secret_input.hpp"
#include "cli/server_link.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using RobotJson = nlohmann::ordered_json;

struct RobotOptions {
  ServerLink link;
  std::string name;
  std::string description;
  std::vector<std::string> scopes;
  std::string expires;
  std::string overlap;
  std::string reason;
  std::string subject;
  std::int64_t id = 0;
  bool keep_secret = false;
  bool own = false;
  std::string user;
  bool password_stdin = false;
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

RobotJson reason_of(const RobotOptions& options) {
  RobotJson body = RobotJson::object();
  if (!options.reason.empty()) body["reason"] = options.reason;
  return body;
}

void say_of_robot(const RobotOptions& options, const RobotJson& answer, const std::string& sentence) {
  std::cout << (options.link.json ? answer.dump(2) : sentence) << '\n';
}

std::string scopes_shown(const RobotJson& row) {
  std::string scopes;
  for (const RobotJson& scope : row["scopes"])
    scopes += (scopes.empty() ? "" : " ") + shown(scope.get<std::string>());
  return scopes;
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
      options.link.ask("POST", robot_path(options) + "/revoke", reason_of(options), exit_status);
  if (done)
    say_of_robot(options, *done, "the secret of robot " + options.name + " is good for nothing any more");
}

void remove_robot(const RobotOptions& options, int& exit_status) {
  const auto done = options.link.ask("DELETE", robot_path(options), reason_of(options), exit_status);
  if (done) say_of_robot(options, *done, "robot " + options.name + " is removed");
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
    rows.push_back({text_of(robot, "name"), text_of(robot, "state"), expires.empty() ? "never" : expires,
                    used.empty() ? "never" : used, scopes_shown(robot), text_of(robot, "description")});
  }
  print_table({"ROBOT", "STATE", "EXPIRES", "USED", "SCOPES", "DESCRIPTION"}, rows);
}

// The password itself, which no login keeps: what a client keeps makes no tokens.
bool log_in_for_once(const RobotOptions& options, ServerLink& link, int& exit_status) {
  if (link.server.empty()) {
    exit_status =
        wrong_usage("a token is made over the network, by who will show it: name the server with --server");
    return false;
  }
  link.user = options.user;
  if (link.user.empty()) {
    const auto saved = saved_login(link.server);
    if (saved && *saved) {
      link.user = (*saved)->user;
      if (link.ca_file.empty()) link.ca_file = (*saved)->ca_file;
    }
  }
  if (link.user.empty()) {
    exit_status = wrong_usage("--username is missing: whose token is it to be?");
    return false;
  }
  const auto password = options.password_stdin ? secret_from_stdin("password", exit_status)
                                               : secret_from_terminal("Password of " + link.user + ": ",
                                                                      "--password-stdin", exit_status);
  if (password) link.password = *password;
  return password.has_value();
}

void create_token(const RobotOptions& options, int& exit_status) {
  ServerLink link = options.link;
  if (!log_in_for_once(options, link, exit_status)) return;
  RobotJson body{{"name", options.name}, {"scopes", options.scopes}};
  if (!options.expires.empty()) body["expires"] = options.expires;
  const auto made = link.ask("POST", "/api/v1/account/tokens", body, exit_status);
  if (!made) return;
  if (options.link.json) {
    std::cout << made->dump(2) << '\n';
    return;
  }
  const std::string until = text_of(*made, "expires_at");
  std::cerr << "token " << (*made)["id"].dump() << " (" << text_of(*made, "name") << ')'
            << (until.empty() ? std::string(" does not expire") : " expires " + until)
            << "; it is not shown again:\n";
  std::cout << text_of(*made, "secret") << std::endl;
  const std::string subject = text_of(*made, "subject");
  std::cerr << "log in with: docker login --username " << subject.substr(subject.find(':') + 1)
            << " --password-stdin\n";
}

void list_tokens(const RobotOptions& options, int& exit_status) {
  if (options.own && !options.subject.empty()) {
    exit_status = wrong_usage("--own lists your tokens and --of somebody's, not both");
    return;
  }
  const std::string query =
      options.subject.empty() ? std::string() : "?subject=" + http::percent_encode(options.subject);
  const auto page = options.own
                        ? options.link.ask("GET", "/api/v1/account/tokens", RobotJson(), exit_status)
                        : all_pages(options.link, "/api/v1/tokens" + query, "tokens", "after", exit_status);
  if (!page) return;
  if (options.link.json) {
    std::cout << page->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const RobotJson& token : (*page)["tokens"]) {
    const std::string used = text_of(token, "last_used_at");
    rows.push_back({token["id"].dump(), text_of(token, "kind"), text_of(token, "subject"),
                    text_of(token, "created_at"), text_of(token, "expires_at"), used.empty() ? "never" : used,
                    text_of(token, "name"), scopes_shown(token)});
    if (options.own) rows.back().push_back(text_of(token, "state"));
  }
  std::vector<std::string> head{"ID", "KIND", "OF", "CREATED", "EXPIRES", "USED", "NAME", "SCOPES"};
  if (options.own) head.emplace_back("STATE");
  print_table(head, rows);
}

void revoke_tokens(const RobotOptions& options, int& exit_status) {
  RobotJson body = reason_of(options);
  body["subject"] = options.subject;
  const auto done = options.link.ask("POST", "/api/v1/tokens/revoke", body, exit_status);
  if (!done) return;
  const std::size_t count = (*done)["revoked"].size();
  say_of_robot(options, *done,
               (count == 1 ? std::string("one token") : std::to_string(count) + " tokens") + " of " +
                   text_of(*done, "subject") +
                   (count == 1 ? " is good for nothing any more" : " are good for nothing any more"));
}

void revoke_token(const RobotOptions& options, int& exit_status) {
  if (options.subject.empty() == (options.id == 0)) {
    exit_status = wrong_usage(
        options.id == 0 ? "name a token by its number, or all of somebody's with --subject user:NAME"
                        : "name a token by its number or somebody with --subject, not both");
    return;
  }
  if (options.own && options.id == 0) {
    exit_status =
        wrong_usage("--own ends the token that is named by its number, from stele token list --own");
    return;
  }
  if (options.id == 0) return revoke_tokens(options, exit_status);
  const std::string tokens = options.own ? "/api/v1/account/tokens/" : "/api/v1/tokens/";
  const auto done =
      options.link.ask("DELETE", tokens + std::to_string(options.id), reason_of(options), exit_status);
  if (done) {
    say_of_robot(options, *done,
                 "token " + std::to_string(options.id) + " of " + text_of(*done, "subject") +
                     " is good for nothing any more");
  }
}

}  // namespace

void add_robot_commands(CLI::App& app, int& exit_status) {
  const auto options = std::make_shared<RobotOptions>();
  const auto add = [&](CLI::App* parent, const char* name, const char* about,
                       void (*run)(const RobotOptions&, int&)) {
    CLI::App* const command = parent->add_subcommand(name, about);
    command->callback([options, &exit_status, run] { run(*options, exit_status); });
    options->link.add_options(*command);
    return command;
  };
  const auto named = [&](CLI::App* command) {
    command->add_option("name", options->name, "The robot's name, as in ci-team")->required();
    return command;
  };
  const auto expiring = [&](CLI::App* command) {
    command
        ->add_option("--expires", options->expires,
                     "After 90d (which is the default), at 2027-01-31T00:00:00Z, or never")
        ->type_name("WHEN");
  };
  const auto reasoned = [&](CLI::App* command) {
    command->add_option("--reason", options->reason, "Kept in the record");
  };

  CLI::App* const robot = app.add_subcommand("robot", "Robots: how programs log in");
  robot->require_subcommand(1);
  const auto scoped = [&](CLI::App* command) {
    command
        ->add_option("--scope", options->scopes,
                     "What it is limited to, as in 'team/**:pull,push'; may be repeated. The policy's "
                     "access_rules decide within")
        ->type_name("PATTERN:RIGHT,…")
        ->allow_extra_args(false)
        ->required();
  };
  CLI::App* command = named(add(robot, "create", "Make a robot; prints its secret, once", create_robot));
  scoped(command);
  command->add_option("--description", options->description, "What it is for");
  expiring(command);
  add(robot, "list", "The robots, when they expire and when they were used", list_robots);
  command = named(add(robot, "renew", "A later end, and another secret; the one before ends", renew_robot));
  expiring(command);
  command->add_flag("--keep-secret", options->keep_secret, "Only a later end; the secret stays");
  command
      ->add_option("--overlap", options->overlap,
                   "How long the secret before is still good, as in 24h; at most 30d")
      ->type_name("DURATION");
  reasoned(named(add(robot, "revoke", "End its secret now; renew gives it another", revoke_robot)));
  reasoned(named(add(robot, "remove", "Remove a robot", remove_robot)));

  CLI::App* const token =
      app.add_subcommand("token", "What somebody is known by without a password, and how to end it");
  token->require_subcommand(1);
  command =
      add(token, "create", "Make an api token of your own, for a script; prints it, once", create_token);
  command->add_option("name", options->name, "Your word for it, as in laptop-backup")->required();
  command->add_option("-u,--username", options->user, "Whose it is; otherwise who logged in at --server");
  command->add_flag("--password-stdin", options->password_stdin,
                    "The password is the first line of standard input; otherwise it is asked for");
  scoped(command);
  expiring(command);
  command =
      add(token, "list", "Refresh tokens (docker login), api tokens and the secrets of robots", list_tokens);
  command->add_flag("--own", options->own, "Your own api tokens, for which no right is needed");
  command->add_option("--of,--subject", options->subject, "Only those of user:NAME or robot:NAME")
      ->type_name("WHO");
  command = add(token, "revoke", "End a token now, and what was made from it", revoke_token);
  command->add_option("id", options->id, "From `stele token list`");
  command->add_flag("--own", options->own, "One of your own api tokens, for which no right is needed");
  command->add_option("--subject", options->subject, "All tokens of user:NAME or robot:NAME instead")
      ->type_name("WHO");
  reasoned(command);
}

}  // namespace stele
