#include "cli/lifecycle_command.hpp"

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "cli/quantities.hpp"
#include "cli/server_link.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct LifecycleOptions {
  ServerLink link;
  std::string repository;
  std::string policy_file;
  std::string output;
  std::string at;
  std::string plan_file;
  std::string reason;
  std::int64_t run = 0;
  bool all = false;
  bool approve = false;
};

std::optional<std::string> read_whole(const std::string& path) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file) return std::nullopt;
  return text;
}

std::string name_of(const Json& item) {
  const std::string tag = text_of(item, "tag"), digest = text_of(item, "digest");
  return tag.empty() ? "@" + digest.substr(0, digest.find(':') + 13) : tag;
}

// A manifest that goes with its last tag has an item of its own, which for people says nothing new.
void print_items(const Json& items, bool all) {
  std::set<std::pair<std::string, std::string>> tagged;
  for (const Json& item : items) {
    if (!text_of(item, "tag").empty()) tagged.emplace(text_of(item, "repository"), text_of(item, "digest"));
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& item : items) {
    const std::string verdict = text_of(item, "verdict");
    if (!all && verdict == "KEEP") continue;
    if (text_of(item, "tag").empty() &&
        tagged.contains({text_of(item, "repository"), text_of(item, "digest")}))
      continue;
    const Json& age = item["age_seconds"];
    rows.push_back({verdict, text_of(item, "repository"), name_of(item),
                    age.is_number() ? age_text(age.get<std::int64_t>()) : "?",
                    text_of(item, "last_used").substr(0, 10), size_text(item.value("frees_bytes", 0LL)),
                    text_of(item, "reason")});
  }
  if (!rows.empty())
    print_table({"VERDICT", "REPOSITORY", "TAG", "AGE", "LAST USED", "FREES", "REASON"}, rows);
}

void print_plan(const Json& document, bool all) {
  const Json& plan = document["plan"];
  print_items(document["items"], all);
  std::cout << plan["expiring"] << " would go and free " << size_text(plan.value("frees_bytes", 0LL)) << ", "
            << plan["blocked"] << " are blocked; " << plan["manifests"] << " manifests in "
            << plan["repositories"] << " repositories were judged"
            << (all ? "" : " (--all shows what is kept, too)") << "\nplan " << text_of(plan, "hash")
            << ", made " << text_of(plan, "made_at");
  if (const std::string at = text_of(plan, "at"); !at.empty())
    std::cout << ", of what would go at " << at << " if nothing is pushed or pulled until then";
  std::cout << '\n';
  for (const Json& stopped : plan["stopped"])
    std::cout << text_of(stopped, "repository") << ": " << text_of(stopped, "reason") << '\n';
}

void plan(const LifecycleOptions& options, int& exit_status) {
  Json body = Json::object();
  if (!options.repository.empty()) body["repository"] = options.repository;
  if (!options.at.empty()) body["at"] = options.at;
  if (!options.policy_file.empty()) {
    const auto policy = read_whole(options.policy_file);
    if (!policy) {
      exit_status = wrong_usage("no policy can be read from " + options.policy_file);
      return;
    }
    body["policy"] = *policy;
  }
  const auto document = options.link.ask("POST", "/api/v1/lifecycle/plan", body, exit_status);
  if (!document) return;
  if (!options.output.empty()) {
    std::ofstream file(options.output, std::ios::binary | std::ios::trunc);
    file << document->dump(1) << '\n';
    file.close();
    if (!file) {
      std::cerr << "stele: the plan cannot be written to " << options.output << '\n';
      exit_status = exit_failed;
      return;
    }
  }
  if (options.link.json) {
    std::cout << document->dump(1) << '\n';
  } else {
    print_plan(*document, options.all);
  }
}

void print_run(const LifecycleOptions& options, const std::optional<Json>& run, int& exit_status) {
  if (!run) return;
  const std::string state = text_of(*run, "state");
  if (state == "failed") exit_status = exit_failed;
  if (options.link.json) {
    std::cout << run->dump(1) << '\n';
    return;
  }
  std::cout << "run " << (*run)["id"] << ": " << state << ", started by " << text_of(*run, "started_by")
            << ' ' << text_of(*run, "begun_at") << '\n'
            << "removed:  " << (*run)["removed"] << " manifests and " << (*run)["untagged"]
            << " tags, in the trash for now; erasing them frees " << size_text(run->value("bytes", 0LL))
            << '\n'
            << "survived: " << (*run)["survived"]
            << " that were due when judged and not any more; blocked: " << (*run)["blocked"] << '\n';
  if (const std::string message = text_of(*run, "message"); !message.empty()) std::cout << message << '\n';
  if (state == "waiting")
    std::cout << "next: stele lifecycle approve " << (*run)["id"] << ", or stele lifecycle dismiss "
              << (*run)["id"] << '\n';
}

void apply(const LifecycleOptions& options, int& exit_status) {
  const auto text = read_whole(options.plan_file);
  auto document = text ? Json::parse(*text, nullptr, false) : Json();
  if (!text || !document.is_object() || !document.contains("items") || !document["items"].is_array()) {
    exit_status = wrong_usage("no plan can be read from " + options.plan_file +
                              "; stele lifecycle plan --output FILE makes one");
    return;
  }
  // The server needs only what is to go; its hash binds just that.
  Json items = Json::array();
  for (Json& item : document["items"]) {
    if (text_of(item, "verdict") == "EXPIRE") items.push_back(std::move(item));
  }
  document["items"] = std::move(items);
  print_run(
      options,
      options.link.ask("POST", std::string("/api/v1/lifecycle/apply") + (options.approve ? "?approve=1" : ""),
                       document, exit_status),
      exit_status);
}

