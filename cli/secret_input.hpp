#pragma once
// Passwords and tokens that somebody types or pipes in: never an argument, which every process on the machine
// can read.

#include <optional>
#include <string>

namespace stele {

// The first line of standard input, without its end; none after saying that there is none (exit_usage).
std::optional<std::string> secret_from_stdin(const char* what, int& exit_status);

// What is typed at the terminal, which does not show it; none after saying what else could be done
// (exit_usage). `instead`: the option that reads it from elsewhere.
std::optional<std::string> secret_from_terminal(const std::string& prompt, const char* instead,
                                                int& exit_status);

// A new password: from standard input, or typed twice.
std::optional<std::string> new_password(const std::string& of, bool from_stdin, int& exit_status);

// The first line of a file; "-": of standard input.
std::optional<std::string> secret_from_file(const std::string& path, const char* what, int& exit_status);

}  // namespace stele
