#include "cli/in_use_command.hpp"

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/kubectl_images.hpp"
#include "cli/server_link.hpp"
#include "http/uri.hpp"
#include "registry/in_use.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct InUseOptions {
  ServerLink link;
  std::string cluster;
  std::vector<std::string> kubectl_files;
  std::vector<std::string> list_files;
  std::string lease;
  std::string reason;
  bool allow_empty = false;
};

std::string path_of(const std::string& cluster) {
  return "/api/v1/in-use/" + http::percent_encode(cluster);
}

using Reader = Result<void> (*)(std::istream&, std::size_t, std::set<std::string>&);

Result<void> read_all(const std::vector<std::string>& files, Reader read, std::set<std::string>& images) {
  for (const std::string& name : files) {
    std::ifstream file;
    if (name != "-") file.open(name, std::ios::binary);
    if (name != "-" && !file) return Error(Errc::parameter_invalid, name + " cannot be read");
    const auto done = read(name == "-" ? std::cin : file, InUse::most_images, images);
    if (!done) {
      return Error(Errc::parameter_invalid, (name == "-" ? std::string("standard input") : name) + ": " +
                                                done.error().message() + "; nothing is reported");
    }
  }
  return {};
}

void report(const InUseOptions& options, int& exit_status) {
  if (options.kubectl_files.empty() && options.list_files.empty()) {
    exit_status = wrong_usage(
        "name where the images stand: --from-kubectl FILE or --from-list FILE, - for standard input");
    return;
  }
  std::set<std::string> images;
  auto read = read_all(options.kubectl_files, read_kubectl_images, images);
  if (read) read = read_all(options.list_files, read_image_list, images);
  if (!read) {
    exit_status = wrong_usage(read.error().message());
    return;
  }
  if (images.empty() && !options.allow_empty) {
    exit_status = wrong_usage("no image was found for cluster " + options.cluster +
                              "; nothing is reported, and what was reported before stays protected. If the "
                              "cluster really runs none: --allow-empty");
    return;
  }
  Json body{{"images", images}};
  if (!options.lease.empty()) body["lease"] = options.lease;
  if (options.allow_empty) body["allow_empty"] = true;
  const std::string text = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  const auto taken = options.link.send("PUT", path_of(options.cluster), text, exit_status);
  if (!taken) return;
  if (options.link.json) {
    std::cout << taken->dump(2) << '\n';
    return;
  }
  std::cout << "cluster " << options.cluster << ": " << (*taken)["images"] << " references, "
            << (*taken)["protected"] << " manifests protected, " << (*taken)["unknown_count"]
            << " references unknown here; the next report is due before " << text_of(*taken, "until") << '\n';
}

void list(const InUseOptions& options, int& exit_status) {
  const auto answer = options.link.ask("GET", "/api/v1/in-use", nullptr, exit_status);
  if (!answer) return;
  if (options.link.json) {
    std::cout << answer->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& report : (*answer)["reports"]) {
    rows.push_back({text_of(report, "cluster"), report["stale"] == true ? "stale" : "fresh",
                    text_of(report, "reported_at"), text_of(report, "lease"), report["images"].dump(),
                    report["protected"].dump(), report["unknown_count"].dump(),
                    text_of(report, "reported_by")});
  }
  print_table({"CLUSTER", "STATE", "REPORTED", "LEASE", "IMAGES", "PROTECTED", "UNKNOWN", "BY"}, rows);
}

void show(const InUseOptions& options, int& exit_status) {
  const auto report = all_pages(options.link, path_of(options.cluster), "manifests", "after", exit_status);
  if (!report) return;
  if (options.link.json) {
    std::cout << report->dump(2) << '\n';
    return;
  }
  std::cout << "cluster " << options.cluster << ", reported " << text_of(*report, "reported_at") << " by "
            << text_of(*report, "reported_by") << ", "
            << ((*report)["stale"] == true ? "stale since " : "due before ") << text_of(*report, "until")
            << '\n';
  std::vector<std::vector<std::string>> rows;
  for (const Json& manifest : (*report)["manifests"]) {
    rows.push_back({text_of(manifest, "repository"), text_of(manifest, "digest"), text_of(manifest, "since"),
                    manifest["present"] == true ? "yes" : "no"});
  }
  print_table({"REPOSITORY", "DIGEST", "SINCE", "PRESENT"}, rows);
  const Json& unknown = (*report)["unknown"];
  if (unknown.empty()) return;
  std::cout << "unknown here (" << unknown.size() << " of " << (*report)["unknown_count"] << "):\n";
  for (const Json& reference : unknown) std::cout << "  " << shown(reference.get<std::string>()) << '\n';
}

void remove(const InUseOptions& options, int& exit_status) {
  const Json body{{"reason", options.reason}};
  const auto done = options.link.ask("DELETE", path_of(options.cluster), body, exit_status);
  if (!done) return;
  if (options.link.json) {
    std::cout << done->dump(2) << '\n';
    return;
  }
  std::cout << "the report of cluster " << options.cluster << " is removed; it protects nothing any more\n";
}

}  // namespace

void add_in_use_command(CLI::App& app, int& exit_status) {
  CLI::App* const in_use =
      app.add_subcommand("in-use", "What clusters run, and what is therefore never removed");
  in_use->require_subcommand(1);
  const auto options = std::make_shared<InUseOptions>();
  const auto subcommand = [&](const char* name, const char* about, void (*run)(const InUseOptions&, int&)) {
    CLI::App* const command = in_use->add_subcommand(name, about);
    command->callback([options, &exit_status, run] { run(*options, exit_status); });
    options->link.add_options(*command);
    return command;
  };
  const auto cluster = [&](CLI::App* command) {
    command->add_option("cluster", options->cluster, "The cluster's name, as in prod-eu")->required();
  };

  CLI::App* command = subcommand("report", "Replace the report of what a cluster runs", report);
  cluster(command);
  command
      ->add_option("--from-kubectl", options->kubectl_files,
                   "What kubectl get pods -A -o json printed; - for standard input; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--from-list", options->list_files,
                   "One image reference or digest per line; - for standard input; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command->add_option("--lease", options->lease,
                      "When the report counts as stale, as in 24h (which is the default)");
  command->add_flag("--allow-empty", options->allow_empty,
                    "The cluster really runs nothing from here: end its protection");

  subcommand("list", "Every cluster's report, and whether it is stale", list);
  cluster(subcommand("show", "What one cluster runs", show));
  command = subcommand("remove", "The cluster is no more: end its protection", remove);
  cluster(command);
  command->add_option("--reason", options->reason, "Kept in the record")->required();
}

}  // namespace stele
