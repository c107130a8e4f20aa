#include "cli/mirror_updates_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/quantities.hpp"
#include "cli/server_link.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct UpdatesOptions {
  ServerLink link;
  std::string mirror;
  std::string name;
  std::string digest;
};

std::string short_form(const std::string& digest) {
  return digest.empty() ? "-" : digest.substr(0, std::string_view("sha256:").size() + 12);
}

std::string age_or_dash(const Json& seconds) {
  return seconds.is_number_integer() ? age_text(seconds.get<std::int64_t>()) : "-";
}

std::string size_of(const Json& bytes) {
  return bytes.is_number_integer() ? size_text(bytes.get<std::int64_t>()) : "-";
}

std::string mirror_path(const std::string& mirror) {
  return "/api/v1/mirrors/" + http::percent_encode(mirror);
}

// "linux/amd64: 2 layers added, 1 removed, 1.2 GB → 1.3 GB, built on debian:12 → debian:13"
std::string change_text(const Json& change) {
  const std::string platform = text_of(change, "platform");
  std::string text = platform.empty() ? "" : platform + ": ";
  if (!change["layers"].is_object()) return text + text_of(change, "change");
  const Json& layers = change["layers"];
  text += layers["added"].dump() + " layers added, " + layers["removed"].dump() + " removed, " +
          size_of(layers["held_bytes"]) + " → " + size_of(layers["upstream_bytes"]);
  const std::string before = text_of(layers, "held_base"), after = text_of(layers, "upstream_base");
  if (!before.empty() || !after.empty())
    text += ", built on " + (before.empty() ? "-" : before) + (before == after ? "" : " → " + after);
  return text;
}

void print_updates(const Json& answer) {
  const std::string mirror = text_of(answer, "mirror");
  const Json& updates = answer["updates"];
  if (text_of(answer, "tags") != "pin" && answer["quarantine"] == 0) {
    std::cout << mirror << " follows its upstream: it has neither tags: pin nor a quarantine\n";
    return;
  }
  if (updates.empty()) std::cout << mirror << ": what is held is what upstream names\n";
  std::vector<std::vector<std::string>> rows;
  for (const Json& update : updates) {
    rows.push_back({text_of(update, "repository") + ":" + text_of(update, "tag"), text_of(update, "state"),
                    short_form(text_of(update, "held")), short_form(text_of(update, "upstream")),
                    age_or_dash(update["age"]), age_or_dash(update["left"])});
  }
  if (!rows.empty()) print_table({"TAG", "STATE", "HELD", "UPSTREAM", "AGE", "LEFT"}, rows);
  for (const Json& update : updates) {
    std::cout << '\n' << text_of(update, "repository") << ':' << text_of(update, "tag") << '\n';
    if (!text_of(update, "upstream").empty())
      std::cout << "  upstream " << text_of(update, "upstream") << '\n';
    for (const Json& change : update["difference"]) {
      if (text_of(change, "change") != "same") std::cout << "  " << change_text(change) << '\n';
    }
    if (!text_of(update, "problem").empty()) std::cout << "  " << text_of(update, "problem") << '\n';
  }
  if (!text_of(answer, "problem").empty())
    std::cout << "\nnot all tags of " << mirror << " could be compared: " << text_of(answer, "problem")
              << '\n';
}

// What upstreams were asked, page by page; `problem` is that of the last page that has one.
std::optional<Json> updates_of(const ServerLink& link, const std::string& mirror, int& exit_status) {
  Json whole;
  for (std::string query;;) {
    auto page = link.ask("GET", mirror_path(mirror) + "/updates" + query, nullptr, exit_status);
    if (!page) return std::nullopt;
    const std::string next = text_of(*page, "next");
    if (whole.is_null()) {
      whole = std::move(*page);
    } else {
      for (auto& update : (*page)["updates"]) whole["updates"].push_back(std::move(update));
      if (!(*page)["problem"].is_null()) whole["problem"] = (*page)["problem"];
    }
    if (next.empty()) break;
    query = "?last=" + http::percent_encode(next);
  }
  whole.erase("next");
  return whole;
}

