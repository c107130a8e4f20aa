#include "cli/mirror_command.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/mirror_updates_command.hpp"
#include "cli/mirror_warm_command.hpp"
#include "cli/server_link.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

std::string percent_of(const Json& rate) {
  if (!rate.is_number()) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", rate.get<double>() * 100);
  return text;
}

std::string number_or_dash(const Json& value) {
  return value.is_number() ? value.dump() : "-";
}

// What keeps the mirror from asking, or nothing.
std::string condition_of(const Json& mirror) {
  std::string text;
  for (const Json& url : mirror["upstreams"]) {
    if (!text.empty()) text += "; ";
    text += text_of(url, "problem").empty() ? text_of(url, "url") + " is asked" : text_of(url, "problem");
  }
  if (mirror.value("tag_ttl_stretched", false))
    text += "; tags are believed for " + mirror["tag_ttl"].dump() + " s, its limit is nearly used up";
  return text;
}

void show_mirrors(const ServerLink& link, int& exit_status) {
  const auto answer = link.ask("GET", "/api/v1/mirrors", Json(), exit_status);
  if (!answer) return;
  if (link.json) {
    std::cout << answer->dump(2) << '\n';
    return;
  }
  const Json& mirrors = (*answer)["mirrors"];
  if (mirrors.empty()) {
    std::cout << "This server mirrors nothing: its configuration has no mirrors.\n";
    return;
  }
  std::vector<std::vector<std::string>> rows, fetches;
  for (const Json& mirror : mirrors) {
    rows.push_back({text_of(mirror, "name"), mirror["hits"].dump(), mirror["misses"].dump(),
                    percent_of(mirror["hit_rate"]), mirror["stale_answers"].dump(),
                    mirror["fetched_bytes"].dump(), mirror["served_bytes"].dump(),
                    number_or_dash(mirror["remaining"]), condition_of(mirror)});
    for (const Json& fetch : mirror["fetches"])
      fetches.push_back({text_of(fetch, "repository"), text_of(fetch, "digest"),
                         fetch["arrived_bytes"].dump(), number_or_dash(fetch["bytes"])});
  }
  print_table({"MIRROR", "HITS", "MISSES", "HIT RATE", "STALE", "FETCHED", "SERVED", "REMAINING", "UPSTREAM"},
              rows);
  if (fetches.empty()) return;
  std::cout << '\n';
  print_table({"ARRIVING IN", "BLOB", "ARRIVED", "BYTES"}, fetches);
}

}  // namespace

void add_mirror_command(CLI::App& app, int& exit_status) {
  CLI::App* const mirror = app.add_subcommand("mirror", "Mirrors of other registries");
  mirror->require_subcommand(1);
  const auto link = std::make_shared<ServerLink>();
  CLI::App* const status = mirror->add_subcommand(
      "status", "Hit rate, upstream's limit, whether it is asked, and what is arriving");
  link->add_options(*status);
  status->callback([link, &exit_status] { show_mirrors(*link, exit_status); });
  add_mirror_warm(*mirror, exit_status);
  add_mirror_updates_commands(*mirror, exit_status);
}

}  // namespace stele
