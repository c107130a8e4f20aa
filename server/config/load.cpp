#include "server/config/load.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/printable.hpp"
#include "base/unique_fd.hpp"
#include "config/yaml_document.hpp"
#include "server/config/keys.hpp"
#include "server/config/values.hpp"

namespace stele {
namespace {

using namespace config;

// One load: each source is read over the ones before it, then the values are checked against each other.
class Load {
 public:
  Load() { loaded_.origins.resize(keys().size()); }

  void read_file(std::string_view text, std::string_view name) {
    loaded_.file = name;
    file_ = name;
    YamlNode root;
    if (!parse_yaml(text, name, root, problems_)) return;
    if (root.kind == YamlNode::Kind::null) return;
    if (root.kind != YamlNode::Kind::mapping) {
      problems_.add(file_, root.at, "the file must be a mapping of keys to values");
      return;
    }
    for (const YamlNode& child : root.children) {
      if (problems_.full()) return;
      // "tls.cert" is no section's name: each level is a mapping of its own.
      if (child.key.find('.') == std::string::npos && is_section(child.key)) {
        read_section(child, child.key);
      } else {
        read_key(child.key, "", child);
      }
    }
  }

  void read_environment(const std::vector<EnvironmentVariable>& environment) {
    for (const auto& [name, value] : environment) {
      const auto key =
          std::find_if(keys().begin(), keys().end(), [&](const Key& k) { return k.variable() == name; });
      if (key == keys().end()) {
        if (name.starts_with("STELE_") && !is_foreign_variable(name, value)) report_unknown_variable(name);
      } else if (!value.empty()) {  // what `STELE_POLICY: ${POLICY:-}` leaves is as good as unset
        set_text(*key, value, {ConfigOrigin::Kind::environment, name, {}});
      }
    }
  }

  void read_flags(const ConfigFlags& flags) {
    set_flag("listen", flags.listen);
    set_flag("data", flags.data);
    set_flag("policy", flags.policy);
    if (flags.insecure) set_flag("insecure", "on");
  }

  void fail(std::string_view file, std::string message) { problems_.add(file, {}, std::move(message)); }

  ConfigResult finish() {
    check_together();
    if (!problems_.empty()) {
      problems_.sort(file_);
      return problems_;
    }
    return std::move(loaded_);
  }

 private:
  void read_section(const YamlNode& section, const std::string& name) {
    // Nothing is an empty section: what is left when every key in it has been commented out.
    if (section.kind == YamlNode::Kind::null) return;
    if (section.kind != YamlNode::Kind::mapping) {
      problems_.add(file_, section.at, name + " must be a mapping of keys to values");
      return;
    }
    for (const YamlNode& child : section.children) {
      if (problems_.full()) return;
      const std::string below = name + "." + child.key;
      if (child.key.find('.') == std::string::npos && is_section(below)) {
        read_section(child, below);
      } else {
        read_key(child.key, name, child);
      }
    }
  }

  void read_key(const std::string& leaf, const std::string& section, const YamlNode& node) {
    const std::size_t index = find_key(section.empty() ? leaf : section + "." + leaf);
    // "tls.cert:" at the top level is no key, though it is the name of one.
    if (index == std::string_view::npos || keys()[index].section() != section) {
      problems_.add(file_, node.key_at, unknown_key(leaf, section));
      return;
    }
    const bool good = read_value(keys()[index], node, file_, loaded_.config, problems_);
    record(index, good, {ConfigOrigin::Kind::file, std::string(file_), node.at});
  }

  void set_text(const Key& key, std::string_view text, ConfigOrigin origin) {
    const auto index = static_cast<std::size_t>(&key - keys().data());
    const bool good = read_text(key, text, origin.name, loaded_.config, problems_);
    record(index, good, std::move(origin));
  }

  void set_flag(std::string_view name, const std::optional<std::string>& text) {
    if (!text) return;
    const Key& key = keys()[key_index(name)];
    set_text(key, *text, {ConfigOrigin::Kind::flag, std::string(key.flag), {}});
  }

  void record(std::size_t index, bool good, ConfigOrigin origin) {
    loaded_.origins[index] = std::move(origin);
    if (!good) unusable_.push_back(index);
  }

  // "htpasswd" of "auth.htpasswd" below "auth"; empty when `name` is not below `section`.
  static std::string_view next_level(std::string_view name, std::string_view section) {
    if (!section.empty()) {
      if (!name.starts_with(section) || name.substr(section.size(), 1) != ".") return {};
      name.remove_prefix(section.size() + 1);
    }
    return name.substr(0, name.find('.'));
  }

