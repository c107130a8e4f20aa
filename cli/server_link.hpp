#pragma once
// How administration commands reach the server, and what every one of them has in common: --data or --server,
// --json, tables, exit codes.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "http/client.hpp"

namespace CLI {
class App;
}

namespace stele {

// Exit codes, documented in docs/administration.md: scripts rely on them.
inline constexpr int exit_failed = 1;    // the server cannot be reached, or failed
inline constexpr int exit_usage = 2;     // the command line, or a value in it, is wrong
inline constexpr int exit_refused = 3;   // a rule or a missing right forbids it
inline constexpr int exit_unknown = 4;   // it does not exist
inline constexpr int exit_problems = 5;  // a check has found something

struct ServerLink {
  std::string data = "./data";
  std::string server;  // empty: the socket of `data`
  std::string token_file;
  std::string ca_file;
  bool json = false;
  // Of who asks, where the command asked for them; empty: what was saved, or --token-file.
  std::string user, password;

  void add_options(CLI::App&);

  // parameter_invalid when a file that was named cannot be read.
  Result<http::ClientTarget> target() const;

  // What to say when `what` would cross the network without TLS; none: it does not.
  std::optional<std::string> would_go_in_the_clear(const char* what) const;

  // The answer's body; otherwise says on stderr what went wrong and sets `exit_status`.
  std::optional<nlohmann::ordered_json> ask(std::string_view method, const std::string& path,
                                            const nlohmann::ordered_json& body, int& exit_status) const;
  // The same with a body that is no JSON.
  std::optional<nlohmann::ordered_json> send(std::string_view method, const std::string& path,
                                             const std::string& body, int& exit_status) const;
};

// What the server's error says, whatever form it has; to be shown().
std::string message_of(const http::ClientAnswer&);

// Every page of a list, as one; `cursor` names the query parameter that takes "next".
std::optional<nlohmann::ordered_json> all_pages(const ServerLink&, const std::string& path,
                                                const char* member, const char* cursor, int& exit_status);

// A text of the server's for people: what could steer a terminal, and what is no UTF-8, becomes "?".
std::string shown(std::string_view text);

// A text member, fit to be shown; empty when it is not there or something else.
std::string text_of(const nlohmann::ordered_json& object, const char* member);

// Says on stderr what is wrong with the command line; exit_usage.
int wrong_usage(const std::string& message);

// Columns of texts, aligned, with a head line that is bold on a terminal.
void print_table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows);

// "a/b:tag" or "a/b@sha256:…", cut at the last '@' or ':'. An empty second part: there is none.
std::pair<std::string, std::string> split_name(const std::string& text);

// "/api/v1/repositories/<name>", percent-encoded.
std::string repository_path(const std::string& name);

// The path of the tag that "a/b:tag" names; empty after saying that it names none.
std::string tag_path(const std::string& name, int& exit_status);

}  // namespace stele
