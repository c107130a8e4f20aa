#include "server/config/values.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "base/printable.hpp"
#include "base/text.hpp"
#include "config/quantity.hpp"
#include "http/url.hpp"
#include "policy/pattern.hpp"
#include "server/config/choices.hpp"

namespace stele::config {
namespace {

template <class T, std::size_t N>
std::string listed(const Choice<T> (&choices)[N]) {
  std::string text;
  for (std::size_t i = 0; i < N; ++i) {
    if (i > 0) text += i + 1 == N ? " or " : ", ";
    text += choices[i].name;
  }
  return text;
}

bool accepts(const Bounds& bounds, std::uint64_t value) {
  return (value >= bounds.least && value <= bounds.most) || (bounds.zero && value == 0);
}

// "/registry", "/a/b": what a proxy takes off again. Not below /v2, which is the registry's own.
bool is_path_prefix(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    if (segment.empty() || segment == "." || segment == ".." || segment == "v2" ||
        !std::all_of(segment.begin(), segment.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                 c == '-' || c == '_' || c == '~';
        }))
      return false;
    path.remove_prefix(segment.size());
  }
  return true;
}

// scheme://host[:port], and nothing that a reader of URLs would understand otherwise than it is written.
bool is_origin(std::string_view text) {
  const auto url = http::Url::parse(text);
  if (!url || !std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; }))
    return false;
  const std::string written = lower_case(text), origin = url->origin();
  if (!text.starts_with(origin.substr(0, origin.find(':') + 1))) return false;
  return written == origin || written == origin + (url->secure() ? ":443" : ":80");
}

// An origin, and perhaps a path behind it.
bool is_url(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::size_t slash = std::min(text.find('/', scheme + 3), text.size());
  return is_origin(text.substr(0, slash)) && is_path_prefix(text.substr(slash));
}

// Reads one value; every complaint names the key and ends up in the same list.
class Reader {
 public:
  Reader(const Key& key, std::string_view file, Config& into, ConfigProblems& problems)
      : key_(key), file_(file), into_(into), problems_(problems) {}

  bool read(const YamlNode& node) {
    if (key_.type == ValueType::address_ranges) return read_ranges(node);
    if (key_.type == ValueType::origins) return read_origins(node);
    if (key_.type == ValueType::reference_rules) return read_rules(node);
    if (key_.type == ValueType::mirrors) {
      return mirror::read_settings(node, file_, place<std::vector<mirror::Settings>>(key_, into_), problems_);
    }
    if (key_.type == ValueType::oidc_issuers) {
      return auth::read_oidc(node, file_, place<std::vector<auth::OidcSettings>>(key_, into_), problems_);
    }
    if (!is_text(node, std::string(key_.name))) return false;
    return read_scalar(node);
  }

 private:
  bool fail(TextPosition at, std::string message) {
    problems_.add(file_, at, std::move(message));
    return false;
  }

  bool is_text(const YamlNode& node, const std::string& what) {
    if (node.kind == YamlNode::Kind::null)
      return fail(node.at, what + " has no value; give one or remove the key");
    if (node.kind != YamlNode::Kind::scalar) {
      return fail(node.at,
                  what + " must be a single value, not " + std::string(config::kind_name(node.kind)));
    }
    if (!is_printable_line(node.text))
      return fail(node.at, what + " contains a control character or bytes that are not UTF-8");
    return true;
  }

  bool read_scalar(const YamlNode& node) {
    switch (key_.type) {
      case ValueType::listen_address:
        return read_address(node, place<ListenAddress>(key_, into_));
      case ValueType::optional_listen_address: {
        auto& listen = place<std::optional<ListenAddress>>(key_, into_);
        if (node.text.empty() || node.text == "off") {
          listen.reset();
          return true;
        }
        ListenAddress address;
        if (!read_address(node, address)) return false;
        listen = address;
        return true;
      }
      case ValueType::path:
      case ValueType::text:
        place<std::string>(key_, into_) = node.text;
        return true;
      case ValueType::url:
        return read_url(node);
      case ValueType::size:
        return read_number(node, parse_size(node.text), "a number of bytes, or one with KiB, MiB or GiB",
                           place<std::uint64_t>(key_, into_));
      case ValueType::count: {
        std::optional<std::uint64_t> count;
        std::uint64_t number = 0;
        const char* const end = node.text.data() + node.text.size();
        const auto [stop, failed] = std::from_chars(node.text.data(), end, number);
        if (failed == std::errc() && stop == end) count = number;
        return read_number(node, count, "a whole number", place<std::uint64_t>(key_, into_));
      }
      case ValueType::duration:
        return read_duration(node);
      case ValueType::toggle:
        return read_choice(node, toggles, place<bool>(key_, into_));
      case ValueType::log_level:
        return read_choice(node, log_levels, place<Config::LogLevel>(key_, into_));
      case ValueType::log_format:
        return read_choice(node, log_formats, place<Config::LogFormat>(key_, into_));
      case ValueType::certificate_name:
        return read_choice(node, certificate_names, place<http::CertificateName>(key_, into_));
      case ValueType::address_ranges:
      case ValueType::origins:
      case ValueType::reference_rules:
      case ValueType::mirrors:
      case ValueType::oidc_issuers:
        break;
    }
    throw std::logic_error("no scalar: " + std::string(key_.name));
  }

