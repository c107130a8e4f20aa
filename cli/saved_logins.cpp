#include "cli/saved_logins.hpp"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/durable_file.hpp"
#include "base/watched_file.hpp"
#include "cli/server_link.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t largest_file = 1 << 20;

Error invalid(const std::string& why) {
  return Error(Errc::parameter_invalid, why);
}

// The whole file; an empty object where there is none.
Result<Json> read_all() {
  const std::string path = saved_logins_path();
  struct stat info{};
  if (path.empty() || ::stat(path.c_str(), &info) != 0) return Json::object();
  if ((info.st_mode & 077) != 0)
    return invalid(path + " can be read by others; it holds secrets: chmod 600 " + path);
  const auto text = read_whole_file(path, largest_file);
  if (!text) return invalid(text.error().message());
  Json all = Json::parse(*text, nullptr, false);
  if (!all.is_object()) return invalid(path + " is no JSON; remove it and log in again");
  return all;
}

Result<void> write_all(const Json& all) {
  const std::string path = saved_logins_path();
  if (path.empty()) return invalid("there is no home directory to save the login in: set HOME");
  std::error_code failure;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failure);
  return replace_file(path, all.dump(2) + "\n");
}

}  // namespace

std::string server_url(std::string typed) {
  if (typed.find("://") == std::string::npos) typed = "https://" + typed;
  while (typed.ends_with('/')) typed.pop_back();
  return typed;
}

std::string saved_logins_path() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the command line has one thread
  const char* const config = std::getenv("XDG_CONFIG_HOME");
  if (config && *config == '/') return std::string(config) + "/stele/logins.json";
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the same
  const char* const home = std::getenv("HOME");
  if (!home || *home != '/') return {};
  return std::string(home) + "/.config/stele/logins.json";
}

Result<std::optional<SavedLogin>> saved_login(const std::string& server) {
  const auto all = read_all();
  if (!all) return all.error();
  const std::string url = server_url(server);
  if (!all->contains(url) || !(*all)[url].is_object()) return std::optional<SavedLogin>();
  const Json& entry = (*all)[url];
  const auto text = [&](const char* member) {
    const auto found = entry.find(member);
    return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  return std::optional<SavedLogin>(
      SavedLogin{text("user"), text("refresh_token"), text("secret"), text("ca")});
}

Result<void> save_login(const std::string& server, const SavedLogin& login) {
  auto all = read_all();
  if (!all) return all.error();
  Json entry{{"user", login.user}};
  if (!login.refresh_token.empty()) entry["refresh_token"] = login.refresh_token;
  if (!login.secret.empty()) entry["secret"] = login.secret;
  if (!login.ca_file.empty()) entry["ca"] = login.ca_file;
  (*all)[server_url(server)] = std::move(entry);
  return write_all(*all);
}

Result<bool> forget_login(const std::string& server) {
  auto all = read_all();
  if (!all) return all.error();
  if (all->erase(server_url(server)) == 0) return false;
  if (auto written = write_all(*all); !written) return written.error();
  return true;
}

Result<std::string> token_member(const http::ClientAnswer& answer, const char* member) {
  if (answer.status != 200) return invalid(message_of(answer));
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  if (!body.is_object()) return invalid("what answers there is no Stele server");
  const auto found = body.find(member);
  return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<http::ClientTarget> with_saved_login(http::ClientTarget target) {
  const auto saved = saved_login(target.url);
  if (!saved) return saved.error();
  if (!*saved) return target;
  if (target.ca_file.empty()) target.ca_file = (*saved)->ca_file;
  target.token = (*saved)->secret;
  if ((*saved)->refresh_token.empty()) return target;
  http::ClientTarget asked = target;
  asked.form = true;
  const std::string form = "grant_type=refresh_token&service=&scope=" + http::percent_encode("registry:*:*") +
                           "&refresh_token=" + http::percent_encode((*saved)->refresh_token);
  const auto answer = http::request(asked, "POST", "/token", form);
  if (!answer) return answer.error();
  auto token = token_member(*answer, "access_token");
  if (!token) {
    return invalid("the login of " + (*saved)->user + " at " + target.url + " is not accepted any more (" +
                   token.error().message() + "); stele login " + target.url);
  }
  target.token = std::move(*token);
  return target;
}

}  // namespace stele
