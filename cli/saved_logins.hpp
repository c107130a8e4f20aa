#pragma once
// What `stele login` leaves behind, so that commands with --server need no --token-file: a file that only its
// owner reads, ~/.config/stele/logins.json (or below XDG_CONFIG_HOME). It holds no password: for a user the
// refresh token that he got for it, which `stele token revoke` ends, for a robot its secret. Docker's
// config.json is left alone: its credentials belong to docker, often in a keychain that others cannot read.

#include <optional>
#include <string>

#include "base/result.hpp"
#include "http/client.hpp"

namespace stele {

struct SavedLogin {
  std::string user;
  std::string refresh_token;  // of a user; empty: there is a secret
  std::string secret;         // of a robot
  std::string ca_file;        // absolute; empty: the system's
};

// "https://registry.example:5000" of what people type: without a scheme it is https, and no "/" at the end.
std::string server_url(std::string typed);

std::string saved_logins_path();  // empty: there is no home

// None: nobody has logged in there. parameter_invalid: the file cannot be read, or others can.
Result<std::optional<SavedLogin>> saved_login(const std::string& server);
Result<void> save_login(const std::string& server, const SavedLogin&);
// Whether there was one.
Result<bool> forget_login(const std::string& server);

// The target with what was saved for its server: its certificates, and a token that was just got. As it is
// where nothing was saved; parameter_invalid when what was saved is over.
Result<http::ClientTarget> with_saved_login(http::ClientTarget);

// Message of an OAuth answer or of one of ours; for /token.
Result<std::string> token_member(const http::ClientAnswer&, const char* member);

}  // namespace stele
