#include <algorithm>
#include <charconv>
#include <optional>

#include "base/printable.hpp"
#include "base/reference.hpp"
#include "base/text.hpp"
#include "config/quantity.hpp"
#include "http/url.hpp"
#include "mirror/settings.hpp"
#include "policy/pattern.hpp"

namespace stele::mirror {
namespace {

using config::YamlNode;

constexpr std::string_view known_keys[] = {
    "name",        "prefix",   "upstreams",         "default",      "allow",
    "deny",        "tag_ttl",  "missing_ttl",       "max_rate",     "max_fetches",
    "tags",        "username", "password_file",     "password_env", "token_realm",
    "ca",          "proxy",    "redirect_allow",    "wait",         "quarantine",
    "evict_after", "max_size", "credential_helper", "cloud_login",  "cloud_key_file"};
constexpr std::size_t most_mirrors = 100;
constexpr std::chrono::seconds longest_ttl(365 * 86400);
constexpr std::chrono::seconds longest_wait(300);

// One entry; every complaint names the mirror's key.
class EntryReader {
 public:
  EntryReader(std::string_view file, ConfigProblems& problems, Settings& into)
      : file_(file), problems_(problems), into_(into) {}

  bool read(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::mapping) {
      fail(node.at, "an entry of mirrors must be {name: …, upstreams: [URL, …], …}, not " +
                        std::string(config::kind_name(node.kind)));
      return false;
    }
    for (const YamlNode& child : node.children) read_key(child);
    if (into_.name.empty() && good_) fail(node.at, "an entry of mirrors lacks name, such as docker.io");
    if (into_.upstreams.empty() && good_)
      fail(node.at, "mirror " + into_.name + " lacks upstreams, such as [https://registry-1.docker.io]");
    if (into_.prefix.empty()) into_.prefix = into_.name;
    if (good_ && !RepositoryName::parse(into_.prefix)) {
      fail(node.at, "mirror " + into_.name + ": " + in_quotes(into_.prefix) +
                        " cannot begin a repository's name; give it a prefix of lower-case letters, digits, "
                        "'.', '-', '_' and '/'");
    }
    const bool has_password = !into_.password_file.empty() || !into_.password_env.empty();
    if (into_.username.empty() && has_password)
      fail(node.at, "mirror " + into_.name + " has a password without username");
    if (!into_.username.empty() && !has_password)
      fail(node.at,
           "mirror " + into_.name + " has a username; name its password by password_file or password_env");
    if (!into_.password_file.empty() && !into_.password_env.empty())
      fail(node.at, "mirror " + into_.name + " has both password_file and password_env; keep one");
    if (into_.tags == Settings::Tags::pin && into_.quarantine.count() > 0)
      fail(node.at, "mirror " + into_.name +
                        " has tags: pin and a quarantine; a pinned tag moves only when somebody approves it, "
                        "keep one of the two");
    check_account(node);
    // Whoever may pull from the mirror reads everything that its account may.
    if (good_ && into_.has_account() && into_.allow.empty())
      fail(node.at, "mirror " + into_.name +
                        " has credentials without allow: everybody who may pull from it would read all that "
                        "its account may; list what it is for, or write allow: [\"**\"]");
    return good_;
  }

 private:
  void check_account(const YamlNode& node) {
    const int ways = int(!into_.username.empty()) + int(!into_.credential_helper.empty()) +
                     int(into_.cloud_login != Settings::CloudLogin::none);
    if (ways > 1)
      fail(node.at, "mirror " + into_.name +
                        " has more than one of username, credential_helper and cloud_login; keep one");
    const bool asked_for =
        !into_.credential_helper.empty() || into_.cloud_login != Settings::CloudLogin::none;
    if (asked_for && into_.upstreams.size() > 1)
      fail(node.at,
           "mirror " + into_.name +
               " asks for its login, which is for one upstream, and lists several; write a mirror for "
               "each");
    if (!into_.cloud_key_file.empty() && into_.cloud_login != Settings::CloudLogin::google)
      fail(node.at, "mirror " + into_.name + " has a cloud_key_file without cloud_login: google");
    const auto of_a_name = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
             c == '_' || c == '.';
    };
    if (!std::all_of(into_.credential_helper.begin(), into_.credential_helper.end(), of_a_name))
      fail(node.at,
           "mirror " + into_.name + ": " + in_quotes(into_.credential_helper) +
               " names no credential helper: write pass for docker-credential-pass, without a folder");
  }

