#pragma once
// The section `mirrors` of the configuration, read by the room that it belongs to.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_problem.hpp"
#include "config/yaml_document.hpp"

namespace stele::mirror {

// One upstream registry that is mirrored: an entry of `mirrors`.
struct Settings {
  std::string name;                    // the ?ns= value, in lower case: "docker.io"
  std::string prefix;                  // of the repositories here; the name unless it is given
  std::vector<std::string> upstreams;  // URLs without a path, asked in this order
  bool is_default = false;             // where requests go that name no mirror
  std::vector<std::string> allow;  // patterns of upstream's repositories; empty: all, library/** by default
  std::vector<std::string> deny;
  std::chrono::seconds tag_ttl{300};  // for so long a tag is believed without asking
  struct TagTtl {
    std::string pattern;                      // of tags, as in policies
    std::optional<std::chrono::seconds> ttl;  // empty: never asked for again
    bool operator==(const TagTtl&) const = default;
  };
  std::vector<TagTtl> tag_ttls;          // the first that matches counts; tag_ttl where none does
  std::chrono::seconds missing_ttl{45};  // the same of an upstream that does not have, or refuses, something
  // How long a client of what is not here waits for an upstream that says "later" or does not answer; 0: not.
  std::chrono::seconds wait{0};
  std::chrono::seconds evict_after{0};  // what was not used for so long goes; 0: never
  std::uint64_t max_size = 0;           // bytes; beyond, the least recently used goes; 0: any number
  std::uint64_t max_rate = 0;           // bytes a second of all its fetches together; 0: any
  std::size_t max_fetches = 0;          // blobs that are fetched at once, others wait; 0: any number
  enum class Tags { follow, pin };
  Tags tags = Tags::follow;  // pin: a tag stays at what was first fetched
  // For so long a digest that upstream moves a tag to has to be known before the tag follows; 0: at once.
  std::chrono::seconds quarantine{0};
  std::string username;
  std::string password_file;      // whose first line is the password
  std::string password_env;       // the variable that holds it
  std::string credential_helper;  // "pass": docker-credential-pass is asked for user and password
  enum class CloudLogin { none, ecr, google };
  CloudLogin cloud_login = CloudLogin::none;
  std::string cloud_key_file;  // of google: a service account's key; empty: where Google's tools look
  // Upstream is shown a login, wherever it comes from.
  bool has_account() const {
    return !username.empty() || !credential_helper.empty() || cloud_login != CloudLogin::none;
  }
  std::string token_realm;  // a host beside upstream's own that is trusted with the credentials
  std::string ca;           // PEM
  std::string proxy;
  std::vector<std::string>
      redirect_allow;  // hosts that redirects may lead to although their addresses are private

  bool operator==(const Settings&) const = default;
};

// "docker.io" of "Index.Docker.io:443": lower case, without the port that https has anyway, one name for what
// has several.
std::string canonical_registry(std::string_view ns);

// In YAML's flow form, on one line, without what has its default; read_settings takes it back unchanged.
std::string print_settings(const std::vector<Settings>& settings);

// Reads the list; false after a complaint. Reads no file and no variable.
bool read_settings(const config::YamlNode& node, std::string_view file, std::vector<Settings>& into,
                   ConfigProblems& problems);

}  // namespace stele::mirror
