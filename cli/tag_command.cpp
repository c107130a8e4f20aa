#include "cli/tag_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/server_link.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct TagOptions {
  ServerLink link;
  std::string name;
  std::string target;
  std::string time;
  std::string to;
  std::string reason;
  std::vector<std::string> tags;
  bool offline = false;
};

// Enough to tell one from another in a table; --json has it whole.
std::string short_digest(const std::string& digest) {
  return digest.substr(0, std::string_view("sha256:").size() + 12);
}

void list(const TagOptions& options, int& exit_status) {
  const auto tags =
      all_pages(options.link, repository_path(options.name) + "/tags", "tags", "last", exit_status);
  if (!tags) return;
  if (options.link.json) {
    std::cout << tags->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& tag : (*tags)["tags"]) {
    rows.push_back({text_of(tag, "tag"), short_digest(text_of(tag, "digest")), text_of(tag, "mutability"),
                    text_of(tag, "rule"), text_of(tag, "pushed_at"), text_of(tag, "pushed_by")});
  }
  print_table({"TAG", "DIGEST", "MUTABILITY", "RULE", "PUSHED", "BY"}, rows);
}

void history(const TagOptions& options, int& exit_status) {
  const std::string path = tag_path(options.name, exit_status);
  if (path.empty()) return;
  const auto page = all_pages(options.link, path + "/history", "history", "before", exit_status);
  if (!page) return;
  if (options.link.json) {
    std::cout << page->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& entry : (*page)["history"]) {
    const std::string digest = text_of(entry, "digest");
    rows.push_back({text_of(entry, "at"), text_of(entry, "action"),
                    digest.empty() ? "(deleted)" : short_digest(digest), text_of(entry, "by"),
                    text_of(entry, "rule"), text_of(entry, "reason")});
  }
  print_table({"AT", "ACTION", "DIGEST", "BY", "RULE", "REASON"}, rows);
}

void at(const TagOptions& options, int& exit_status) {
  const std::string path = tag_path(options.name, exit_status);
  if (path.empty()) return;
  const auto found =
      options.link.ask("GET", path + "?at=" + http::percent_encode(options.time), nullptr, exit_status);
  if (!found) return;
  std::cout << (options.link.json ? found->dump(2) : text_of(*found, "digest")) << '\n';
}

void roll_back(const TagOptions& options, int& exit_status) {
  const std::string path = tag_path(options.name, exit_status);
  if (path.empty()) return;
  Json body = Json::object();
  if (!options.to.empty()) body["to"] = options.to;
  if (!options.time.empty()) body["at"] = options.time;
  if (!options.reason.empty()) body["reason"] = options.reason;
  const auto done = options.link.ask("POST", path + "/rollback", body, exit_status);
  if (!done) return;
  if (options.link.json) {
    std::cout << done->dump(2) << '\n';
    return;
  }
  const std::string previous = text_of(*done, "previous");
  std::cout << options.name << " points to " << text_of(*done, "digest")
            << (previous.empty() ? ", it had been deleted" : ", it pointed to " + previous) << '\n';
}

void release(const TagOptions& options, int& exit_status) {
  const std::string path = tag_path(options.name, exit_status);
  if (path.empty()) return;
  const auto done =
      options.link.ask("POST", path + "/release", Json{{"reason", options.reason}}, exit_status);
  if (!done) return;
  if (options.link.json) {
    std::cout << done->dump(2) << '\n';
    return;
  }
  std::cout << options.name
            << " is free: " << (done->value("removed", false) ? "it pointed to " : "it was kept for ")
            << text_of(*done, "digest") << "; the next push decides what it means\n";
}