  void fail(TextPosition at, std::string message) {
    problems_.add(file_, at, std::move(message));
    good_ = false;
  }

  void read_key(const YamlNode& child) {
    const std::string& key = child.key;
    if (key == "name") {
      if (const auto text = text_of(child)) into_.name = canonical_registry(*text);
    } else if (key == "upstreams") {
      read_upstreams(child);
    } else if (key == "default") {
      if (const auto word = word_of(child, {"on", "off", "true", "false"}))
        into_.is_default = *word == "on" || *word == "true";
    } else if (key == "tags") {
      if (const auto word = word_of(child, {"follow", "pin"}))
        into_.tags = *word == "pin" ? Settings::Tags::pin : Settings::Tags::follow;
    } else if (key == "cloud_login") {
      if (const auto word = word_of(child, {"ecr", "google"}))
        into_.cloud_login = *word == "ecr" ? Settings::CloudLogin::ecr : Settings::CloudLogin::google;
    } else if (key == "allow" || key == "deny") {
      read_patterns(child, key == "allow" ? into_.allow : into_.deny);
    } else if (key == "tag_ttl") {
      read_tag_ttl(child);
    } else if (key == "missing_ttl") {
      read_duration(child, into_.missing_ttl);
    } else if (key == "quarantine") {
      read_duration(child, into_.quarantine);
    } else if (key == "evict_after") {
      read_duration(child, into_.evict_after);
    } else if (key == "max_size") {
      read_size(child, into_.max_size, "500MiB or 200GiB");
    } else if (key == "max_rate") {
      read_size(child, into_.max_rate, "20MiB, for so many bytes a second");
    } else if (key == "max_fetches") {
      read_max_fetches(child);
    } else if (key == "wait") {
      read_wait(child);
    } else if (key == "redirect_allow") {
      for (const std::string& host : list_of(child)) into_.redirect_allow.push_back(lower_case(host));
    } else if (std::string* const place = text_key(key)) {
      if (const auto text = text_of(child)) *place = *text;
    } else {
      const std::string_view meant = config::nearest(key, known_keys);
      fail(child.key_at, "unknown key " + in_quotes(key) + " in an entry of mirrors" +
                             (meant.empty() ? "" : "; did you mean " + in_quotes(meant) + "?"));
    }
  }

  std::string* text_key(std::string_view key) {
    if (key == "prefix") return &into_.prefix;
    if (key == "username") return &into_.username;
    if (key == "password_file") return &into_.password_file;
    if (key == "password_env") return &into_.password_env;
    if (key == "credential_helper") return &into_.credential_helper;
    if (key == "cloud_key_file") return &into_.cloud_key_file;
    if (key == "token_realm") return &into_.token_realm;
    if (key == "ca") return &into_.ca;
    if (key == "proxy") return &into_.proxy;
    return nullptr;
  }

