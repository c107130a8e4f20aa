#include "cli/trash_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/server_link.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct TrashOptions {
  ServerLink link;
  std::string repository;
  std::int64_t run = 0;
  std::int64_t id = 0;
  bool skip_taken = false;
};

std::string joined(const Json& list) {
  std::string text;
  for (const Json& value : list) text += (text.empty() ? "" : ", ") + value.get<std::string>();
  return text;
}

// Exactly one of what can name items.
bool named_once(const TrashOptions& options, int& exit_status) {
  const int named =
      (options.id > 0 ? 1 : 0) + (options.run > 0 ? 1 : 0) + (options.repository.empty() ? 0 : 1);
  if (named == 1) return true;
  exit_status = wrong_usage("name one thing: an ID, --run ID or --repository NAME (stele trash list)");
  return false;
}

void list(const TrashOptions& options, int& exit_status) {
  std::string query;
  const auto add = [&](const std::string& parameter) { query += (query.empty() ? "?" : "&") + parameter; };
  if (!options.repository.empty()) add("repository=" + http::percent_encode(options.repository));
  if (options.run > 0) add("run=" + std::to_string(options.run));
  const auto page = all_pages(options.link, "/api/v1/trash" + query, "items", "after", exit_status);
  if (!page) return;
  if (options.link.json) {
    std::cout << page->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& item : (*page)["items"]) {
    const bool whole = !text_of(item, "media_type").empty();
    rows.push_back({item["id"].dump(), item["run"].dump(), text_of(item, "repository"),
                    text_of(item, "digest").substr(0, 19), joined(item["tags"]), whole ? "" : "tags only",
                    text_of(item, "removed_at"), text_of(item, "erase_after"), text_of(item, "rule")});
  }
  print_table({"ID", "RUN", "REPOSITORY", "DIGEST", "TAGS", "", "REMOVED", "ERASED AFTER", "RULE"}, rows);
}

void print_refusals(const Json& answer) {
  if (answer["refused"] == 0) return;
  std::cout << answer["refused"] << " stay in the trash:\n";
  for (const Json& refusal : answer["refusals"])
    std::cout << "  " << refusal["id"] << ": " << text_of(refusal, "message") << '\n';
}

// As for whatever is refused: scripts are told, though the rest was done.
void tell_refusals(const std::optional<Json>& answer, int& exit_status) {
  if (answer && answer->contains("refused") && (*answer)["refused"] != 0) exit_status = exit_refused;
}

void restore(const TrashOptions& options, int& exit_status) {
  if (!named_once(options, exit_status)) return;
  Json body = Json::object();
  if (options.skip_taken) body["skip_taken"] = true;
  if (options.run > 0) body["run"] = options.run;
  const std::string path =
      options.run > 0 ? "/api/v1/trash/restore" : "/api/v1/trash/" + std::to_string(options.id) + "/restore";
  const auto answer = options.link.ask("POST", path, body, exit_status);
  tell_refusals(answer, exit_status);
  if (!answer) return;
  if (options.link.json) {
    std::cout << answer->dump(2) << '\n';
    return;
  }
  if (options.run > 0) {
    std::cout << (*answer)["manifests"] << " manifests and " << (*answer)["tags"] << " tags are back, "
              << (*answer)["skipped"] << " tags were skipped\n";
    print_refusals(*answer);
    return;
  }
  const Json& tags = (*answer)["tags"];
  const Json& skipped = (*answer)["skipped"];
  std::cout << text_of(*answer, "repository") << ": " << (*answer)["manifests"].size()
            << " manifests are back";
  if (!tags.empty()) std::cout << ", tagged " << joined(tags);
  if (!skipped.empty()) std::cout << "; bound elsewhere by now: " << joined(skipped);
  std::cout << '\n';
}

void erase(const TrashOptions& options, int& exit_status) {
  if (!named_once(options, exit_status)) return;
  std::optional<Json> answer;
  if (options.id > 0) {
    answer = options.link.ask("DELETE", "/api/v1/trash/" + std::to_string(options.id), nullptr, exit_status);
  } else {
    Json body = Json::object();
    if (options.run > 0) body["run"] = options.run;
    if (!options.repository.empty()) body["repository"] = options.repository;
    answer = options.link.ask("POST", "/api/v1/trash/erase", body, exit_status);
  }
  tell_refusals(answer, exit_status);
  if (!answer) return;
  if (options.link.json) {
    std::cout << answer->dump(2) << '\n';
    return;
  }
  std::cout << (*answer)["erased"] << " are erased; the collector takes away what nothing else needs\n";
  print_refusals(*answer);
}

}  // namespace

void add_trash_command(CLI::App& app, int& exit_status) {
  CLI::App* const trash =
      app.add_subcommand("trash", "What lifecycle removed: back with it, or away for good");
  trash->require_subcommand(1);
  const auto options = std::make_shared<TrashOptions>();
  const auto add = [&](const char* name, const char* about, void (*run)(const TrashOptions&, int&)) {
    CLI::App* const command = trash->add_subcommand(name, about);
    command->callback([options, &exit_status, run] { run(*options, exit_status); });
    options->link.add_options(*command);
    command->add_option("--run", options->run, "A run of lifecycle (stele lifecycle runs)")
        ->check(CLI::PositiveNumber);
    return command;
  };
  CLI::App* command = add("list", "What is there, and until when", list);
  command->add_option("--repository", options->repository, "As in prod/app");
  command =
      add("restore", "Bring an item back with its tags, children and signatures, or a whole run", restore);
  command->add_option("id", options->id, "From `stele trash list`")->check(CLI::PositiveNumber);
  command->add_flag("--skip-taken", options->skip_taken, "Without the tags that are bound elsewhere by now");
  command = add("erase", "Erase an item, a run's or a repository's: nothing brings it back", erase);
  command->add_option("id", options->id, "From `stele trash list`")->check(CLI::PositiveNumber);
  command->add_option("--repository", options->repository, "As in prod/app");
}

}  // namespace stele
