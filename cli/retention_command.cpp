#include "cli/retention_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/server_link.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct RetentionOptions {
  ServerLink link;
  std::string name;
  std::string target;
  std::string case_number;
  std::string reason;
  std::string time;
  std::string digest;
  std::int64_t id = 0;
  bool all = false;
};

std::string lock_path(const std::string& name, int& exit_status) {
  const std::string tag = tag_path(name, exit_status);
  return tag.empty() ? tag : tag + "/lock";
}

void say(const RetentionOptions& options, const Json& answer, const std::string& sentence) {
  std::cout << (options.link.json ? answer.dump(2) : sentence) << '\n';
}

void set_hold(const RetentionOptions& options, int& exit_status) {
  const auto [repository, reference] = split_name(options.target);
  Json body{{"name", options.name}, {"case", options.case_number}, {"repository", repository}};
  if (!reference.empty()) body["reference"] = reference;
  if (!options.reason.empty()) body["reason"] = options.reason;
  if (const auto hold = options.link.ask("POST", "/api/v1/holds", body, exit_status))
    say(options, *hold,
        "hold " + (*hold)["id"].dump() + " (" + options.name + ") is set on " + options.target);
}

void release_hold(const RetentionOptions& options, int& exit_status) {
  const Json body{{"reason", options.reason}};
  const auto hold =
      options.link.ask("POST", "/api/v1/holds/" + std::to_string(options.id) + "/release", body, exit_status);
  if (hold) say(options, *hold, "hold " + std::to_string(options.id) + " is released");
}

void list_holds(const RetentionOptions& options, int& exit_status) {
  const auto page = all_pages(options.link, "/api/v1/holds" + std::string(options.all ? "?all=1" : ""),
                              "holds", "after", exit_status);
  if (!page) return;
  if (options.link.json) {
    std::cout << page->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& hold : (*page)["holds"]) {
    std::string on = text_of(hold, "repository");
    if (!text_of(hold, "tag").empty()) on += ":" + text_of(hold, "tag");
    if (!text_of(hold, "digest").empty()) on += "@" + text_of(hold, "digest").substr(0, 19);
    rows.push_back({hold["id"].dump(), text_of(hold, "name"), text_of(hold, "case"), on,
                    text_of(hold, "set_at"), text_of(hold, "set_by"), text_of(hold, "released_at")});
  }
  print_table({"ID", "NAME", "CASE", "ON", "SET", "BY", "RELEASED"}, rows);
}

void list_locks(const RetentionOptions& options, int& exit_status) {
  const auto page =
      all_pages(options.link, repository_path(options.name) + "/locks", "locks", "after", exit_status);
  if (!page) return;
  if (options.link.json) {
    std::cout << page->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& lock : (*page)["locks"]) {
    rows.push_back({text_of(lock, "tag"), text_of(lock, "digest").substr(0, 19), text_of(lock, "mode"),
                    text_of(lock, "until"), text_of(lock, "rule"), text_of(lock, "stamped_by")});
  }
  print_table({"TAG", "DIGEST", "MODE", "UNTIL", "RULE", "BY"}, rows);
}

void extend_lock(const RetentionOptions& options, int& exit_status) {
  const std::string path = lock_path(options.name, exit_status);
  if (path.empty()) return;
  Json body{{"until", options.time}};
  if (!options.digest.empty()) body["digest"] = options.digest;
  if (const auto lock = options.link.ask("POST", path, body, exit_status))
    say(options, *lock, options.name + " is locked until " + text_of(*lock, "until"));
}

void release_lock(const RetentionOptions& options, int& exit_status) {
  const std::string path = lock_path(options.name, exit_status);
  if (path.empty()) return;
  Json body{{"reason", options.reason}};
  if (!options.digest.empty()) body["digest"] = options.digest;
  if (const auto done = options.link.ask("DELETE", path, body, exit_status))
    say(options, *done, "the lock on " + options.name + " is released");
}

void show_clock(const RetentionOptions& options, int& exit_status) {
  const auto clock = options.link.ask("GET", "/api/v1/clock", nullptr, exit_status);
  if (!clock) return;
  const std::string waits = text_of(*clock, "unconfirmed");
  say(options, *clock,
      "locks go by " + text_of(*clock, "release_time") +
          (waits.empty()
               ? std::string()
               : "; the machine said " + waits + " at start, which waits for `stele clock confirm`"));
}

void confirm_clock(const RetentionOptions& options, int& exit_status) {
  if (const auto clock = options.link.ask("POST", "/api/v1/clock/confirm", nullptr, exit_status))
    say(options, *clock, "locks go by " + text_of(*clock, "release_time") + " from now on");
}

}  // namespace

void add_retention_commands(CLI::App& app, int& exit_status) {
  const auto options = std::make_shared<RetentionOptions>();
  const auto add = [&](CLI::App* parent, const char* name, const char* about,
                       void (*run)(const RetentionOptions&, int&)) {
    CLI::App* const command = parent->add_subcommand(name, about);
    command->callback([options, &exit_status, run] { run(*options, exit_status); });
    options->link.add_options(*command);
    return command;
  };

  CLI::App* const hold = app.add_subcommand("hold", "Legal holds: what must not go, whatever the date");
  hold->require_subcommand(1);
  CLI::App* command =
      add(hold, "set", "Hold a tag with what it points to, a manifest, or a repository", set_hold);
  command->add_option("name", options->name, "What people call it")->required();
  command->add_option("target", options->target, "As in prod/app:1.4.2, prod/app@sha256:… or prod/app")
      ->required();
  command->add_option("--case", options->case_number, "The case number")->required();
  command->add_option("--reason", options->reason, "Kept with it");
  command = add(hold, "release", "Release a hold", release_hold);
  command->add_option("id", options->id, "From `stele hold list`")->required();
  command->add_option("--reason", options->reason, "Kept with it")->required();
  command = add(hold, "list", "The holds in force", list_holds);
  command->add_flag("--all", options->all, "Released ones too");

  CLI::App* const lock = app.add_subcommand("lock", "Retention locks that rules have stamped");
  lock->require_subcommand(1);
  command = add(lock, "list", "The locks of a repository", list_locks);
  command->add_option("repository", options->name, "As in prod/app")->required();
  command = add(lock, "extend", "Make a lock hold longer", extend_lock);
  command->add_option("name", options->name, "The tag that stamped it, as in prod/app:1.4.2")->required();
  command->add_option("until", options->time, "RFC 3339, at most 100 years from now")->required();
  command->add_option("--digest", options->digest, "When the tag has moved since");
  command = add(lock, "release", "Release a governance lock before its time", release_lock);
  command->add_option("name", options->name, "The tag that stamped it, as in prod/app:1.4.2")->required();
  command->add_option("--reason", options->reason, "Kept in the record")->required();
  command->add_option("--digest", options->digest, "When the tag has moved since");

  CLI::App* const clock = app.add_subcommand("clock", "The clock by which locks are released");
  clock->require_subcommand(1);
  add(clock, "show", "What it says", show_clock);
  add(clock, "confirm", "The machine's time is right, although it jumped", confirm_clock);
}

}  // namespace stele