  bool read_address(const YamlNode& node, ListenAddress& into) {
    auto address = ListenAddress::parse(node.text);
    if (!address) return fail(node.at, std::string(key_.name) + ": " + address.error().message());
    into = std::move(*address);
    return true;
  }

  bool read_url(const YamlNode& node) {
    std::string url = node.text;
    if (url.ends_with('/')) url.pop_back();
    if (!url.empty() && !is_url(url)) {
      return fail(node.at,
                  std::string(key_.name) + ": " + in_quotes(node.text) +
                      " is not a base URL; write http:// or https://, a host, and where needed a port and "
                      "the path at which a proxy serves it, without /v2/");
    }
    place<std::string>(key_, into_) = std::move(url);
    return true;
  }

  bool read_number(const YamlNode& node, std::optional<std::uint64_t> number, std::string_view expected,
                   std::uint64_t& into) {
    if (!number) {
      return fail(node.at,
                  std::string(key_.name) + ": " + in_quotes(node.text) + " is not " + std::string(expected));
    }
    if (!accepts(key_.bounds, *number)) {
      return fail(node.at, std::string(key_.name) + ": " + in_quotes(node.text) +
                               " is out of range; allowed is " + describe_bounds(key_));
    }
    into = *number;
    return true;
  }

  bool read_duration(const YamlNode& node) {
    std::optional<std::uint64_t> seconds;
    if (const auto duration = parse_duration(node.text))
      seconds = static_cast<std::uint64_t>(duration->count());
    std::uint64_t checked = 0;
    if (!read_number(node, seconds, "a duration such as 90s, 15m, 24h or 7d", checked)) return false;
    place<std::chrono::seconds>(key_, into_) = std::chrono::seconds(static_cast<std::int64_t>(checked));
    return true;
  }

  template <class T, std::size_t N>
  bool read_choice(const YamlNode& node, const Choice<T> (&choices)[N], T& into) {
    return read_choice(node, choices, std::string(key_.name), into);
  }

  template <class T, std::size_t N>
  bool read_choice(const YamlNode& node, const Choice<T> (&choices)[N], const std::string& what, T& into) {
    for (const Choice<T>& choice : choices) {
      if (choice.name != node.text) continue;
      into = choice.value;
      return true;
    }
    return fail(node.at, what + " must be " + listed(choices) + ", not " + in_quotes(node.text));
  }

  bool is_list(const YamlNode& node, const std::string& what) {
    // Nothing is an empty list: what is left when every entry has been commented out.
    if (node.kind == YamlNode::Kind::sequence || node.kind == YamlNode::Kind::null) return true;
    return fail(node.at, what + " must be a list, not " + std::string(config::kind_name(node.kind)));
  }

  // `take(item, list)` takes an entry into the list, or complains of it; with a complaint `into` stays as it
  // is.
  template <class T, class Take>
  bool read_list(const YamlNode& node, const std::string& what, std::vector<T>& into, Take take) {
    if (!is_list(node, what)) return false;
    std::vector<T> list;
    bool good = true;
    for (const YamlNode& item : node.children) good = take(item, list) && good;
    if (good) into = std::move(list);
    return good;
  }

  bool read_ranges(const YamlNode& node) {
    const std::string name(key_.name);
    const auto take = [&](const YamlNode& item, std::vector<AddressRange>& ranges) {
      if (!is_text(item, "an entry of " + name)) return false;
      auto range = AddressRange::parse(item.text);
      if (!range) return fail(item.at, name + ": " + range.error().message());
      ranges.push_back(*range);
      return true;
    };
    return read_list(node, name, place<std::vector<AddressRange>>(key_, into_), take);
  }

