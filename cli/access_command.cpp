#include "cli/access_command.hpp"

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "auth/id_token.hpp"
#include "cli/server_link.hpp"
#include "http/uri.hpp"
#include "policy/access_question.hpp"
#include "policy/load.hpp"

namespace stele {
namespace {

using AccessAnswer = nlohmann::ordered_json;

struct AccessOptions {
  ServerLink link;
  policy::AccessWords words;
  std::string file;
  std::string id_token;  // a file that holds one; "-": standard input
};

// Who shows the ID token, and what it says: nothing is verified. False after a complaint.
bool read_id_token(AccessOptions& options, int& exit_status) {
  std::string token;
  if (options.id_token == "-") {
    std::getline(std::cin, token);
  } else {
    std::ifstream file(options.id_token, std::ios::binary);
    std::getline(file, token);
  }
  while (token.ends_with('\r') || token.ends_with(' ')) token.pop_back();
  auto said = auth::IdToken::parse(token);
  const auto read = said ? said->read_claims() : Result<void>(said.error());
  if (!said || !read) {
    exit_status = wrong_usage("there is no ID token in " + options.id_token + ": " + read.error().message());
    return false;
  }
  options.words.who = "oidc:" + said->issuer;
  for (const Claim& claim : said->claims) options.words.claims.push_back(claim.name + "=" + claim.value);
  return true;
}

// By a file, without a server.
std::optional<AccessAnswer> answer_of_file(const AccessOptions& options,
                                           const policy::AccessQuestion& question, int& exit_status) {
  std::ifstream file(options.file, std::ios::binary);
  if (!file) {
    exit_status = wrong_usage(options.file + " cannot be read; name a policy file");
    return std::nullopt;
  }
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto loaded = policy::load_policy(text, options.file);
  std::cerr << loaded.problems.to_string();
  exit_status = loaded.policy ? 0 : exit_usage;
  if (!loaded.policy) return std::nullopt;
  return AccessAnswer::parse(policy::answer_json(*loaded.policy, question, std::nullopt));
}

std::optional<AccessAnswer> answer_of_server(const AccessOptions& options, int& exit_status) {
  const policy::AccessWords& words = options.words;
  std::string path = "/api/v1/access/explain?who=" + http::percent_encode(words.who) +
                     "&action=" + http::percent_encode(words.action);
  if (!words.repository.empty()) path += "&repository=" + http::percent_encode(words.repository);
  for (const std::string& group : words.groups) path += "&group=" + http::percent_encode(group);
  for (const std::string& claim : words.claims) path += "&claim=" + http::percent_encode(claim);
  return options.link.ask("GET", path, nullptr, exit_status);
}

// "rule team (line 3)"
std::string rule_shown(const AccessAnswer& rule) {
  const std::string name = text_of(rule, "name");
  return "rule " + (name.empty() ? rule["number"].dump() : name) + " (line " + rule["line"].dump() + ")";
}

// Whom the server takes the user for, where it was not told.
void print_groups(const AccessAnswer& answer) {
  const std::string from = text_of(answer, "groups_from");
  if (from == "nobody") {
    std::cout << "  nobody of that name logs in here now, and no --group was named: taken to be in none\n";
  } else if (from == "server") {
    constexpr std::size_t most_shown = 20;
    std::string groups;
    std::size_t count = 0;
    for (const AccessAnswer& group : answer["groups"]) {
      if (count++ < most_shown) groups += (groups.empty() ? "" : ", ") + shown(group.get<std::string>());
    }
    if (count > most_shown) groups += " and " + std::to_string(count - most_shown) + " more";
    std::cout << "  in " << (groups.empty() ? "no group" : "the groups " + groups)
              << ", as the server knows him now\n";
  }
}

void print_answer(const AccessAnswer& answer) {
  const std::string repository = text_of(answer, "repository");
  const bool allowed = answer["allowed"] == true;
  std::cout << text_of(answer, "who") << ' ' << (allowed ? "may" : "may not") << ' '
            << text_of(answer, "action")
            << (repository.empty() ? " over the whole server" : " in " + repository) << '\n';
  print_groups(answer);
  const std::string decided_by = text_of(answer, "decided_by");
  if (decided_by == "no access rules") {
    std::cout << "  the policy has no access_rules: access is not limited by rules\n";
  } else if (decided_by == "robot scopes") {
    std::cout << "  the robot's scopes do not leave it; stele robot list shows them\n";
  } else if (decided_by == "no rule") {
    std::cout << "  no rule allows it\n";
  } else {
    std::cout << "  " << (allowed ? "allowed" : "denied") << " by " << rule_shown(answer["rule"])
              << ", which speaks of " << text_of(answer, "through");
    if (const std::string pattern = text_of(answer, "repository_pattern"); !pattern.empty())
      std::cout << " in " << pattern;
    std::cout << '\n';
  }
  for (const AccessAnswer& miss : answer["near"])
    std::cout << "  nearly: " << rule_shown(miss["rule"]) << ": " << text_of(miss, "why") << '\n';
}

void explain_access(AccessOptions& options, int& exit_status) {
  if (options.words.who.empty() && options.id_token.empty()) {
    exit_status = wrong_usage("name who asks: --who, or --id-token");
    return;
  }
  if (!options.id_token.empty() && !read_id_token(options, exit_status)) return;
  const auto question = policy::read_question(options.words);
  if (!question) {
    exit_status = wrong_usage(question.error().message());
    return;
  }
  const auto answer = options.file.empty() ? answer_of_server(options, exit_status)
                                           : answer_of_file(options, *question, exit_status);
  if (!answer) return;
  if ((*answer)["allowed"].is_null()) {
    exit_status = wrong_usage(options.file +
                              " has no access_rules: what holds then is the server's to say; leave out "
                              "--policy");
    return;
  }
  if (options.link.json) {
    std::cout << answer->dump(2) << '\n';
  } else {
    print_answer(*answer);
  }
  if ((*answer)["allowed"] != true) exit_status = exit_refused;
}

}  // namespace

void add_access_command(CLI::App& app, int& exit_status) {
  CLI::App* const command = app.add_subcommand("access", "Who may do what");
  command->require_subcommand(1);
  const auto options = std::make_shared<AccessOptions>();
  CLI::App* const explain = command->add_subcommand(
      "explain", "Whether somebody may do something, and which rule says so; ends with 3 when not");
  CLI::Option* const who = explain
                               ->add_option("--who", options->words.who,
                                            "user:NAME, robot:NAME, cert:NAME, oidc:ISSUER or anonymous")
                               ->type_name("WHO");
  explain
      ->add_option("--id-token", options->id_token,
                   "Whoever shows the ID token in this file, with all that it says (not verified); -: from "
                   "standard input")
      ->type_name("FILE")
      ->excludes(who);
  explain
      ->add_option(
          "--group", options->words.groups,
          "A group that he is in, instead of those that the server knows a user to be in; several times")
      ->type_name("NAME");
  explain->add_option("--claim", options->words.claims, "With oidc: what the token says; several times")
      ->type_name("NAME=VALUE");
  explain->add_option("--action", options->words.action, "A right: pull, push, delete, …")
      ->type_name("RIGHT")
      ->required();
  explain->add_option("--repository", options->words.repository, "Without: over the whole server")
      ->type_name("NAME");
  explain->add_option("--policy", options->file, "Policy file, YAML; without: what the running server says")
      ->type_name("FILE");
  options->link.add_options(*explain);
  explain->callback([options, &exit_status] { explain_access(*options, exit_status); });
}

}  // namespace stele