std::optional<Json> mirrors_of(const ServerLink& link, int& exit_status) {
  auto answer = link.ask("GET", "/api/v1/mirrors", nullptr, exit_status);
  if (!answer) return std::nullopt;
  return (*answer)["mirrors"];
}

void show_updates(const UpdatesOptions& options, int& exit_status) {
  std::vector<std::string> mirrors;
  if (options.mirror.empty()) {
    const auto all = mirrors_of(options.link, exit_status);
    if (!all) return;
    for (const Json& mirror : *all) mirrors.push_back(text_of(mirror, "name"));
  } else {
    mirrors.push_back(options.mirror);
  }
  Json answers{{"mirrors", Json::array()}};
  for (const std::string& mirror : mirrors) {
    auto answer = updates_of(options.link, mirror, exit_status);
    if (!answer) return;
    answers["mirrors"].push_back(std::move(*answer));
  }
  if (options.link.json) {
    std::cout << answers.dump(2) << '\n';
    return;
  }
  if (mirrors.empty()) std::cout << "This server mirrors nothing: its configuration has no mirrors.\n";
  bool first = true;
  for (const Json& answer : answers["mirrors"]) {
    if (!first) std::cout << '\n';
    first = false;
    print_updates(answer);
  }
}

void approve(const UpdatesOptions& options, int& exit_status) {
  const auto [repository, tag] = split_name(options.name);
  if (tag.empty() || options.name.find('@') != std::string::npos) {
    exit_status = wrong_usage("name the tag, as in docker.io/library/demo:1");
    return;
  }
  const auto mirrors = mirrors_of(options.link, exit_status);
  if (!mirrors) return;
  std::string name;
  for (const Json& mirror : *mirrors) {
    if (repository.starts_with(text_of(mirror, "prefix") + "/")) name = text_of(mirror, "name");
  }
  if (name.empty()) {
    exit_status = wrong_usage(repository + " is no repository of a mirror; stele mirror status lists them");
    return;
  }
  Json body{{"repository", repository}, {"tag", tag}};
  if (!options.digest.empty()) body["digest"] = options.digest;
  const auto done = options.link.ask("POST", mirror_path(name) + "/approvals", body, exit_status);
  if (!done) return;
  if (options.link.json) {
    std::cout << done->dump(2) << '\n';
    return;
  }
  const std::string previous = text_of(*done, "previous"), now = text_of(*done, "digest");
  std::cout << text_of(*done, "repository") << ':' << text_of(*done, "tag");
  if (previous == now) {
    std::cout << " is " << now << " already\n";
    return;
  }
  std::cout << " is now " << now << (previous.empty() ? "" : ", it was " + previous) << '\n';
}

}  // namespace

void add_mirror_updates_commands(CLI::App& mirror, int& exit_status) {
  const auto options = std::make_shared<UpdatesOptions>();
  CLI::App* const updates = mirror.add_subcommand(
      "updates", "What upstream names now for tags that are pinned or in quarantine, beside what is held");
  updates->add_option("mirror", options->mirror, "Of this one only, as in docker.io")->type_name("MIRROR");
  options->link.add_options(*updates);
  updates->callback([options, &exit_status] { show_updates(*options, exit_status); });

  CLI::App* const approving =
      mirror.add_subcommand("approve", "Move a tag to what upstream names, once all of it is here");
  approving->add_option("name", options->name, "As in docker.io/library/demo:1")
      ->type_name("NAME:TAG")
      ->required();
  approving->add_option("--digest", options->digest,
                        "What upstream must name; without it, what was last seen of it");
  options->link.add_options(*approving);
  approving->callback([options, &exit_status] { approve(*options, exit_status); });
}

}  // namespace stele
