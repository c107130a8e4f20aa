#include "cli/token_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/saved_logins.hpp"
#include "cli/secret_input.hpp"
#include "cli/secret_options.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using TokenJson = nlohmann::ordered_json;

struct TokenOptions : SecretOptions {
  std::string subject;
  std::int64_t id = 0;
  bool own = false;
  std::string user;
  bool password_stdin = false;
};

// The password itself, which no login keeps: what a client keeps makes no tokens.
bool log_in_for_once(const TokenOptions& options, ServerLink& link, int& exit_status) {
  if (link.server.empty()) {
    exit_status =
        wrong_usage("a token is made over the network, by who will show it: name the server with --server");
    return false;
  }
  link.user = options.user;
  if (link.user.empty()) {
    const auto saved = saved_login(link.server);
    if (saved && *saved) {
      link.user = (*saved)->user;
      if (link.ca_file.empty()) link.ca_file = (*saved)->ca_file;
    }
  }
  if (link.user.empty()) {
    exit_status = wrong_usage("--username is missing: whose token is it to be?");
    return false;
  }
  const auto password = options.password_stdin ? secret_from_stdin("password", exit_status)
                                               : secret_from_terminal("Password of " + link.user + ": ",
                                                                      "--password-stdin", exit_status);
  if (password) link.password = *password;
  return password.has_value();
}

void create_token(const TokenOptions& options, int& exit_status) {
  ServerLink link = options.link;
  if (!log_in_for_once(options, link, exit_status)) return;
  TokenJson body{{"name", options.name}, {"scopes", options.scopes}};
  if (!options.expires.empty()) body["expires"] = options.expires;
  const auto made = link.ask("POST", "/api/v1/account/tokens", body, exit_status);
  if (!made) return;
  if (options.link.json) {
    std::cout << made->dump(2) << '\n';
    return;
  }
  const std::string until = text_of(*made, "expires_at");
  std::cerr << "token " << (*made)["id"].dump() << " (" << text_of(*made, "name") << ')'
            << (until.empty() ? std::string(" does not expire") : " expires " + until)
            << "; it is not shown again:\n";
  std::cout << text_of(*made, "secret") << std::endl;
  const std::string subject = text_of(*made, "subject");
  std::cerr << "log in with: docker login --username " << subject.substr(subject.find(':') + 1)
            << " --password-stdin\n";
}

void list_tokens(const TokenOptions& options, int& exit_status) {
  if (options.own && !options.subject.empty()) {
    exit_status = wrong_usage("--own lists your tokens and --of somebody's, not both");
    return;
  }
  const std::string query =
      options.subject.empty() ? std::string() : "?subject=" + http::percent_encode(options.subject);
  const auto page = options.own
                        ? options.link.ask("GET", "/api/v1/account/tokens", TokenJson(), exit_status)
                        : all_pages(options.link, "/api/v1/tokens" + query, "tokens", "after", exit_status);
  if (!page) return;
  if (options.link.json) {
    std::cout << page->dump(2) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const TokenJson& token : (*page)["tokens"]) {
    const std::string used = text_of(token, "last_used_at");
    rows.push_back({token["id"].dump(), text_of(token, "kind"), text_of(token, "subject"),
                    text_of(token, "created_at"), text_of(token, "expires_at"), used.empty() ? "never" : used,
                    text_of(token, "name"), scopes_shown(token)});
    if (options.own) rows.back().push_back(text_of(token, "state"));
  }
  std::vector<std::string> head{"ID", "KIND", "OF", "CREATED", "EXPIRES", "USED", "NAME", "SCOPES"};
  if (options.own) head.emplace_back("STATE");
  print_table(head, rows);
}

void revoke_tokens(const TokenOptions& options, int& exit_status) {
  TokenJson body = options.with_reason();
  body["subject"] = options.subject;
  const auto done = options.link.ask("POST", "/api/v1/tokens/revoke", body, exit_status);
  if (!done) return;
  const std::size_t count = (*done)["revoked"].size();
  options.say(*done, (count == 1 ? std::string("one token") : std::to_string(count) + " tokens") + " of " +
                         text_of(*done, "subject") +
                         (count == 1 ? " is good for nothing any more" : " are good for nothing any more"));
}

void revoke_token(const TokenOptions& options, int& exit_status) {
  if (options.subject.empty() == (options.id == 0)) {
    exit_status = wrong_usage(
        options.id == 0 ? "name a token by its number, or all of somebody's with --subject user:NAME"
                        : "name a token by its number or somebody with --subject, not both");
    return;
  }
  if (options.own && options.id == 0) {
    exit_status =
        wrong_usage("--own ends the token that is named by its number, from stele token list --own");
    return;
  }
  if (options.id == 0) return revoke_tokens(options, exit_status);
  const std::string tokens = options.own ? "/api/v1/account/tokens/" : "/api/v1/tokens/";
  const auto done =
      options.link.ask("DELETE", tokens + std::to_string(options.id), options.with_reason(), exit_status);
  if (done) {
    options.say(*done, "token " + std::to_string(options.id) + " of " + text_of(*done, "subject") +
                           " is good for nothing any more");
  }
}

}  // namespace

void add_token_commands(CLI::App& app, int& exit_status) {
  const auto options = std::make_shared<TokenOptions>();
  CLI::App* const token =
      app.add_subcommand("token", "What somebody is known by without a password, and how to end it");
  token->require_subcommand(1);
  const auto add = [&](const char* name, const char* about, void (*run)(const TokenOptions&, int&)) {
    CLI::App* const command = token->add_subcommand(name, about);
    command->callback([options, &exit_status, run] { run(*options, exit_status); });
    options->link.add_options(*command);
    return command;
  };
  CLI::App* command =
      add("create", "Make an api token of your own, for a script; prints it, once", create_token);
  command->add_option("name", options->name, "Your word for it, as in laptop-backup")->required();
  command->add_option("-u,--username", options->user, "Whose it is; otherwise who logged in at --server");
  command->add_flag("--password-stdin", options->password_stdin,
                    "The password is the first line of standard input; otherwise it is asked for");
  options->add_scope(*command);
  options->add_expires(*command);
  command = add("list", "Refresh tokens (docker login), api tokens and the secrets of robots", list_tokens);
  command->add_flag("--own", options->own, "Your own api tokens, for which no right is needed");
  command->add_option("--of,--subject", options->subject, "Only those of user:NAME or robot:NAME")
      ->type_name("WHO");
  command = add("revoke", "End a token now, and what was made from it", revoke_token);
  command->add_option("id", options->id, "From `stele token list`");
  command->add_flag("--own", options->own, "One of your own api tokens, for which no right is needed");
  command->add_option("--subject", options->subject, "All tokens of user:NAME or robot:NAME instead")
      ->type_name("WHO");
  options->add_reason(*command);
}

}  // namespace stele
