#include "cli/login_command.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>

#include "auth/api_token.hpp"
#include "cli/saved_logins.hpp"
#include "cli/secret_input.hpp"
#include "cli/server_link.hpp"

namespace stele {
namespace {

struct LoginOptions {
  std::string server;
  std::string user;
  std::string ca_file;
  bool password_stdin = false;
};

std::optional<std::string> user_of(const LoginOptions& options, int& exit_status) {
  if (!options.user.empty()) return options.user;
  if (options.password_stdin || ::isatty(STDIN_FILENO) == 0) {
    exit_status = wrong_usage("--username is missing");
    return std::nullopt;
  }
  std::string name;
  std::cerr << "Name: ";
  std::getline(std::cin, name);
  if (name.empty()) {
    exit_status = wrong_usage("nothing was typed");
    return std::nullopt;
  }
  return name;
}

Result<SavedLogin> ask_for_login(const std::string& url, const std::string& user, const std::string& password,
                                 const std::string& ca_file) {
  http::ClientTarget target;
  target.url = url;
  target.user = user;
  target.password = password;
  target.ca_file = ca_file;
  const auto answer = http::request(target, "GET", "/token?service=&offline_token=true");
  if (!answer) return answer.error();
  if (answer->status == 404) {
    return Error(Errc::parameter_invalid,
                 url + " gives no tokens (auth.tokens.ttl: 0, or nobody logs in there): nothing to save");
  }
  auto refresh_token = token_member(*answer, "refresh_token");
  if (!refresh_token) return refresh_token.error();
  SavedLogin login;
  login.user = user;
  login.ca_file = ca_file;
  login.refresh_token = std::move(*refresh_token);
  if (login.refresh_token.empty() && auth::is_api_token(password)) login.secret = password;
  if (login.refresh_token.empty() && login.secret.empty()) {
    return Error(Errc::unavailable,
                 url + " gives no refresh token at present; its catalog cannot be written, says its log");
  }
  return login;
}

void run_login(const LoginOptions& options, int& exit_status) {
  const std::string url = server_url(options.server);
  ServerLink link;
  link.server = url;
  if (const auto refused = link.would_go_in_the_clear("the password")) {
    exit_status = wrong_usage(*refused);
    return;
  }
  const auto user = user_of(options, exit_status);
  if (!user) return;
  const auto password = options.password_stdin ? secret_from_stdin("password", exit_status)
                                               : secret_from_terminal("Password of " + *user + ": ",
                                                                      "--password-stdin", exit_status);
  if (!password) return;
  std::error_code failure;
  const std::string ca_file =
      options.ca_file.empty() ? std::string() : std::filesystem::absolute(options.ca_file, failure).string();
  const auto login = ask_for_login(url, *user, *password, ca_file);
  if (!login) {
    std::cerr << "stele: " << shown(login.error().message()) << '\n';
    exit_status = login.error().code() == Errc::unavailable ? exit_failed : exit_refused;
    return;
  }
  if (const auto saved = save_login(url, *login); !saved) {
    std::cerr << "stele: " << shown(saved.error().message()) << '\n';
    exit_status = exit_failed;
    return;
  }
  std::cout << "logged in at " << url << " as " << *user << "; kept in " << saved_logins_path() << '\n';
}

void run_logout(const LoginOptions& options, int& exit_status) {
  const std::string url = server_url(options.server);
  const auto forgotten = forget_login(url);
  if (!forgotten) {
    std::cerr << "stele: " << shown(forgotten.error().message()) << '\n';
    exit_status = exit_failed;
  } else if (!*forgotten) {
    std::cerr << "stele: nobody was logged in at " << url << '\n';
    exit_status = exit_unknown;
  } else {
    std::cout << "logged out of " << url
              << "; on the server its token is good until it is revoked (stele token list)\n";
  }
}

}  // namespace

void add_login_commands(CLI::App& app, int& exit_status) {
  const auto options = std::make_shared<LoginOptions>();
  CLI::App* const login =
      app.add_subcommand("login", "Log in, so that commands with --server need no --token-file");
  login->add_option("server", options->server, "Its address, as in https://registry:5000")->required();
  login->add_option("-u,--username", options->user, "A user's or a robot's name; otherwise it is asked for");
  login->add_flag("--password-stdin", options->password_stdin,
                  "The password is the first line of standard input; otherwise it is asked for");
  login->add_option("--ca", options->ca_file, "Certificates that it may have been signed by, PEM")
      ->type_name("FILE");
  login->callback([options, &exit_status] { run_login(*options, exit_status); });
  CLI::App* const logout = app.add_subcommand("logout", "Forget what login kept");
  logout->add_option("server", options->server, "Its address")->required();
  logout->callback([options, &exit_status] { run_logout(*options, exit_status); });
}

}  // namespace stele
