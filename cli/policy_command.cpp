#include "cli/policy_command.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/reference.hpp"
#include "cli/server_link.hpp"
#include "config/quantity.hpp"
#include "http/uri.hpp"
#include "policy/cases.hpp"
#include "policy/import/import.hpp"
#include "policy/lifecycle_rules.hpp"
#include "policy/load.hpp"
#include "policy/quotas.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct PolicyOptions {
  ServerLink link;
  std::string file;
  std::string name;
  std::string cases;
  std::string source;
  std::string under;
  std::int64_t days = 30;
};

// Nothing after a complaint.
std::optional<std::string> content(const std::string& path, const char* advice) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    wrong_usage(path + " cannot be read; " + advice);
    return std::nullopt;
  }
  return std::string{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::optional<policy::Loaded> load(const std::string& path) {
  const auto text = content(path, "name a policy file");
  if (!text) return std::nullopt;
  return policy::load_policy(*text, path);
}

// Null after a complaint.
std::shared_ptr<const policy::Policy> load_valid(const std::string& path) {
  const auto loaded = load(path);
  if (!loaded) return nullptr;
  std::cerr << loaded->problems.to_string();
  return loaded->policy;
}

Json problems_json(const ConfigProblems& problems) {
  auto list = Json::array();
  for (const ConfigProblem& problem : problems)
    list.push_back({{"line", problem.line}, {"column", problem.column}, {"message", problem.message}});
  return list;
}

std::string counted(std::size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

int check(const PolicyOptions& options) {
  const auto loaded = load(options.file);
  if (!loaded) return exit_usage;
  const bool good = loaded->policy != nullptr;
  if (options.link.json) {
    Json report{{"file", options.file}, {"valid", good}};
    if (good) report["hash"] = loaded->policy->hash();
    report["problems"] = problems_json(loaded->problems);
    report["warnings"] = problems_json(loaded->warnings);
    std::cout << report.dump(2) << '\n';
    return good ? 0 : exit_usage;
  }
  std::cerr << loaded->problems.to_string();
  for (const ConfigProblem& warning : loaded->warnings)
    std::cerr << "warning: " << warning.to_string() << '\n';
  if (!good) return exit_usage;
  const policy::Lifecycle& lifecycle = *loaded->policy->lifecycle();
  std::cout << options.file << ": valid, " << counted(loaded->policy->rules().size(), "tag rule") << ", ";
  if (!lifecycle.rules().empty()) {
    std::cout << counted(lifecycle.rules().size(), "lifecycle rule")
              << (lifecycle.settings().schedule ? ", " : " (no schedule: runs start only by hand), ");
  }
  const std::size_t quotas = loaded->policy->quotas()->all().size();
  if (quotas > 0) std::cout << counted(quotas, "quota") << ", ";
  std::cout << loaded->policy->hash() << '\n';
  return 0;
}

// policy.yaml → policy.test.yaml
std::string sibling(const std::string& file) {
  for (const std::string_view ending : {".yaml", ".yml"}) {
    if (file.ends_with(ending))
      return file.substr(0, file.size() - ending.size()) + ".test" + std::string(ending);
  }
  return file + ".test";
}

int test(const PolicyOptions& options) {
  const auto policy = load_valid(options.file);
  if (!policy) return exit_usage;
  const std::string path = options.cases.empty() ? sibling(options.file) : options.cases;
  const auto text = content(path, "it holds the cases, see docs/policy.md");
  if (!text) return exit_usage;
  const policy::CaseTable table = policy::run_cases(*text, path, *policy);
  if (!table.problems.empty()) {
    std::cerr << table.problems.to_string();
    return exit_usage;
  }
  int failed = 0;
  Json list = Json::array();
  for (const policy::CaseResult& result : table.results) {
    failed += !result.wrong.empty();
    list.push_back(Json{{"line", result.at.line},
                        {"case", result.what},
                        {"passed", result.wrong.empty()},
                        {"wrong", result.wrong}});
    if (!options.link.json && !result.wrong.empty())
      std::cout << path << ':' << result.at.line << ": " << result.what << ": " << result.wrong << '\n';
  }
  const auto passed = static_cast<int>(table.results.size()) - failed;
  if (options.link.json) {
    std::cout << Json{{"passed", passed}, {"failed", failed}, {"cases", std::move(list)}}.dump(2) << '\n';
  } else {
    std::cout << passed << " passed, " << failed << " failed\n";
  }
  return failed == 0 ? 0 : exit_failed;
}

int import(const PolicyOptions& options) {
  const auto sources = policy::import_sources();
  const auto source = std::find(sources.begin(), sources.end(), options.source);
  if (source == sources.end())
    return wrong_usage("--from must be one of ecr, gar, harbor, ghcr, dockerhub, zot");
  const auto text = content(options.file, "name a document of the other registry");
  if (!text) return exit_usage;
  const policy::Imported imported = policy::import_policy(
      static_cast<policy::ImportSource>(source - sources.begin()), *text, options.file, options.under);
  if (!imported.problems.empty()) {
    std::cerr << imported.problems.to_string();
    return exit_usage;
  }
  if (options.link.json) {
    Json differences = Json::array();
    for (const policy::Difference& difference : imported.differences)
      differences.push_back({{"subject", difference.subject}, {"what", difference.what}});
    std::cout << Json{{"policy", imported.policy}, {"differences", std::move(differences)}}.dump(2) << '\n';
    return 0;
  }
  std::cout << imported.policy;
  return 0;
}

int try_out(const PolicyOptions& options) {
  const auto policy = load_valid(options.file);
  if (!policy) return exit_usage;
  int exit_status = 0;
  const auto report = options.link.send("POST", "/api/v1/policy/try?days=" + std::to_string(options.days),
                                        policy->source(), exit_status);
  if (!report) return exit_status;
  if (options.link.json) {
    std::cout << report->dump(2) << '\n';
    return 0;
  }
  std::cout << (*report)["tags_changed"] << " of " << (*report)["tags"]
            << " tags would be decided differently\n";
  std::vector<std::vector<std::string>> rows;
  for (const Json& tag : (*report)["changed"]) {
    rows.push_back({text_of(tag, "repository") + ":" + text_of(tag, "tag"), text_of(tag, "what"),
                    text_of(tag["mutability"], "now") + " (" + text_of(tag["rule"], "now") + ")",
                    text_of(tag["mutability"], "then") + " (" + text_of(tag["rule"], "then") + ")"});
  }
  if (!rows.empty()) print_table({"TAG", "WHAT", "NOW", "THEN"}, rows);
  std::cout << (*report)["bindings_refused"] << " of " << (*report)["bindings"] << " changes since "
            << text_of(*report, "since") << " would have been refused";
  if ((*report)["undecided"] != 0)
    std::cout << "; of " << (*report)["undecided"] << " the manifests are gone";
  std::cout << '\n';
  rows.clear();
  for (const Json& binding : (*report)["refused"]) {
    rows.push_back({text_of(binding, "repository") + ":" + text_of(binding, "tag"), text_of(binding, "at"),
                    text_of(binding, "by"), text_of(binding, "rule"), text_of(binding, "reason")});
  }
  if (!rows.empty()) print_table({"TAG", "AT", "BY", "RULE", "REASON"}, rows);
  rows.clear();
  for (const Json& tag : (*report)["uncovered"])
    rows.push_back({text_of(tag, "repository") + ":" + text_of(tag, "tag"), text_of(tag, "shape")});
  if (rows.empty()) return 0;
  std::cout << (*report)["tags_uncovered"] << " tags look as if they were meant to stay, but no rule speaks "
            << "of them: they may move\n";
  print_table({"TAG", "LOOKS LIKE"}, rows);
  return 0;
}

std::string moving(const std::string& mutability, const std::string& forward_by) {
  if (mutability == "mutable") return "anyone with the right to push may move it";
  if (mutability == "immutable") return "bound to its first digest; pushing another one is refused";
  if (mutability == "forward-only")
    return "moves, but never to an older org.opencontainers.image." + forward_by;
  return "moves only to a manifest that still has every layer or entry of the present one";
}

std::string removing(const std::string& mutability, bool may_delete) {
  if (!may_delete) return "denied";
  if (mutability == "mutable") return "allowed";
  return mutability == "immutable" ? "allowed; the name stays bound, and only the same digest can come back"
                                   : "allowed; what held before the deletion still counts afterwards";
}

// Whether lifecycle rules can take the tag, and which of them speak of its repository.
std::string expiring(const Json& report) {
  std::string rules;
  for (const Json& rule : report.value("lifecycle_rules", Json::array()))
    rules += (rules.empty() ? "" : ", ") + rule.get<std::string>();
  const std::string speak = rules.empty() ? "no lifecycle rule speaks of its repository"
                                          : "rules that speak of its repository: " + rules;
  return (text_of(report, "lifecycle") == "protect"
              ? "protected from expiry by tag rule " + text_of(report, "rule")
              : std::string("may expire")) +
         "; " + speak;
}

// How much the tag's repository may hold.
std::string holding(const Json& report) {
  if (!report.contains("quota") || !report["quota"].is_object()) return "none speaks of its repository";
  const Json& quota = report["quota"];
  return "its repository may hold " + config::size_in_words(quota.value("bytes", std::uint64_t{0})) + " (" +
         text_of(quota, "rule") + ", repositories " + text_of(quota, "pattern") + ")";
}

// What a policy file says by itself, in the form of GET /api/v1/policy/explain.
std::optional<Json> explain_from_file(const PolicyOptions& options, const RepositoryName& repository,
                                      const Tag& tag) {
  const auto policy = load_valid(options.file);
  if (!policy) return std::nullopt;
  const policy::Match match = policy->tag_rule(repository.str(), tag.str());
  const policy::TagRule& rule = *match.rule;
  Json report{{"repository", repository.str()},
              {"tag", tag.str()},
              {"policy", policy->hash()},
              {"rule", rule.name},
              {"repository_pattern", match.repository_pattern},
              {"tag_pattern", match.tag_pattern},
              {"near", Json::array()},
              {"mutability", policy::to_string(rule.mutability)},
              {"forward_by", nullptr},
              {"delete", rule.may_delete ? "allow" : "deny"},
              {"lifecycle", rule.lifecycle_protects ? "protect" : "allow"},
              {"lifecycle_rules", Json::array()},
              {"quota", nullptr}};
  for (const policy::Lifecycle::Rule* applies : policy->lifecycle()->rules_for(repository.str()))
    report["lifecycle_rules"].push_back(applies->name);
  for (const policy::NearMiss& miss : policy->near_misses(repository.str(), tag.str()))
    report["near"].push_back(Json{{"rule", miss.rule->name}, {"why", miss.why}});
  if (const auto quota = policy->quotas()->of(repository.str())) {
    report["quota"] = Json{{"rule", quota.shown()},
                           {"pattern", policy::pattern_of(*quota.quota, repository.str())},
                           {"bytes", quota.quota->bytes}};
  }
  if (rule.mutability == policy::Mutability::forward_only)
    report["forward_by"] = policy::to_string(rule.forward_by);
  return report;
}

int explain(const PolicyOptions& options) {
  const auto [repository_text, tag_text] = split_name(options.name);
  const auto repository = RepositoryName::parse(repository_text);
  if (!repository || tag_text.empty()) {
    return wrong_usage("write a repository and a tag, as in prod/app:1.4.2" +
                       (repository ? std::string() : "; " + repository.error().message()));
  }
  const auto tag = Tag::parse(tag_text);
  if (!tag) return wrong_usage(tag.error().message());
  int exit_status = exit_usage;
  const auto report =
      options.file.empty()
          ? options.link.ask("GET",
                             "/api/v1/policy/explain?repository=" + http::percent_encode(repository->str()) +
                                 "&tag=" + http::percent_encode(tag->str()),
                             nullptr, exit_status)
          : explain_from_file(options, *repository, *tag);
  if (!report) return exit_status;
  if (options.link.json) {
    std::cout << report->dump(2) << '\n';
    return 0;
  }
  const std::string mutability = text_of(*report, "mutability");
  std::cout << options.name << "\n  rule:       " << text_of(*report, "rule");
  if (!text_of(*report, "tag_pattern").empty()) {
    std::cout << " (tags " << text_of(*report, "tag_pattern") << ", repositories "
              << text_of(*report, "repository_pattern") << ")";
  }
  for (const Json& miss : report->value("near", Json::array()))
    std::cout << "\n  nearly:     " << text_of(miss, "rule") << ": " << text_of(miss, "why");
  std::cout << "\n  policy:     " << (options.file.empty() ? std::string() : options.file + ", ")
            << text_of(*report, "policy");
  if (!text_of(*report, "in_force_since").empty())
    std::cout << ", in force since " << text_of(*report, "in_force_since");
  std::cout << "\n  mutability: " << mutability << ": " << moving(mutability, text_of(*report, "forward_by"))
            << "\n  delete:     " << removing(mutability, text_of(*report, "delete") == "allow")
            << "\n  by whom:    who has the right (stele access explain); a rule knows no exceptions"
            << "\n  lifecycle:  " << expiring(*report) << "\n  quota:      " << holding(*report) << '\n';
  if (report->contains("lock") && (*report)["lock"].is_object()) {
    const Json& lock = (*report)["lock"];
    std::cout << "  locked:     until " << text_of(lock, "until") << " (" << text_of(lock, "mode")
              << ", rule " << text_of(lock, "rule") << ")\n";
  }
  if (report->contains("bound") && (*report)["bound"].is_object()) {
    const Json& bound = (*report)["bound"];
    std::cout << "  bound:      " << (bound.value("deleted", false) ? "deleted, stays bound to " : "")
              << text_of(bound, "digest") << ", pushed " << text_of(bound, "since") << " by "
              << text_of(bound, "by") << '\n';
  } else if (options.file.empty()) {
    std::cout << "  bound:      to nothing yet"
              << (mutability == "immutable" ? "; the first push decides" : "") << '\n';
  }
  if (report->contains("released") && (*report)["released"].is_object()) {
    const Json& released = (*report)["released"];
    const std::string reason = text_of(released, "reason");
    std::cout << "  released:   " << text_of(released, "at") << " by " << text_of(released, "by") << " from "
              << text_of(released, "digest") << (reason.empty() ? "" : ": " + reason) << '\n';
  }
  return 0;
}

}  // namespace

void add_policy_command(CLI::App& app, int& exit_status) {
  CLI::App* const command = app.add_subcommand("policy", "Check a policy, or explain what it says of a tag");
  command->require_subcommand(1);
  const auto options = std::make_shared<PolicyOptions>();

  CLI::App* const check_command = command->add_subcommand(
      "check", "Say whether `stele serve` would accept this policy, and what it may not mean");
  check_command->add_option("file", options->file, "Policy file, YAML")->type_name("FILE")->required();
  check_command->add_flag("--json", options->link.json, "For programs");
  check_command->callback([options, &exit_status] { exit_status = check(*options); });

  CLI::App* const test_command =
      command->add_subcommand("test", "Hold a policy against a table of cases kept beside it");
  test_command->add_option("file", options->file, "Policy file, YAML")->type_name("FILE")->required();
  test_command->add_option("--cases", options->cases, "The table; without: FILE with .test before its ending")
      ->type_name("FILE");
  test_command->add_flag("--json", options->link.json, "For programs");
  test_command->callback([options, &exit_status] { exit_status = test(*options); });

  CLI::App* const try_command = command->add_subcommand(
      "try", "What a policy would change on the running server, and what it would have refused");
  try_command->add_option("file", options->file, "Policy file, YAML")->type_name("FILE")->required();
  try_command->add_option("--days", options->days, "How far back to look")->capture_default_str();
  options->link.add_options(*try_command);
  try_command->callback([options, &exit_status] { exit_status = try_out(*options); });

  CLI::App* const import_command = command->add_subcommand(
      "import", "Make a policy of another registry's own document, and say what it does otherwise");
  import_command->add_option("--from", options->source, "ecr, gar, harbor, ghcr, dockerhub or zot")
      ->type_name("REGISTRY")
      ->required();
  import_command
      ->add_option("--under", options->under,
                   "The path under which its repositories lie here; for Harbor the project")
      ->type_name("PATH");
  import_command->add_option("file", options->file, "The document, JSON or YAML; see docs/policy.md")
      ->type_name("FILE")
      ->required();
  import_command->add_flag("--json", options->link.json, "For programs");
  import_command->callback([options, &exit_status] { exit_status = import(*options); });

  CLI::App* const explain_command =
      command->add_subcommand("explain", "Which rule decides a tag, and what may be done with it");
  explain_command->add_option("name", options->name, "Repository and tag, as in prod/app:1.4.2")
      ->type_name("NAME:TAG")
      ->required();
  explain_command
      ->add_option("--policy", options->file, "Policy file, YAML; without: what the running server says")
      ->type_name("FILE");
  options->link.add_options(*explain_command);
  explain_command->callback([options, &exit_status] { exit_status = explain(*options); });
}

}  // namespace stele