  std::optional<std::string> text_of(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::scalar || node.text.empty() || !is_printable_line(node.text)) {
      fail(node.at, node.key + " of a mirror must be one line of text");
      return std::nullopt;
    }
    return node.text;
  }

  std::optional<std::string> word_of(const YamlNode& node, std::initializer_list<std::string_view> words) {
    if (node.kind == YamlNode::Kind::scalar &&
        std::find(words.begin(), words.end(), node.text) != words.end())
      return node.text;
    std::string listed;
    for (const std::string_view word : words) listed += (listed.empty() ? "" : ", ") + std::string(word);
    fail(node.at, node.key + " of a mirror must be one of " + listed);
    return std::nullopt;
  }

  std::vector<std::string> list_of(const YamlNode& node) {
    std::vector<std::string> items;
    bool usable = node.kind == YamlNode::Kind::sequence;
    for (const YamlNode& item : node.children) {
      usable = usable && item.kind == YamlNode::Kind::scalar && is_printable_line(item.text);
      items.push_back(item.text);
    }
    if (!usable) {
      fail(node.at, node.key + " of a mirror must be a list of texts");
      items.clear();
    }
    return items;
  }

  void read_upstreams(const YamlNode& node) {
    for (const std::string& text : list_of(node)) {
      const auto url = http::Url::parse(text);
      if (!url || url->path() != "/" || !url->query().empty()) {
        fail(node.at, in_quotes(text) +
                          " is no upstream: write http:// or https://, a host and, if needed, a port (the "
                          "protocol fixes the path, and user and password have keys of their own)");
        return;
      }
      into_.upstreams.push_back(url->origin());
    }
  }

  void read_patterns(const YamlNode& node, std::vector<std::string>& into) {
    into = list_of(node);
    if (const auto compiled = policy::PatternList::compile(into); !compiled)
      fail(node.at, node.key + " of a mirror: " + compiled.error().message());
  }

  void read_duration(const YamlNode& node, std::chrono::seconds& into) {
    const auto duration = config::parse_duration(node.text);
    if (!duration || *duration > longest_ttl || *duration < std::chrono::seconds(1)) {
      fail(node.at, node.key + " of a mirror must be a duration such as 30s, 5m or 1h, 1s to 365d");
      return;
    }
    into = *duration;
  }

  // A duration, or patterns of tags with one each: {"@semver": never, "*": 5m}.
  void read_tag_ttl(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::mapping) return read_duration(node, into_.tag_ttl);
    into_.tag_ttls.clear();
    for (const YamlNode& child : node.children) read_pattern_ttl(child, &child == &node.children.back());
    if (node.children.empty())
      fail(node.at, "tag_ttl of a mirror must be a duration, or {\"@semver\": never, \"*\": 5m}");
  }

  void read_pattern_ttl(const YamlNode& child, bool last) {
    const bool never = child.kind == YamlNode::Kind::scalar && child.text == "never";
    const auto duration = config::parse_duration(child.text);
    const bool usable = duration && *duration <= longest_ttl && *duration >= std::chrono::seconds(1);
    if (!never && !usable) {
      fail(child.at, "tag_ttl of a mirror must say never for " + in_quotes(child.key) +
                         ", or a duration such as 30s, 5m or 1h, 1s to 365d");
      return;
    }
    if (child.key != "*") {
      if (const auto compiled = policy::PatternList::compile({child.key}); !compiled)
        fail(child.key_at, "tag_ttl of a mirror: " + compiled.error().message());
      into_.tag_ttls.push_back({child.key, never ? std::nullopt : duration});
    } else if (!last) {
      fail(child.key_at, "\"*\" of tag_ttl must come last: what stands below it never counts");
    } else if (never) {
      fail(child.at, "tag_ttl of a mirror cannot be never for all tags; tags: pin keeps them all");
    } else {
      into_.tag_ttl = *duration;
    }
  }

  void read_size(const YamlNode& node, std::uint64_t& into, std::string_view example) {
    const auto size = config::parse_size(node.text);
    if (!size || *size == 0) {
      fail(node.at, node.key + " of a mirror must be a size such as " + std::string(example));
      return;
    }
    into = *size;
  }

  void read_max_fetches(const YamlNode& node) {
    constexpr std::uint64_t most = 1000;
    std::uint64_t number = 0;
    const char* const end = node.text.data() + node.text.size();
    const auto read = std::from_chars(node.text.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end || number == 0 || number > most) {
      fail(node.at, "max_fetches of a mirror must be a number of blobs, 1 to 1000");
      return;
    }
    into_.max_fetches = number;
  }

  void read_wait(const YamlNode& node) {
    const auto duration = config::parse_duration(node.text);
    if (!duration || *duration > longest_wait || *duration < std::chrono::seconds(0)) {
      fail(node.at, "wait of a mirror must be a duration such as 10s, 0s to 5m");
      return;
    }
    into_.wait = *duration;
  }

  const std::string_view file_;
  ConfigProblems& problems_;
  Settings& into_;
  bool good_ = true;
};

std::string printed(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + config::yaml_scalar(item);
  return "[" + text + "]";
}

