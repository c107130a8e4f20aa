#include "cli/secret_input.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <fstream>
#include <iostream>

#include "base/unique_fd.hpp"
#include "cli/server_link.hpp"

namespace stele {
namespace {

constexpr std::size_t longest_secret = 64 * 1024;

std::optional<std::string> first_line(std::istream& from) {
  std::string line;
  for (char c = 0; line.size() < longest_secret && from.get(c) && c != '\n';) line += c;
  if (line.ends_with('\r')) line.pop_back();
  if (line.empty()) return std::nullopt;
  return line;
}

// Shows nothing of what is typed for as long as it lives.
class Hidden {
 public:
  explicit Hidden(int terminal) : terminal_(terminal) {
    if (tcgetattr(terminal_, &before_) != 0) return;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = tcsetattr(terminal_, TCSAFLUSH, &hidden) == 0;
  }
  ~Hidden() {
    if (changed_) tcsetattr(terminal_, TCSAFLUSH, &before_);
  }
  Hidden(const Hidden&) = delete;
  Hidden& operator=(const Hidden&) = delete;

 private:
  const int terminal_;
  termios before_{};
  bool changed_ = false;
};

std::optional<std::string> typed(int terminal) {
  std::string line;
  for (char c = 0; line.size() < longest_secret && ::read(terminal, &c, 1) == 1 && c != '\n';) line += c;
  if (line.empty()) return std::nullopt;
  return line;
}

}  // namespace

std::optional<std::string> secret_from_stdin(const char* what, int& exit_status) {
  auto line = first_line(std::cin);
  if (!line) exit_status = wrong_usage(std::string("standard input has no ") + what);
  return line;
}

std::optional<std::string> secret_from_terminal(const std::string& prompt, const char* instead,
                                                int& exit_status) {
  const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal) {
    exit_status = wrong_usage("there is no terminal to ask at; use " + std::string(instead));
    return std::nullopt;
  }
  const auto say = [&](const std::string& text) { (void)!::write(terminal.get(), text.data(), text.size()); };
  const Hidden hidden(terminal.get());
  say(prompt);
  auto line = typed(terminal.get());
  say("\n");
  if (!line) exit_status = wrong_usage("nothing was typed");
  return line;
}

std::optional<std::string> new_password(const std::string& of, bool from_stdin, int& exit_status) {
  if (from_stdin) return secret_from_stdin("password", exit_status);
  auto once = secret_from_terminal("New password of " + of + ": ", "--password-stdin", exit_status);
  if (!once) return once;
  auto again = secret_from_terminal("The same again: ", "--password-stdin", exit_status);
  if (!again) return again;
  if (*once != *again) {
    exit_status = wrong_usage("the two are not the same; nothing was changed");
    return std::nullopt;
  }
  return once;
}

std::optional<std::string> secret_from_file(const std::string& path, const char* what, int& exit_status) {
  if (path == "-") return secret_from_stdin(what, exit_status);
  std::ifstream file(path, std::ios::binary);
  auto line = first_line(file);
  if (!line) exit_status = wrong_usage("no " + std::string(what) + " can be read from " + path);
  return line;
}

}  // namespace stele
