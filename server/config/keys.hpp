#pragma once
// The one table of configuration keys. Reading, `config print`, `config schema`, the environment's names and
// the table in docs/configuration.md are all made from it; the defaults are Config's initialisers.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "server/config/config.hpp"

namespace stele::config {

// How a value is written. values.cpp reads and prints each.
enum class ValueType {
  listen_address,
  optional_listen_address,
  path,
  text,
  url,
  address_ranges,
  origins,
  size,
  count,
  duration,
  toggle,
  log_level,
  log_format,
  reference_rules,
  mirrors,
  oidc_issuers,
  certificate_name,
};

// Where in a Config the value lives: the alternative that belongs to the key's type.
template <class T>
using FieldOf = T& (*)(Config&);
using Field =
    std::variant<FieldOf<ListenAddress>, FieldOf<std::optional<ListenAddress>>, FieldOf<std::string>,
                 FieldOf<std::vector<AddressRange>>, FieldOf<std::vector<std::string>>,
                 FieldOf<std::uint64_t>, FieldOf<std::chrono::seconds>, FieldOf<bool>,
                 FieldOf<Config::LogLevel>, FieldOf<Config::LogFormat>, FieldOf<http::CertificateName>,
                 FieldOf<std::vector<Config::ReferenceRule>>, FieldOf<std::vector<mirror::Settings>>,
                 FieldOf<std::vector<auth::OidcSettings>>>;

// Bounds of sizes (bytes), counts and durations (seconds), both included. `zero`: 0 is allowed besides.
struct Bounds {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
  bool zero = false;
};

struct Key {
  std::string_view name;  // "limits.manifest_bytes"
  ValueType type;
  Field field;
  std::string_view doc;  // one line, Markdown
  Bounds bounds = {};
  std::string_view flag = {};  // "--listen", when there is one
  bool for_tests = false;      // Stele's own alone: read, but in no list of what there is

  std::string_view section() const;  // "limits", "auth.htpasswd"; empty at the top level
  std::string_view leaf() const;     // "manifest_bytes"
  std::string variable() const;      // "STELE_LIMITS_MANIFEST_BYTES"
};

std::span<const Key> keys();
// The index in keys(), or npos. Every name that the code itself writes must exist: see key_index.
std::size_t find_key(std::string_view name);
std::size_t key_index(std::string_view name);  // throws std::logic_error on an unknown name
bool is_section(std::string_view name);

// Variables that begin with STELE_ and are not keys: STELE_CONFIG, and those that Kubernetes and Docker links
// set for a service named stele or stele-….
bool is_foreign_variable(std::string_view name, std::string_view value);

}  // namespace stele::config
