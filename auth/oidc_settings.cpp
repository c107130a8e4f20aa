#include "auth/oidc_settings.hpp"

#include <algorithm>
#include <optional>

#include "base/printable.hpp"
#include "config/quantity.hpp"
#include "http/address_kind.hpp"
#include "http/url.hpp"
#include "policy/issuers.hpp"
#include "policy/who.hpp"

namespace stele::auth {
namespace {

using config::YamlNode;

constexpr std::string_view known_keys[] = {"name",    "issuer", "audience", "jwks_file", "claims",
                                           "session", "leeway", "ca",       "proxy"};
constexpr std::size_t most_issuers = 50;
constexpr std::size_t longest_name = 64;
constexpr std::chrono::seconds longest_session = std::chrono::hours(6);
constexpr std::chrono::seconds longest_leeway = std::chrono::minutes(5);

// "github" of its URL, and of any other its host.
std::string name_of(const std::string& issuer) {
  for (const char* known : {"github", "gitlab"}) {
    if (issuer == policy::issuer_url(known)) return known;
  }
  const auto url = http::Url::parse(issuer);
  if (!url) return {};
  std::string host = url->host();
  std::replace(host.begin(), host.end(), ':', '-');  // of IPv6; a colon ends the name
  return host;
}

// Where everybody has projects.
bool is_open_to_all(const std::string& issuer) {
  return issuer == policy::issuer_url("github") || issuer == policy::issuer_url("gitlab");
}

bool is_settings_name(std::string_view text) {
  return !text.empty() && text.size() <= longest_name && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
  });
}

// One entry; every complaint names the key.
class EntryReader {
 public:
  EntryReader(std::string_view file, ConfigProblems& problems, OidcSettings& into)
      : file_(file), problems_(problems), into_(into) {}

  bool read(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::mapping) {
      fail(node.at, "an entry of auth.oidc must be {issuer: URL, audience: …, claims: {…}}, not " +
                        std::string(config::kind_name(node.kind)));
      return false;
    }
    for (const YamlNode& child : node.children) read_key(child);
    if (!good_) return false;
    if (into_.issuer.empty()) fail(node.at, "an entry of auth.oidc lacks issuer: github, gitlab or a URL");
    if (into_.name.empty()) into_.name = name_of(into_.issuer);
    if (into_.audience.empty()) {
      fail(node.at, "the issuer " + into_.name +
                        " lacks audience: a text that jobs ask for in their tokens, such as the name of this "
                        "registry; without, a token for something else would be good here");
    }
    if (!has_claims_) {
      fail(node.at, "the issuer " + into_.name +
                        " lacks claims: what a token must say to be accepted at all, such as "
                        "{repository_owner_id: \"4711\"}; {} accepts every token of this issuer");
    } else if (is_open_to_all(into_.issuer) &&
               std::none_of(into_.claims.begin(), into_.claims.end(), policy::Who::is_lasting_id)) {
      fail(node.at, "the issuer " + into_.name +
                        " gives tokens to everybody: name in claims whose are accepted, by an id, such as "
                        "{repository_owner_id: \"4711\"} (GitHub) or {namespace_id: \"4711\"} (GitLab)");
    }
    return good_;
  }

 private:
  void fail(TextPosition at, std::string message) {
    problems_.add(file_, at, std::move(message));
    good_ = false;
  }

  void read_key(const YamlNode& child) {
    const std::string& key = child.key;
    if (key == "issuer") {
      read_issuer(child);
    } else if (key == "claims") {
      read_claims(child);
    } else if (key == "session" || key == "leeway") {
      read_duration(child);
    } else if (key == "name") {
      if (is_settings_name(child.text)) {
        into_.name = child.text;
      } else {
        fail(child.at, "the name of an issuer is made of a to z, 0 to 9, \".\", \"-\" and \"_\", at most 64");
      }
    } else if (std::string* const place = text_key(key)) {
      if (const auto text = text_of(child)) *place = *text;
    } else {
      const std::string_view meant = config::nearest(key, known_keys);
      fail(child.key_at, "unknown key " + in_quotes(key) + " in an entry of auth.oidc" +
                             (meant.empty() ? "" : "; did you mean " + in_quotes(meant) + "?"));
    }
  }

  std::string* text_key(std::string_view key) {
    if (key == "audience") return &into_.audience;
    if (key == "jwks_file") return &into_.jwks_file;
    if (key == "ca") return &into_.ca;
    if (key == "proxy") return &into_.proxy;
    return nullptr;
  }

  std::optional<std::string> text_of(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::scalar || node.text.empty() || !is_printable_line(node.text)) {
      fail(node.at, node.key + " of an issuer must be one line of text");
      return std::nullopt;
    }
    return node.text;
  }

  void read_issuer(const YamlNode& node) {
    const auto text = text_of(node);
    if (!text) return;
    const std::string issuer(policy::issuer_url(*text));
    const auto url = http::Url::parse(issuer);
    if (!url || !url->query().empty()) {
      fail(node.at,
           "the issuer " + in_quotes(*text) + " must be github, gitlab or its URL, as tokens have it (iss)");
      return;
    }
    const bool here =
        url->host() == "localhost" || http::kind_of_address(url->host()) == http::AddressKind::loopback;
    if (!url->secure() && !here) {
      fail(node.at, "the issuer " + in_quotes(*text) +
                        " must be reached by https: over http anybody on the way could give it other keys");
      return;
    }
    into_.issuer = issuer;
  }

  void read_claims(const YamlNode& node) {
    has_claims_ = true;
    if (node.kind != YamlNode::Kind::mapping) {
      fail(node.at, "claims of an issuer must be a mapping, such as {repository_owner_id: \"4711\"}");
      return;
    }
    for (const YamlNode& child : node.children) {
      const auto text = text_of(child);
      if (!text) return;
      Claim claim;
      claim.name = child.key;
      claim.value = *text;
      into_.claims.push_back(std::move(claim));
    }
    std::sort(into_.claims.begin(), into_.claims.end(),
              [](const Claim& a, const Claim& b) { return a.name < b.name; });
  }

  void read_duration(const YamlNode& node) {
    const bool session = node.key == "session";
    const auto duration = config::parse_duration(node.text);
    const bool fits =
        duration && (session ? (*duration >= std::chrono::minutes(1) && *duration <= longest_session) ||
                                   duration->count() == 0
                             : *duration <= longest_leeway);
    if (!fits) {
      fail(node.at, session ? "session of an issuer must be a duration of 1m to 6h, or 0 for none"
                            : "leeway of an issuer must be a duration of 0 to 5m");
      return;
    }
    (session ? into_.session : into_.leeway) = *duration;
  }

  const std::string_view file_;
  ConfigProblems& problems_;
  OidcSettings& into_;
  bool has_claims_ = false;
  bool good_ = true;
};

