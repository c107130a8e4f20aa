#include "cli/server_link.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/printable.hpp"
#include "cli/saved_logins.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

// Whether what is sent to this URL without TLS never leaves the machine.
bool is_on_this_machine(std::string_view url) {
  if (const std::size_t scheme = url.find("://"); scheme != std::string_view::npos)
    url.remove_prefix(scheme + 3);
  for (const std::string_view host : {"127.0.0.1", "localhost", "[::1]"}) {
    const std::string_view rest = url.starts_with(host) ? url.substr(host.size()) : "x";
    if (rest.empty() || rest[0] == ':' || rest[0] == '/') return rest.find('@') == std::string_view::npos;
  }
  return false;
}

int exit_code_of(int status) {
  switch (status) {
    case 400:
      return exit_usage;
    case 401:
    case 403:
    case 405:
    case 409:
      return exit_refused;
    case 404:
      return exit_unknown;
  }
  return exit_failed;
}

}  // namespace

std::string message_of(const http::ClientAnswer& answer) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  if (body.is_object() && body.contains("errors") && body["errors"].is_array() && !body["errors"].empty()) {
    const auto& first = body["errors"][0];
    if (first.is_object() && first.contains("message") && first["message"].is_string())
      return first["message"].get<std::string>();
  }
  return "the server answered " + std::to_string(answer.status) + " " + answer.body.substr(0, 300);
}

void ServerLink::add_options(CLI::App& command) {
  CLI::Option* const by_data =
      command.add_option("--data", data, "The server's data directory; its socket is used")
          ->capture_default_str();
  CLI::Option* const by_url =
      command.add_option("--server", server, "The server's address instead, as in https://registry:5000")
          ->type_name("URL");
  by_url->excludes(by_data);
  command.add_option("--token-file", token_file, "File with the token to send to --server")
      ->type_name("FILE")
      ->needs(by_url);
  command.add_option("--ca", ca_file, "Certificates that --server may have been signed by, PEM")
      ->type_name("FILE")
      ->needs(by_url);
  command.add_flag("--json", json, "For programs");
}

Result<http::ClientTarget> ServerLink::target() const {
  http::ClientTarget target;
  if (server.empty()) {
    target.socket_path = data + "/stele.sock";
    return target;
  }
  target.url = server;
  target.ca_file = ca_file;
  if (!user.empty()) {
    if (const auto refused = would_go_in_the_clear("the password"))
      return Error(Errc::parameter_invalid, *refused);
    target.user = user;
    target.password = password;
    return target;
  }
  if (token_file.empty()) {
    const auto saved = saved_login(server);
    if (!saved) return saved.error();
    if (!*saved) return target;
    if (const auto refused = would_go_in_the_clear("the token of the login that is kept for it"))
      return Error(Errc::parameter_invalid, *refused);
    return with_saved_login(std::move(target));
  }
  if (const auto refused = would_go_in_the_clear("the token"))
    return Error(Errc::parameter_invalid, *refused);
  std::ifstream file(token_file, std::ios::binary);
  target.token.assign(std::istreambuf_iterator<char>(file), {});
  while (!target.token.empty() && std::isspace(static_cast<unsigned char>(target.token.back())))
    target.token.pop_back();
  if (!file || target.token.empty())
    return Error(Errc::parameter_invalid, "no token can be read from " + token_file);
  return target;
}

std::optional<std::string> ServerLink::would_go_in_the_clear(const char* what) const {
  if (server.empty() || server.starts_with("https://") || is_on_this_machine(server)) return std::nullopt;
  return std::string(what) + " would go to " + server +
         " in the clear, for everybody on the way to read; use https://";
}

std::optional<nlohmann::ordered_json> ServerLink::ask(std::string_view method, const std::string& path,
                                                      const nlohmann::ordered_json& body,
                                                      int& exit_status) const {
  return send(method, path, body.is_null() ? std::string() : body.dump(), exit_status);
}

std::optional<nlohmann::ordered_json> ServerLink::send(std::string_view method, const std::string& path,
                                                       const std::string& body, int& exit_status) const {
  const auto where = target();
  if (!where) {
    exit_status = wrong_usage(where.error().message());
    return std::nullopt;
  }
  const auto answer = http::request(*where, method, path, body);
  if (!answer) {
    std::cerr << "stele: " << shown(answer.error().message()) << '\n';
    exit_status = exit_failed;
    return std::nullopt;
  }
  if (answer->status / 100 != 2) {
    std::cerr << "stele: " << shown(message_of(*answer)) << '\n';
    exit_status = exit_code_of(answer->status);
    return std::nullopt;
  }
  auto parsed = nlohmann::ordered_json::parse(answer->body, nullptr, false);
  if (parsed.is_discarded()) {
    std::cerr << "stele: what answers there is no Stele server\n";
    exit_status = exit_failed;
    return std::nullopt;
  }
  return parsed;
}

std::optional<nlohmann::ordered_json> all_pages(const ServerLink& link, const std::string& path,
                                                const char* member, const char* cursor, int& exit_status) {
  using Json = nlohmann::ordered_json;
  Json whole;
  for (std::string query;;) {
    auto page = link.ask("GET", path + query, nullptr, exit_status);
    if (!page) return std::nullopt;
    if (whole.is_null()) {
      whole = *page;
    } else {
      for (auto& item : (*page)[member]) whole[member].push_back(std::move(item));
    }
    const Json next = page->value("next", Json());
    if (next.is_null()) break;
    const std::string value = next.is_string() ? next.get<std::string>() : next.dump();
    query = (path.find('?') == std::string::npos ? "?" : "&") + std::string(cursor) + "=" +
            http::percent_encode(value);
  }
  whole.erase("next");
  return whole;
}

std::string shown(std::string_view text) {
  std::string out;
  for (std::size_t bad = 0; (bad = find_unprintable(text)) != std::string_view::npos;) {
    out.append(text.substr(0, bad)).push_back('?');
    text.remove_prefix(bad + 1);  // what else belongs to it is unprintable by itself
  }
  return out.append(text);
}

std::string text_of(const nlohmann::ordered_json& object, const char* member) {
  return object.contains(member) && object[member].is_string()
             ? shown(object[member].get_ref<const std::string&>())
             : std::string();
}

int wrong_usage(const std::string& message) {
  std::cerr << "stele: " << message << '\n';
  return exit_usage;
}

void print_table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& cell : head) widths.push_back(cell.size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      text += cells[i];
      if (i + 1 < cells.size()) text.append(widths[i] - cells[i].size() + 2, ' ');
    }
    return text;
  };
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  std::cout << (terminal ? "\033[1m" : "") << line(head) << (terminal ? "\033[0m" : "") << '\n';
  for (const auto& row : rows) std::cout << line(row) << '\n';
}

std::pair<std::string, std::string> split_name(const std::string& text) {
  const std::size_t at = text.find('@');
  if (at != std::string::npos) return {text.substr(0, at), text.substr(at + 1)};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

std::string repository_path(const std::string& name) {
  return "/api/v1/repositories/" + http::percent_encode(name);
}

std::string tag_path(const std::string& name, int& exit_status) {
  const auto [repository, tag] = split_name(name);
  if (tag.empty() || name.find('@') != std::string::npos) {
    exit_status = wrong_usage("write a repository and a tag, as in prod/app:1.4.2");
    return {};
  }
  return repository_path(repository) + "/tags/" + http::percent_encode(tag);
}

}  // namespace stele