std::string printed(const Settings& settings) {
  static const Settings defaults;
  std::string text = "{name: " + config::yaml_scalar(settings.name);
  const auto word = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) text += ", " + std::string(key) + ": " + config::yaml_scalar(value);
  };
  const auto list = [&](std::string_view key, const std::vector<std::string>& items) {
    if (!items.empty()) text += ", " + std::string(key) + ": " + printed(items);
  };
  if (settings.prefix != settings.name) word("prefix", settings.prefix);
  list("upstreams", settings.upstreams);
  if (settings.is_default) text += ", default: on";
  list("allow", settings.allow);
  list("deny", settings.deny);
  if (!settings.tag_ttls.empty()) {
    text += ", tag_ttl: {";
    for (const Settings::TagTtl& entry : settings.tag_ttls)
      text += config::yaml_scalar(entry.pattern) + ": " +
              (entry.ttl ? config::format_duration(*entry.ttl) : "never") + ", ";
    text += "\"*\": " + config::format_duration(settings.tag_ttl) + "}";
  } else if (settings.tag_ttl != defaults.tag_ttl)
    text += ", tag_ttl: " + config::format_duration(settings.tag_ttl);
  if (settings.missing_ttl != defaults.missing_ttl)
    text += ", missing_ttl: " + config::format_duration(settings.missing_ttl);
  if (settings.wait != defaults.wait) text += ", wait: " + config::format_duration(settings.wait);
  if (settings.evict_after.count() > 0)
    text += ", evict_after: " + config::format_duration(settings.evict_after);
  if (settings.max_size > 0) text += ", max_size: " + config::format_size(settings.max_size);
  if (settings.max_rate > 0) text += ", max_rate: " + config::format_size(settings.max_rate);
  if (settings.max_fetches > 0) text += ", max_fetches: " + std::to_string(settings.max_fetches);
  if (settings.tags == Settings::Tags::pin) text += ", tags: pin";
  if (settings.quarantine != defaults.quarantine)
    text += ", quarantine: " + config::format_duration(settings.quarantine);
  word("username", settings.username);
  word("password_file", settings.password_file);
  word("password_env", settings.password_env);
  word("credential_helper", settings.credential_helper);
  if (settings.cloud_login != Settings::CloudLogin::none)
    word("cloud_login", settings.cloud_login == Settings::CloudLogin::ecr ? "ecr" : "google");
  word("cloud_key_file", settings.cloud_key_file);
  word("token_realm", settings.token_realm);
  word("ca", settings.ca);
  word("proxy", settings.proxy);
  list("redirect_allow", settings.redirect_allow);
  return text + "}";
}

bool overlap(const std::string& one, const std::string& other) {
  return one == other || one.starts_with(other + "/") || other.starts_with(one + "/");
}

}  // namespace

std::string canonical_registry(std::string_view ns) {
  std::string name = lower_case(ns);
  if (name.ends_with(":443")) name.resize(name.size() - 4);
  if (name == "index.docker.io" || name == "registry-1.docker.io") return "docker.io";
  return name;
}

std::string print_settings(const std::vector<Settings>& settings) {
  std::string text;
  for (const Settings& entry : settings) text += (text.empty() ? "" : ", ") + printed(entry);
  return "[" + text + "]";
}

bool read_settings(const YamlNode& node, std::string_view file, std::vector<Settings>& into,
                   ConfigProblems& problems) {
  if (node.kind == YamlNode::Kind::null) return true;
  if (node.kind != YamlNode::Kind::sequence || node.children.size() > most_mirrors) {
    problems.add(file, node.at,
                 "mirrors must be a list of at most " + std::to_string(most_mirrors) + " mirrors");
    return false;
  }
  bool good = true;
  std::vector<Settings> read;
  for (const YamlNode& item : node.children) {
    Settings settings;
    const bool usable = EntryReader(file, problems, settings).read(item);
    good = good && usable;
    for (const Settings& other : read) {
      if (!usable) break;
      if (settings.name == other.name || overlap(settings.prefix, other.prefix)) {
        problems.add(file, item.at,
                     "mirrors " + other.name + " and " + settings.name +
                         " would keep their repositories below the same name; give one another "
                         "prefix");
        good = false;
      }
      if (settings.is_default && other.is_default) {
        problems.add(file, item.at, "mirrors " + other.name + " and " + settings.name + " are both default");
        good = false;
      }
    }
    if (usable) read.push_back(std::move(settings));
  }
  if (good) into = std::move(read);
  return good;
}

}  // namespace stele::mirror