  static std::string unknown_key(const std::string& leaf, const std::string& section) {
    std::string message = "unknown key " + in_quotes(leaf);
    if (!section.empty()) message += " in " + section;
    std::vector<std::string_view> beside, elsewhere, names;
    for (const Key& key : keys()) {
      if (key.for_tests) continue;
      names.push_back(key.name);
      (key.section() == section ? beside : elsewhere).push_back(key.leaf());
      if (const std::string_view below = next_level(key.section(), section); !below.empty())
        beside.push_back(below);
    }
    if (const auto meant = nearest(leaf, beside); !meant.empty()) {
      return message + "; did you mean " + in_quotes(meant) + "?";
    }
    // In the wrong place: under another section, or written "tls.cert".
    for (const Key& key : keys()) {
      const bool same_leaf = nearest(leaf, elsewhere) == key.leaf() && key.section() != section;
      if (!same_leaf && nearest(leaf, names) != key.name) continue;
      message += "; did you mean " + in_quotes(key.leaf());
      return message +
             (key.section().empty() ? " at the top level?" : " in " + std::string(key.section()) + "?");
    }
    return message;
  }

  void report_unknown_variable(const std::string& name) {
    std::vector<std::string> variables = {"STELE_CONFIG"};
    for (const Key& key : keys()) {
      if (!key.for_tests) variables.push_back(key.variable());
    }
    // Without the common beginning, which would make any two look alike.
    std::vector<std::string_view> endings;
    for (const std::string& variable : variables) endings.push_back(std::string_view(variable).substr(6));
    const std::string_view meant = nearest(std::string_view(name).substr(6), endings);
    std::string message = "unknown variable; `stele config schema` lists the keys that variables can set";
    if (!meant.empty()) message = "unknown variable; did you mean STELE_" + std::string(meant) + "?";
    fail(printable(name), std::move(message));
  }

  bool usable(std::string_view name) const {
    return std::find(unusable_.begin(), unusable_.end(), key_index(name)) == unusable_.end();
  }

  // Complains where the value stands.
  void complain(std::string_view name, std::string message) {
    const ConfigOrigin& origin = loaded_.origins[key_index(name)];
    problems_.add(origin.name.empty() ? std::string_view("default") : origin.name, origin.at,
                  std::move(message));
  }

  void check_together() {
    const Config& config = loaded_.config;
    if (usable("data") && config.data.empty())
      complain("data", "data is empty; name the directory to keep everything in");
    const Config::Tls& tls = config.tls;
    if (usable("tls.cert") && usable("tls.key")) {
      if (!tls.cert.empty() && tls.key.empty())
        complain("tls.cert", "tls.cert is set without tls.key; TLS needs both");
      if (tls.cert.empty() && !tls.key.empty())
        complain("tls.key", "tls.key is set without tls.cert; TLS needs both");
    }
    if (usable("tls.cert") && usable("tls.client_ca") && tls.cert.empty() && !tls.client_ca.empty()) {
      complain("tls.client_ca",
               "tls.client_ca is set without tls.cert; client certificates exist only in TLS");
    }
    check_certificates();
    check_ldap();
    check_external_tokens();
    check_listeners();
  }

  void check_certificates() {
    const Config& config = loaded_.config;
    const std::string& ca = config.auth.mtls_ca;
    if (!usable("auth.mtls.ca") || ca.empty()) return;
    if (usable("tls.cert") && config.tls.cert.empty()) {
      complain("auth.mtls.ca", "auth.mtls.ca is set without tls.cert; client certificates exist only in TLS");
    }
    if (usable("tls.client_ca") && !config.tls.client_ca.empty() && config.tls.client_ca != ca) {
      complain("auth.mtls.ca",
               "auth.mtls.ca is another file than tls.client_ca, which every client needs a certificate of; "
               "keep auth.mtls.ca where others may log in without one, and tls.client_ca where nobody may");
    }
  }

  void check_ldap() {
    const Config::Ldap& ldap = loaded_.config.ldap;
    if (!usable("auth.ldap.url") || ldap.url.empty()) return;
    for (const std::string& url : ldap.urls()) {
      if (!url.starts_with("ldap://") && !url.starts_with("ldaps://"))
        complain("auth.ldap.url",
                 "auth.ldap.url must be ldaps://HOST or ldap://HOST; several are separated by spaces");
    }
    if (ldap.user_base.empty())
      complain("auth.ldap.url", "auth.ldap.url is set without auth.ldap.user_base, where users are searched");
    if (ldap.user_filter.find("{user}") == std::string::npos)
      complain("auth.ldap.user_filter",
               "auth.ldap.user_filter lacks {user}: everybody would be the same user");
    if (ldap.bind_dn.empty() != ldap.bind_password_file.empty())
      complain("auth.ldap.bind_dn", "auth.ldap.bind_dn and auth.ldap.bind_password_file come together");
  }