  bool read_origins(const YamlNode& node) {
    const std::string name(key_.name);
    const auto take = [&](const YamlNode& item, std::vector<std::string>& origins) {
      if (!is_text(item, "an entry of " + name)) return false;
      const bool every = item.text == "*";
      if (every ? node.children.size() != 1 : !is_origin(item.text)) {
        return fail(item.at, name + ": " + in_quotes(item.text) +
                                 (every ? " stands alone: it is every origin"
                                        : " is not an origin; write it as browsers do: http:// or "
                                          "https://, a host and, if needed, a port"));
      }
      origins.push_back(lower_case(item.text));
      return true;
    };
    return read_list(node, name, place<std::vector<std::string>>(key_, into_), take);
  }

  bool read_rules(const YamlNode& node) {
    using Rule = Config::ReferenceRule;
    const auto take = [&](const YamlNode& item, std::vector<Rule>& rules) {
      return read_rule(item, rules.emplace_back());
    };
    return read_list(node, std::string(key_.name), place<std::vector<Rule>>(key_, into_), take);
  }

  bool read_rule(const YamlNode& node, Config::ReferenceRule& rule) {
    const std::string what = "an entry of " + std::string(key_.name);
    if (node.kind != YamlNode::Kind::mapping) {
      return fail(node.at, what + " must be {repositories: [PATTERN, …], mode: strict|sparse}, not " +
                               std::string(config::kind_name(node.kind)));
    }
    bool good = true;
    bool has_repositories = false, has_mode = false;
    for (const YamlNode& child : node.children) {
      if (child.key == "repositories") {
        has_repositories = true;
        good = read_patterns(child, rule.repositories) && good;
      } else if (child.key == "mode") {
        has_mode = true;
        good = is_text(child, "mode") && read_choice(child, modes, "mode", rule.mode) && good;
      } else {
        good = unknown_in_rule(child);
      }
    }
    if (!has_repositories)
      good = fail(node.at, what + " lacks repositories; to match all, write repositories: [\"**\"]");
    if (!has_mode) good = fail(node.at, what + " lacks mode; write strict or sparse");
    return good;
  }

  bool unknown_in_rule(const YamlNode& child) {
    constexpr std::string_view known[] = {"repositories", "mode"};
    const std::string_view meant = nearest(child.key, known);
    std::string message = "unknown key " + in_quotes(child.key) + " in an entry of " + std::string(key_.name);
    if (!meant.empty()) message += "; did you mean " + in_quotes(meant) + "?";
    return fail(child.key_at, message);
  }

  bool read_patterns(const YamlNode& node, std::vector<std::string>& patterns) {
    const bool empty = node.kind == YamlNode::Kind::sequence || node.kind == YamlNode::Kind::null;
    if (empty && node.children.empty())
      return fail(node.at, "repositories is empty; to match all, write [\"**\"]");
    const auto take = [&](const YamlNode& item, std::vector<std::string>& into) {
      if (!is_text(item, "a pattern in repositories")) return false;
      if (item.text.empty() || item.text == "!") return fail(item.at, "a pattern in repositories is empty");
      if (const auto compiled = policy::PatternList::compile({item.text}); !compiled)
        return fail(item.at, compiled.error().message());
      into.push_back(item.text);
      return true;
    };
    return read_list(node, "repositories", patterns, take);
  }

  const Key& key_;
  const std::string_view file_;
  Config& into_;
  ConfigProblems& problems_;
};

YamlNode scalar(std::string_view text) {
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.text = text;
  return node;
}

// 10.0.0.1, fd00::/8: blanks around the commas do no harm, and nothing at all is the empty list.
YamlNode comma_list(std::string_view text) {
  YamlNode node;
  node.kind = YamlNode::Kind::sequence;
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty() || comma != std::string_view::npos || !node.children.empty())
      node.children.push_back(scalar(item));
    if (comma == std::string_view::npos) return node;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

bool read_value(const Key& key, const YamlNode& node, std::string_view file, Config& into,
                ConfigProblems& problems) {
  return Reader(key, file, into, problems).read(node);
}

bool read_text(const Key& key, std::string_view text, std::string_view origin, Config& into,
               ConfigProblems& problems) {
  YamlNode node;
  if (key.type == ValueType::reference_rules || key.type == ValueType::mirrors ||
      key.type == ValueType::oidc_issuers) {
    if (!parse_yaml(text, origin, node, problems)) return false;
  } else {
    const bool is_list = key.type == ValueType::address_ranges || key.type == ValueType::origins;
    node = is_list ? comma_list(text) : scalar(text);
  }
  return read_value(key, node, origin, into, problems);
}

}  // namespace stele::config
