#include "cli/user_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/secret_input.hpp"
#include "cli/server_link.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using UserJson = nlohmann::ordered_json;

struct UserOptions {
  ServerLink link;
  std::string name;
  std::vector<std::string> groups, add, remove;
  std::string reason;
  std::string one_time_token;  // a file
  bool password_stdin = false;
};

std::string user_path(const UserOptions& options, const char* verb = "") {
  return "/api/v1/users/" + http::percent_encode(options.name) + verb;
}

std::string groups_text(const UserJson& user) {
  std::string text;
  for (const UserJson& group : user.value("groups", UserJson::array()))
    text += (text.empty() ? "" : " ") + shown(group.get<std::string>());
  return text;
}

void say_of_user(const UserOptions& options, const UserJson& answer, const std::string& sentence) {
  std::cout << (options.link.json ? answer.dump(2) : sentence) << '\n';
}

UserJson reason_of(const UserOptions& options) {
  UserJson body = UserJson::object();
  if (!options.reason.empty()) body["reason"] = options.reason;
  return body;
}

std::string made_sentence(const UserJson& user) {
  const std::string groups = groups_text(user);
  return "user " + text_of(user, "name") + " can log in" +
         (groups.empty() ? std::string("; in no group") : "; groups: " + groups);
}

void add_user(const UserOptions& options, int& exit_status) {
  const auto password = new_password(options.name, options.password_stdin, exit_status);
  if (!password) return;
  const UserJson body{{"name", options.name}, {"password", *password}, {"groups", options.groups}};
  if (const auto made = options.link.ask("POST", "/api/v1/users", body, exit_status))
    say_of_user(options, *made, made_sentence(*made));
}

void make_first(const UserOptions& options, int& exit_status) {
  if (const auto refused = options.link.would_go_in_the_clear("the password")) {
    exit_status = wrong_usage(*refused);
    return;
  }
  const auto token =
      options.one_time_token.empty()
          ? secret_from_terminal("Token that stele init printed: ", "--one-time-token FILE", exit_status)
          : secret_from_file(options.one_time_token, "token", exit_status);
  if (!token) return;
  const auto password = new_password(options.name, options.password_stdin, exit_status);
  if (!password) return;
  const UserJson body{{"token", *token}, {"name", options.name}, {"password", *password}};
  if (const auto made = options.link.ask("POST", "/api/v1/first-administrator", body, exit_status))
    say_of_user(options, *made, made_sentence(*made));
}

void set_password(const UserOptions& options, int& exit_status) {
  const auto password = new_password(options.name, options.password_stdin, exit_status);
  if (!password) return;
  const UserJson body{{"password", *password}};
  if (const auto done = options.link.ask("POST", user_path(options, "/password"), body, exit_status)) {
    say_of_user(options, *done,
                "user " + options.name + " has another password; what was made from the one before is over");
  }
}

void disable_user(const UserOptions& options, int& exit_status) {
  const auto done = options.link.ask("POST", user_path(options, "/disable"), reason_of(options), exit_status);
  if (done)
    say_of_user(options, *done,
                "user " + options.name + " may do nothing any more; stele user enable undoes it");
}

void enable_user(const UserOptions& options, int& exit_status) {
  const auto done = options.link.ask("POST", user_path(options, "/enable"), reason_of(options), exit_status);
  if (done) say_of_user(options, *done, "user " + options.name + " can log in again, with the same password");
}

void remove_user(const UserOptions& options, int& exit_status) {
  const auto done = options.link.ask("DELETE", user_path(options), reason_of(options), exit_status);
  if (done) say_of_user(options, *done, "user " + options.name + " is removed");
}

void change_groups(const UserOptions& options, int& exit_status) {
  UserJson body = UserJson::object();
  if (!options.add.empty()) body["add"] = options.add;
  if (!options.remove.empty()) body["remove"] = options.remove;
  const auto done = options.link.ask("POST", user_path(options, "/groups"), body, exit_status);
  if (!done) return;
  const std::string groups = groups_text(*done);
  say_of_user(options, *done,
              "user " + options.name + (groups.empty() ? " is in no group" : " is in " + groups));
}

void list_users(const UserOptions& options, int& exit_status) {
  const auto page = all_pages(options.link, "/api/v1/users", "users", "after", exit_status);
  if (!page) return;
  if (options.link.json) {
    std::cout << page->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const UserJson& user : (*page)["users"]) {
    rows.push_back({text_of(user, "name"), text_of(user, "state"), groups_text(user),
                    text_of(user, "password_changed_at"), text_of(user, "created_by")});
  }
  print_table({"USER", "STATE", "GROUPS", "PASSWORD OF", "MADE BY"}, rows);
}

}  // namespace

void add_user_command(CLI::App& app, int& exit_status) {
  const auto options = std::make_shared<UserOptions>();
  CLI::App* const user = app.add_subcommand("user", "Local users, and the groups that they are in");
  user->require_subcommand(1);
  const auto add = [&](const char* name, const char* about, void (*run)(const UserOptions&, int&)) {
    CLI::App* const command = user->add_subcommand(name, about);
    command->callback([options, &exit_status, run] { run(*options, exit_status); });
    options->link.add_options(*command);
    return command;
  };
  const auto named = [&](CLI::App* command) {
    command->add_option("name", options->name, "The user's name, as in ann")->required();
    return command;
  };
  const auto reasoned = [&](CLI::App* command) {
    command->add_option("--reason", options->reason, "Kept in the record");
  };
  const auto with_password = [&](CLI::App* command) {
    command->add_flag("--password-stdin", options->password_stdin,
                      "The password is the first line of standard input; otherwise it is asked for");
    return command;
  };
  const auto list_of = [&](CLI::App* command, const char* name, std::vector<std::string>& into,
                           const char* about) {
    command->add_option(name, into, about)->type_name("GROUP")->allow_extra_args(false);
  };

  list_of(with_password(named(add("add", "Make a user; asks for the password", add_user))), "--group",
          options->groups, "A group that rules know as group:GROUP; may be repeated");
  add("list", "The local users, whether they may log in, and their groups", list_users);
  with_password(
      named(add("passwd", "Another password; ends what was made from the one before", set_password)));
  reasoned(named(add("disable", "He may do nothing any more, whatever token he has", disable_user)));
  reasoned(named(add("enable", "Undo disable", enable_user)));
  reasoned(named(add("remove", "Remove a user", remove_user)));
  CLI::App* const group = named(add("group", "Change the groups that a user is in", change_groups));
  list_of(group, "--add", options->add, "May be repeated");
  list_of(group, "--remove", options->remove, "May be repeated");
  with_password(
      named(add("first", "Make the first administrator, with the token that stele init printed", make_first)))
      ->add_option("--one-time-token", options->one_time_token,
                   "File with the token, - for standard input; otherwise it is asked for")
      ->type_name("FILE");
}

}  // namespace stele