void promote(const TagOptions& options, int& exit_status) {
  const auto [from, reference] = split_name(options.name);
  if (reference.empty()) {
    exit_status = wrong_usage("name what to promote, as in ci/app:sha-a1b2c3d or ci/app@sha256:…");
    return;
  }
  const auto [to, tag] = split_name(options.target);
  if (options.target.find('@') != std::string::npos) {
    exit_status = wrong_usage("the target is a repository, or a repository and a tag, as in prod/app:1.4.2");
    return;
  }
  Json body{{"reference", reference}, {"to", to}, {"tags", options.tags}};
  if (!tag.empty()) body["tags"].insert(body["tags"].begin(), tag);
  if (options.offline) body["upstream"] = "never";
  const auto done = options.link.ask("POST", repository_path(from) + "/promote", body, exit_status);
  if (!done) return;
  if (options.link.json) {
    std::cout << done->dump(2) << '\n';
    return;
  }
  std::string names;
  for (const Json& name : (*done)["tags"])
    names += (names.empty() ? "" : ", ") + text_of(*done, "repository") + ":" + name.get<std::string>();
  std::cout << text_of(*done, "digest") << " is now " << (names.empty() ? "in " + to : names) << " ("
            << (*done)["manifests"] << " manifests and " << (*done)["blobs"] << " blobs were new there)\n";
  if (!done->contains("mirrored")) return;
  const Json& mirrored = (*done)["mirrored"];
  std::cout << "fetched for it from " << text_of(mirrored, "upstream") << ": "
            << mirrored["fetched_manifests"] << " manifests and " << mirrored["fetched_blobs"] << " blobs, "
            << mirrored["fetched_bytes"] << " bytes\n";
  for (const Json& warning : mirrored["warnings"])
    std::cerr << "stele: warning: " << shown(warning.get_ref<const std::string&>()) << '\n';
}

CLI::App* subcommand(CLI::App* parent, const char* name, const char* about,
                     const std::shared_ptr<TagOptions>& options, int& exit_status,
                     void (*run)(const TagOptions&, int&)) {
  CLI::App* const command = parent->add_subcommand(name, about);
  command->callback([options, &exit_status, run] { run(*options, exit_status); });
  options->link.add_options(*command);
  return command;
}

}  // namespace

void add_tag_command(CLI::App& app, int& exit_status) {
  CLI::App* const tag = app.add_subcommand("tag", "See what tags are and were, move them under their rules");
  tag->require_subcommand(1);
  const auto options = std::make_shared<TagOptions>();
  const auto name = [&](CLI::App* command, const char* type) {
    command->add_option("name", options->name, "As in prod/app:1.4.2")->type_name(type)->required();
  };

  CLI::App* command =
      subcommand(tag, "list", "The tags of a repository with what decides them", options, exit_status, list);
  command->add_option("repository", options->name, "As in prod/app")->required();

  command = subcommand(tag, "history", "Every binding that a tag ever had, newest first", options,
                       exit_status, history);
  name(command, "NAME:TAG");

  command = subcommand(tag, "at", "The digest that a tag had at a moment", options, exit_status, at);
  name(command, "NAME:TAG");
  command->add_option("time", options->time, "RFC 3339, as in 2026-11-01T12:00:00Z")->required();

  command = subcommand(tag, "rollback",
                       "Move a tag back to a digest that it had; without --to or --at the last one", options,
                       exit_status, roll_back);
  name(command, "NAME:TAG");
  CLI::Option* const to = command->add_option("--to", options->to, "A digest of the tag's history");
  command->add_option("--at", options->time, "What it had at this moment, RFC 3339")->excludes(to);
  command->add_option("--reason", options->reason, "Kept in the tag's history");

  command = subcommand(tag, "release", "Free a name that its rule keeps for what it was first bound to",
                       options, exit_status, release);
  name(command, "NAME:TAG");
  command->add_option("--reason", options->reason, "Kept in the record, shown by policy explain")->required();

  for (CLI::App* const parent : {tag, &app}) {
    command = subcommand(
        parent, "promote",
        "Give a manifest another name, here or in another repository, also one of a mirror, which is "
        "fetched for it",
        options, exit_status, promote);
    name(command, "NAME:TAG|NAME@DIGEST");
    command->add_option("target", options->target, "Repository, perhaps with a tag; without: the same tag")
        ->type_name("NAME[:TAG]")
        ->required();
    command->add_option("--tag", options->tags, "A further tag there; may be repeated");
    command->add_flag("--offline", options->offline,
                      "Out of a mirror: take what is here, ask upstream for nothing");
  }
}

}  // namespace stele
