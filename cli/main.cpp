// `stele`: one file per subcommand; see docs/architecture.md.

#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/access_command.hpp"
#include "cli/backup_command.hpp"
#include "cli/config_command.hpp"
#include "cli/fsck_command.hpp"
#include "cli/gc_command.hpp"
#include "cli/in_use_command.hpp"
#include "cli/init_command.hpp"
#include "cli/lifecycle_command.hpp"
#include "cli/login_command.hpp"
#include "cli/mirror_command.hpp"
#include "cli/policy_command.hpp"
#include "cli/retention_command.hpp"
#include "cli/robot_command.hpp"
#include "cli/scrub_command.hpp"
#include "cli/serve_command.hpp"
#include "cli/status_command.hpp"
#include "cli/sweep_command.hpp"
#include "cli/tag_command.hpp"
#include "cli/token_command.hpp"
#include "cli/trash_command.hpp"
#include "cli/usage_command.hpp"
#include "cli/user_command.hpp"
#include "cli/why_command.hpp"

int main(int argc, char* argv[]) {
  CLI::App app("An OCI registry in which a tag means something.", "stele");
  app.set_version_flag("--version", STELE_VERSION);
  app.require_subcommand(1);
  int exit_status = 0;
  stele::add_init_command(app, exit_status);
  stele::add_serve_command(app, STELE_VERSION, exit_status);
  stele::add_config_command(app, exit_status);
  stele::add_policy_command(app, exit_status);
  stele::add_tag_command(app, exit_status);
  stele::add_retention_commands(app, exit_status);
  stele::add_backup_command(app, exit_status);
  stele::add_status_command(app, exit_status);
  stele::add_gc_command(app, exit_status);
  stele::add_lifecycle_command(app, exit_status);
  stele::add_scrub_commands(app, exit_status);
  stele::add_fsck_command(app, exit_status);
  stele::add_in_use_command(app, exit_status);
  stele::add_trash_command(app, exit_status);
  stele::add_usage_command(app, exit_status);
  stele::add_mirror_command(app, exit_status);
  stele::add_why_command(app, exit_status);
  stele::add_login_commands(app, exit_status);
  stele::add_user_command(app, exit_status);
  stele::add_robot_commands(app, exit_status);
  stele::add_token_commands(app, exit_status);
  stele::add_access_command(app, exit_status);
  stele::add_sweep_command(app, exit_status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    std::cerr << "stele: " << error.what() << '\n';
    return 1;
  }
  return exit_status;
}
