#include "cli/config_command.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/server_link.hpp"
#include "server/config/keys.hpp"
#include "server/config/render.hpp"

namespace stele {
namespace {

// The key's line of the manual, without its Markdown.
std::string help_of(std::string_view key) {
  std::string text;
  for (const char c : config::keys()[config::key_index(key)].doc) {
    if (c != '`') text += c;
  }
  return text;
}

int print(const std::string& text) {
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (written) return 0;
  std::perror("stele: cannot write to standard output");
  return 1;
}

int check(const ConfigFlags& flags) {
  const auto loaded = load_config_or_complain(flags);
  if (!loaded) return exit_usage;
  return print(loaded->file.empty() ? "valid: no file, so defaults, environment and flags alone\n"
                                    : loaded->file + ": valid\n");
}

int print_effective(const ConfigFlags& flags) {
  const auto loaded = load_config_or_complain(flags);
  return loaded ? print(print_config(*loaded)) : exit_usage;
}

}  // namespace

void add_config_flags(CLI::App& command, ConfigFlags& flags) {
  command.add_option("--config", flags.config, "Configuration file, YAML (or STELE_CONFIG)")
      ->type_name("FILE");
  command.add_option("--listen", flags.listen, help_of("listen"))->type_name("HOST:PORT");
  command.add_option("--data", flags.data, help_of("data"))->type_name("DIR");
  command.add_option("--policy", flags.policy, help_of("policy"))->type_name("FILE");
  command.add_flag("--insecure", flags.insecure, help_of("insecure"));
}

void add_config_command(CLI::App& app, int& exit_status) {
  CLI::App* const command = app.add_subcommand("config", "Check, print or describe the configuration");
  command->require_subcommand(1);

  // Shared with the callbacks, which run after this function has returned.
  const auto flags = std::make_shared<ConfigFlags>();

  CLI::App* const check_command = command->add_subcommand(
      "check", "Say whether `stele serve` would accept this file with this environment, and if not, why");
  add_config_flags(*check_command, *flags);
  check_command->add_option("file", flags->config, "Configuration file, YAML")
      ->type_name("FILE")
      ->excludes(check_command->get_option("--config"));
  check_command->callback([flags, &exit_status] { exit_status = check(*flags); });

  CLI::App* const print_command =
      command->add_subcommand("print", "Print the effective configuration, with the origin of each value");
  add_config_flags(*print_command, *flags);
  print_command->callback([flags, &exit_status] { exit_status = print_effective(*flags); });

  command->add_subcommand("schema", "Print the JSON Schema of the configuration file, for editors")
      ->callback([&exit_status] { exit_status = print(config_schema()); });

  // For whoever edits docs/configuration.md; an empty group hides it from the help.
  command->add_subcommand("docs", "Print the table of keys for docs/configuration.md")
      ->group("")
      ->callback([&exit_status] { exit_status = print(config_table()); });
}

std::optional<LoadedConfig> load_config_or_complain(const ConfigFlags& flags) {
  ConfigSources sources{flags, stele_environment()};
  auto loaded = load_config(sources);
  if (loaded) return std::move(*loaded);
  const std::string text = loaded.error().to_string();
  std::fputs(text.c_str(), stderr);
  return std::nullopt;
}

}  // namespace stele