std::string printed(const OidcSettings& settings) {
  static const OidcSettings defaults;
  std::string text = "{issuer: " + config::yaml_scalar(settings.issuer);
  const auto word = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) text += ", " + std::string(key) + ": " + config::yaml_scalar(value);
  };
  if (settings.name != name_of(settings.issuer)) word("name", settings.name);
  word("audience", settings.audience);
  word("jwks_file", settings.jwks_file);
  text += ", claims: {";
  for (const Claim& claim : settings.claims) {
    text += (&claim == &settings.claims.front() ? "" : ", ") + config::yaml_scalar(claim.name) + ": " +
            config::yaml_scalar(claim.value);
  }
  text += "}";
  if (settings.session != defaults.session) text += ", session: " + config::format_duration(settings.session);
  if (settings.leeway != defaults.leeway) text += ", leeway: " + config::format_duration(settings.leeway);
  word("ca", settings.ca);
  word("proxy", settings.proxy);
  return text + "}";
}

}  // namespace

bool OidcSettings::operator==(const OidcSettings& other) const {
  return printed(*this) == printed(other);
}

std::string print_oidc(const std::vector<OidcSettings>& issuers) {
  std::string text;
  for (const OidcSettings& entry : issuers) text += (text.empty() ? "" : ", ") + printed(entry);
  return "[" + text + "]";
}

bool read_oidc(const YamlNode& node, std::string_view file, std::vector<OidcSettings>& into,
               ConfigProblems& problems) {
  if (node.kind == YamlNode::Kind::null) return true;
  if (node.kind != YamlNode::Kind::sequence || node.children.size() > most_issuers) {
    problems.add(file, node.at,
                 "auth.oidc must be a list of at most " + std::to_string(most_issuers) + " issuers");
    return false;
  }
  bool good = true;
  std::vector<OidcSettings> read;
  for (const YamlNode& item : node.children) {
    OidcSettings settings;
    if (!EntryReader(file, problems, settings).read(item)) {
      good = false;
      continue;
    }
    for (const OidcSettings& other : read) {
      if (settings.issuer == other.issuer || settings.name == other.name) {
        problems.add(file, item.at,
                     "two entries of auth.oidc are the issuer " +
                         (settings.issuer == other.issuer ? settings.issuer : settings.name) +
                         "; keep one, or give one another name");
        good = false;
      }
    }
    read.push_back(std::move(settings));
  }
  if (good) into = std::move(read);
  return good;
}

}  // namespace stele::auth
