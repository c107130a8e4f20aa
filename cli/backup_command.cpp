#include "cli/backup_command.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/durable_file.hpp"
#include "base/unique_fd.hpp"
#include "http/client.hpp"
#include "storage/sql/sqlite/sqlite_database.hpp"

namespace stele {
namespace {

Error file_error(const std::string& file, const std::string& what) {
  return Error(Errc::io, "cannot " + what + " " + file + ": " + std::strerror(errno));
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// Into FILE.partial first: FILE appears only when it is whole, verified and synced.
Result<std::uint64_t> backup(const std::string& data, const std::string& file) {
  const std::string partial = file + ".partial";
  UniqueFd out(::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!out) return file_error(partial, "write");
  std::uint64_t size = 0;
  http::ClientTarget server;
  server.socket_path = data + "/stele.sock";
  const auto answer = http::request(server, "POST", "/api/v1/backup", {}, [&](std::string_view piece) {
    size += piece.size();
    return write_all(out.get(), piece);
  });
  if (!answer) return answer.error();
  if (answer->status != 200) return Error(Errc::unavailable, "the server refused: " + answer->body);
  if (auto verified = sql::verify_sqlite(partial); !verified) return verified.error();
  if (::fsync(out.get()) != 0) return file_error(partial, "sync");
  if (::rename(partial.c_str(), file.c_str()) != 0) return file_error(file, "create");
  if (auto synced = sync_directory_of(file); !synced) return synced.error();
  return size;
}

}  // namespace

void add_backup_command(CLI::App& app, int& exit_status) {
  CLI::App* command =
      app.add_subcommand("backup", "Copy the catalog of a running server, consistently, and verify the copy");
  struct Options {
    std::string data = "./data";
    std::string file;
  };
  auto options = std::make_shared<Options>();
  command->add_option("FILE", options->file, "Where the copy goes; replaced only by a good one")->required();
  command->add_option("--data", options->data, "The server's data directory")->capture_default_str();
  command->callback([options, &exit_status] {
    const auto size = backup(options->data, options->file);
    if (size) {
      std::cout << "catalog copied to " << options->file << " (" << *size << " bytes), verified\n";
      return;
    }
    ::unlink((options->file + ".partial").c_str());
    std::cerr << "stele: " << size.error().message() << '\n';
    exit_status = 1;
  });
}

}  // namespace stele