  void check_external_tokens() {
    const Config::ExternalTokens& external = loaded_.config.external_tokens;
    if (!usable("auth.external_tokens.issuer")) return;
    if (external.issuer.empty()) {
      if (!external.audience.empty() || !external.jwks_file.empty() || !external.realm.empty()) {
        complain("auth.external_tokens.issuer",
                 "auth.external_tokens.issuer is not set; nobody's tokens would be accepted");
      }
      return;
    }
    if (external.audience.empty() || external.jwks_file.empty()) {
      complain(
          "auth.external_tokens.issuer",
          "auth.external_tokens.issuer needs auth.external_tokens.audience, the service that tokens must "
          "be for, and auth.external_tokens.jwks_file, the keys that they are signed with");
    }
    // It stands between quotes in a header.
    const bool fit = std::all_of(external.realm.begin(), external.realm.end(),
                                 [](char c) { return c > ' ' && c < '\x7f' && c != '"' && c != '\\'; });
    const bool url = external.realm.starts_with("https://") || external.realm.starts_with("http://");
    if (!external.realm.empty() && (!fit || !url))
      complain("auth.external_tokens.realm", "auth.external_tokens.realm is no http or https URL");
    for (const auth::OidcSettings& issuer : loaded_.config.auth.oidc) {
      if (issuer.issuer == external.issuer) {
        complain("auth.external_tokens.issuer",
                 "auth.external_tokens.issuer is in auth.oidc, too; a token is one thing or the other");
      }
    }
  }

  void check_listeners() {
    const Config& config = loaded_.config;
    if (!usable("listen")) return;
    const ListenAddress& listen = config.listen;
    const bool tls_unclear = !usable("tls.cert") || !usable("tls.key") || !usable("insecure");
    const bool encrypted = config.tls.enabled() || !config.tls.key.empty();
    if (!listen.is_loopback() && !encrypted && !config.insecure && !tls_unclear) {
      complain("listen",
               "listening on " + listen.to_string() +
                   " without TLS would send passwords and images in the clear; set tls.cert and tls.key, or "
                   "listen on 127.0.0.1 behind a proxy that speaks TLS, or allow it with --insecure");
    }
    if (!usable("metrics.listen") || !config.metrics.listen) return;
    if (*config.metrics.listen == listen && listen.port != 0) {
      complain("metrics.listen",
               "metrics.listen is the same as listen; choose another port, or off to answer /metrics "
               "on the main listener");
    }
  }

  LoadedConfig loaded_;
  ConfigProblems problems_;
  std::string file_;
  std::vector<std::size_t> unusable_;  // keys whose value could not be read
};

// At most one byte more than is allowed, so that the parser can say that it is too large.
std::optional<std::string> read_bounded(const std::string& path, std::string& why) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(max_config_bytes + 4, '\0');  // 4: a byte order mark and the one byte more
  std::size_t used = 0;
  while (file.get() >= 0 && used < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    if (got == 0) {
      text.resize(used);
      return text;
    }
    used += static_cast<std::size_t>(got);
  }
  if (file.get() >= 0 && used == text.size()) return text;
  why = std::strerror(errno);
  return std::nullopt;
}

std::string config_path(const ConfigSources& sources) {
  if (sources.flags.config) return *sources.flags.config;
  for (const auto& [name, value] : sources.environment) {
    if (name == "STELE_CONFIG") return value;
  }
  return {};
}

}  // namespace

std::vector<std::string> Config::Ldap::urls() const {
  std::vector<std::string> all;
  for (std::size_t begin = 0; begin < url.size();) {
    const std::size_t end = std::min(url.find(' ', begin), url.size());
    if (end > begin) all.push_back(url.substr(begin, end - begin));
    begin = end + 1;
  }
  return all;
}

std::string ConfigOrigin::to_string() const {
  switch (kind) {
    case Kind::built_in:
      return "default";
    case Kind::file:
      return "file " + name + ":" + std::to_string(at.line);
    case Kind::environment:
      return "env " + name;
    case Kind::flag:
      return "flag " + name;
  }
  return "unknown";
}

std::vector<EnvironmentVariable> stele_environment() {
  std::vector<EnvironmentVariable> found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (!text.starts_with("STELE_") || equals == std::string_view::npos) continue;
    found.push_back({std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return found;
}

ConfigResult load_config(const ConfigSources& sources) {
  Load load;
  const std::string path = config_path(sources);
  if (!path.empty() || sources.flags.config) {
    std::string why;
    if (const auto text = read_bounded(path, why)) {
      load.read_file(*text, path);
    } else {
      load.fail(path.empty() ? "--config" : path, "cannot read the configuration: " + why);
    }
  }
  load.read_environment(sources.environment);
  load.read_flags(sources.flags);
  return load.finish();
}

ConfigResult parse_config_text(std::string_view yaml, std::string_view file_name) {
  Load load;
  load.read_file(yaml, file_name);
  return load.finish();
}

}  // namespace stele