void show(const LifecycleOptions& options, int& exit_status) {
  const std::string query =
      options.repository.empty() ? "" : "?repository=" + http::percent_encode(options.repository);
  const auto answer = options.link.ask("GET", "/api/v1/lifecycle" + query, nullptr, exit_status);
  if (!answer) return;
  if (options.link.json) {
    std::cout << answer->dump(1) << '\n';
    return;
  }
  const std::string schedule = text_of(*answer, "schedule"), next = text_of(*answer, "next");
  std::cout << "schedule: " << (schedule.empty() ? "none: runs start only by hand" : schedule + " (UTC)");
  if (!next.empty()) std::cout << ", next " << next;
  std::cout << "\ntrash:    " << age_text(answer->value("trash_for_seconds", 0LL)) << '\n';
  if ((*answer)["rules"].empty()) std::cout << "no rule applies: nothing is ever removed\n";
  for (const Json& rule : (*answer)["rules"]) {
    std::cout << "rule " << text_of(rule, "name") << '\n';
    for (const Json& entry : rule["keep"]) std::cout << "  keep    " << entry.get<std::string>() << '\n';
    for (const Json& entry : rule["expire"]) std::cout << "  expire  " << entry.get<std::string>() << '\n';
  }
}

void runs(const LifecycleOptions& options, int& exit_status) {
  if (options.run != 0) {
    print_run(options,
              options.link.ask("GET", "/api/v1/lifecycle/runs/" + std::to_string(options.run), nullptr,
                               exit_status),
              exit_status);
    return;
  }
  const auto list = options.link.ask("GET", "/api/v1/lifecycle/runs", nullptr, exit_status);
  if (!list) return;
  if (options.link.json) {
    std::cout << list->dump(1) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& run : (*list)["runs"]) {
    rows.push_back({run["id"].dump(), text_of(run, "state"), text_of(run, "started_by"),
                    text_of(run, "begun_at"), run["removed"].dump(), run["untagged"].dump(),
                    run["survived"].dump(), run["blocked"].dump(), size_text(run.value("bytes", 0LL))});
  }
  print_table({"RUN", "STATE", "STARTED BY", "BEGUN", "REMOVED", "TAGS", "SURVIVED", "BLOCKED", "FREES"},
              rows);
}

}  // namespace

void add_lifecycle_command(CLI::App& app, int& exit_status) {
  const auto options = std::make_shared<LifecycleOptions>();
  CLI::App* const command = app.add_subcommand("lifecycle", "What the lifecycle rules keep and remove");
  command->require_subcommand(1);
  const auto subcommand = [&](const std::string& name, const std::string& about, const auto& run) {
    CLI::App* const made = command->add_subcommand(name, about);
    options->link.add_options(*made);
    made->callback([options, run] { run(*options); });
    return made;
  };
  CLI::App* const planning = subcommand("plan", "What would go now, and why; changes nothing",
                                        [&exit_status](const LifecycleOptions& o) { plan(o, exit_status); });
  planning->add_option("--repository", options->repository, "Only repositories that match this pattern");
  planning->add_option("--policy", options->policy_file, "By this policy file instead of the one in force");
  planning->add_option(
      "--at", options->at,
      "What would go at this time to come (2026-12-24T03:00:00Z), if nothing is pushed or pulled "
      "until then");
  planning->add_option("--output", options->output, "Write the plan to a file, for apply");
  planning->add_flag("--all", options->all, "Show what is kept, too");
  CLI::App* const showing = subcommand("show", "The schedule, and the rules that apply",
                                       [&exit_status](const LifecycleOptions& o) { show(o, exit_status); });
  showing->add_option("repository", options->repository, "Only those that apply to this repository");
  CLI::App* const applying =
      subcommand("apply", "Move what a plan says to the trash, as far as it is still due",
                 [&exit_status](const LifecycleOptions& o) { apply(o, exit_status); });
  applying
      ->add_option("plan", options->plan_file,
                   "A file of stele lifecycle plan --output; - for standard input")
      ->required();
  applying->add_flag("--approve", options->approve, "Also where max_fraction or max_count would stop a run");
  subcommand("run", "What the schedule would do, now", [&exit_status](const LifecycleOptions& o) {
    print_run(o, o.link.ask("POST", "/api/v1/lifecycle/run", Json::object(), exit_status), exit_status);
  });
  CLI::App* const listing = subcommand("runs", "Past runs, or one of them",
                                       [&exit_status](const LifecycleOptions& o) { runs(o, exit_status); });
  listing->add_option("run", options->run, "Its number");
  const auto decide = [options, &exit_status](const std::string& what) {
    Json body = Json::object();
    if (!options->reason.empty()) body["reason"] = options->reason;
    print_run(*options,
              options->link.ask("POST", "/api/v1/lifecycle/runs/" + std::to_string(options->run) + "/" + what,
                                body, exit_status),
              exit_status);
  };
  CLI::App* const approving = subcommand("approve", "Carry out what waits in a run",
                                         [decide](const LifecycleOptions&) { decide("approve"); });
  approving->add_option("run", options->run, "Its number")->required();
  CLI::App* const dismissing = subcommand("dismiss", "Remove nothing of what waits in a run",
                                          [decide](const LifecycleOptions&) { decide("dismiss"); });
  dismissing->add_option("run", options->run, "Its number")->required();
  dismissing->add_option("--reason", options->reason, "Kept in the record");
}

}  // namespace stele
