#include "cli/init_command.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <vector>

#include "auth/first_administrator.hpp"
#include "base/unique_fd.hpp"
#include "base/watched_file.hpp"
#include "cli/server_link.hpp"
#include "http/self_signed.hpp"
#include "http/tls.hpp"
#include "server/config/load.hpp"

namespace stele {
namespace {

namespace fs = std::filesystem;

constexpr int certificate_days = 365;
constexpr std::size_t largest_pem = 1 << 20;

struct InitOptions {
  std::string directory;
  std::string data;
  std::string listen = "0.0.0.0:5000";
  std::vector<std::string> hosts;
  std::string certificate, key;
};

struct NewFile {
  std::string path;
  std::string text;
  bool secret = false;
};

constexpr const char* policy_text =
    R"(# Who may do what, which tags may move, what is cleaned up; read again when it changes.
# After a change: stele policy check FILE. docs/access.md and docs/policy.md say what can stand here.
version: 1

access_rules:
  # Local users of this group may do everything. The first one is made with the token that stele init printed;
  # others: stele user add NAME --group administrators
  - name: administrators
    who: ["group:administrators"]
    repositories: ["**"]
    allow: [pull, push, delete, promote, rollback, release-tag, hold, release-hold, approve, bypass-governance, report-in-use, lifecycle, admin, audit]
)";

// A text as YAML takes it whatever it contains.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

std::string config_text(const InitOptions& options, const std::string& directory, const std::string& data) {
  std::string text =
      "# Made by stele init. Every key: docs/configuration.md. After a change: stele config check --config "
      "FILE, then "
      "start the server again.\n"
      "listen: " +
      options.listen + "\n" + "data: " + quoted(data) + "\n" +
      "policy: " + quoted(directory + "/policy.yaml") + "\n" +
      "tls:\n  cert: " + quoted(directory + "/tls/cert.pem") +
      "\n  key: " + quoted(directory + "/tls/key.pem") + "\n" + "auth:\n  local_users: on\n";
  return text;
}

std::string machine_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

std::vector<std::string> names_of(const InitOptions& options) {
  std::vector<std::string> names = options.hosts;
  if (const std::string own = machine_name(); names.empty() && !own.empty()) names.push_back(own);
  for (const char* const here : {"localhost", "127.0.0.1", "::1"}) {
    if (std::find(names.begin(), names.end(), here) == names.end()) names.emplace_back(here);
  }
  return names;
}

Error failed(const std::string& path) {
  return Error(Errc::unavailable, path + ": " + std::strerror(errno));
}

// Nothing that is there is written over.
Result<void> write_new(const NewFile& file) {
  const mode_t mode = file.secret ? 0600 : 0644;
  const UniqueFd opened(::open(file.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!opened) return failed(file.path);
  if (::write(opened.get(), file.text.data(), file.text.size()) != static_cast<ssize_t>(file.text.size()) ||
      ::fsync(opened.get()) != 0)
    return failed(file.path);
  return {};
}

Result<void> make_directory(const std::string& path, mode_t mode) {
  std::error_code failure;
  if (fs::is_directory(path, failure)) return {};
  if (!fs::create_directories(path, failure) && failure)
    return Error(Errc::unavailable, path + ": " + failure.message());
  if (::chmod(path.c_str(), mode) != 0) return failed(path);
  return {};
}

Result<http::SelfSigned> certificate_of(const InitOptions& options) {
  if (options.certificate.empty()) {
    const auto names = names_of(options);
    return http::make_self_signed(names, SystemClock().now(), certificate_days);
  }
  // Whether they belong together is found out now, and not when the server starts.
  if (const auto loaded = http::TlsContext::load({options.certificate, options.key, {}, false, {}}); !loaded)
    return loaded.error();
  auto certificate = read_whole_file(options.certificate, largest_pem);
  if (!certificate) return certificate.error();
  auto key = read_whole_file(options.key, largest_pem);
  if (!key) return key.error();
  return http::SelfSigned{std::move(*certificate), std::move(*key)};
}

Result<void> check_free(const std::string& directory, const std::string& data) {
  for (const char* const name : {"/stele.yaml", "/policy.yaml", "/tls/cert.pem", "/tls/key.pem"}) {
    if (fs::exists(directory + name)) {
      return Error(Errc::parameter_invalid,
                   directory + name +
                       " is there already and was left as it is; name another directory, or move it away");
    }
  }
  if (fs::exists(data + "/stele.db")) {
    return Error(Errc::parameter_invalid, data +
                                              " holds a registry already; its users are made with stele user "
                                              "add --data " +
                                              data);
  }
  return {};
}

Result<std::string> initialise(const InitOptions& options, const std::string& directory,
                               const std::string& data) {
  if (auto free = check_free(directory, data); !free) return free.error();
  const std::string text = config_text(options, directory, data);
  if (const auto read = parse_config_text(text, "the configuration"); !read)
    return Error(Errc::parameter_invalid, "--listen " + options.listen + " is not an address with a port");
  auto pair = certificate_of(options);
  if (!pair) return pair.error();
  const std::pair<std::string, mode_t> directories[] = {
      {directory, 0755}, {directory + "/tls", 0755}, {data, 0700}};
  for (const auto& [path, mode] : directories) {
    if (auto made = make_directory(path, mode); !made) return made.error();
  }
  const NewFile files[] = {{directory + "/tls/key.pem", std::move(pair->key), true},
                           {directory + "/tls/cert.pem", std::move(pair->certificate)},
                           {directory + "/policy.yaml", policy_text},
                           {directory + "/stele.yaml", text}};
  for (const NewFile& file : files) {
    if (auto written = write_new(file); !written) return written.error();
  }
  return auth::FirstAdministrator(data + "/" + auth::FirstAdministrator::file_name).make(SystemClock().now());
}

void tell(const InitOptions& options, const std::string& directory, const std::string& token) {
  const std::size_t colon = options.listen.rfind(':');
  const std::string url = "https://" +
                          (options.hosts.empty() ? std::string("localhost") : options.hosts.front()) +
                          options.listen.substr(colon);
  const bool self_signed = options.certificate.empty();
  const std::string ca = self_signed ? " --ca " + directory + "/tls/cert.pem" : std::string();
  std::cerr << "made: stele.yaml, policy.yaml, tls/cert.pem" << (self_signed ? " (signed by itself)" : "")
            << " and tls/key.pem in " << directory << "\n\n"
            << "1. start it:      stele serve --config " << directory << "/stele.yaml\n"
            << "2. let yourself in, within thirty minutes, with the token below; it is not shown again:\n"
            << "                  stele user first admin --server " << url << ca << "\n"
            << "3. log in:        docker login " << url.substr(8) << "\n";
  if (self_signed) {
    std::cerr << "   docker trusts the certificate once it is /etc/docker/certs.d/" << url.substr(8)
              << "/ca.crt\n";
  }
  std::cerr << "\nThere is no password until you set one. The token:\n";
  std::cout << token << std::endl;
}

void run_init(const InitOptions& options, int& exit_status) {
  std::error_code failure;
  const std::string directory = fs::absolute(options.directory, failure).lexically_normal();
  const std::string data = options.data.empty()
                               ? directory + "/data"
                               : fs::absolute(options.data, failure).lexically_normal().string();
  if (options.certificate.empty() != options.key.empty()) {
    exit_status = wrong_usage("--cert and --key go together");
    return;
  }
  const auto token = initialise(options, directory, data);
  if (token) {
    tell(options, directory, *token);
    return;
  }
  std::cerr << "stele: " << shown(token.error().message()) << '\n';
  exit_status = token.error().code() == Errc::parameter_invalid ? exit_usage : exit_failed;
}

}  // namespace

void add_init_command(CLI::App& app, int& exit_status) {
  const auto options = std::make_shared<InitOptions>();
  CLI::App* const command =
      app.add_subcommand("init", "Make a configuration with TLS and users, and a token for the first one");
  command->add_option("directory", options->directory, "Where to; stele.yaml in it is the configuration")
      ->type_name("DIR")
      ->required();
  command->add_option("--data", options->data, "The data directory; DIR/data if it is not given")
      ->type_name("DIR");
  command->add_option("--listen", options->listen, "Address and port of the registry")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command
      ->add_option("--host", options->hosts,
                   "Name or address by which clients reach it, for the certificate; may be repeated")
      ->type_name("HOST")
      ->allow_extra_args(false);
  command->add_option("--cert", options->certificate, "A certificate chain that you have, PEM")
      ->type_name("FILE");
  command->add_option("--key", options->key, "Its private key, PEM")->type_name("FILE");
  command->callback([options, &exit_status] { run_init(*options, exit_status); });
}

}  // namespace stele
