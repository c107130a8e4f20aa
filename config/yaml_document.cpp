#include "config/yaml_document.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "base/printable.hpp"

namespace stele::config {
namespace {

constexpr std::size_t max_depth = 16;
constexpr std::size_t max_nodes = 20000;

TextPosition position(const YAML::Mark& mark) {
  if (mark.is_null()) return {1, 1};
  return {mark.line + 1, mark.column + 1};
}

// Ends the parse: what follows cannot be understood, or must not be.
struct Stop {
  TextPosition at;
  std::string message;
};

// Builds the tree from yaml-cpp's events. Its own Node is not used: it resolves aliases, forgets the places
// of keys and keeps the last of two equal ones.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view file, YamlNode& root, ConfigProblems& problems)
      : file_(file), root_(root), problems_(problems) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) throw Stop{position(mark), "a second document begins; only one is read"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    if (awaits_key()) throw Stop{position(mark), "a key is missing"};
    add(node(YamlNode::Kind::null, mark));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override { refuse_anchor(mark, anchor); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    const bool tagged = refuse_tag(mark, tag);
    if (awaits_key()) return begin_entry(position(mark), value);
    YamlNode scalar = node(YamlNode::Kind::scalar, mark);
    scalar.text = tagged ? tag + value : value;  // what was meant: no second complaint about an empty value
    add(std::move(scalar));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::sequence, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::mapping, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    std::optional<std::pair<std::string, TextPosition>> key;  // read, its value not yet
    std::unordered_map<std::string, int> lines;               // of the keys seen so far
  };

  static void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor == YAML::NullAnchor) return;
    throw Stop{position(mark),
               "anchors and aliases (&, *) are not supported; write the value out, or in quotes if "
               "it is a pattern"};
  }

  // yaml-cpp's "?" is an untagged plain value, "!" a quoted one.
  bool refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return false;
    problems_.add(file_, position(mark),
                  "the YAML tag " + in_quotes(tag) +
                      " is not supported; if it is a pattern, put "
                      "it in quotes");
    return true;
  }

  YamlNode node(YamlNode::Kind kind, const YAML::Mark& mark) {
    if (++nodes_ > max_nodes)
      throw Stop{position(mark), "more than " + std::to_string(max_nodes) + " values"};
    YamlNode made;
    made.kind = kind;
    made.at = position(mark);
    return made;
  }

  bool awaits_key() const {
    return !open_.empty() && open_.back().node.kind == YamlNode::Kind::mapping && !open_.back().key;
  }

  void begin_entry(TextPosition at, const std::string& key) {
    Open& mapping = open_.back();
    const auto [earlier, fresh] = mapping.lines.emplace(key, at.line);
    if (!fresh) {
      problems_.add(file_, at,
                    "duplicate key " + in_quotes(key) + ": it already stands in line " +
                        std::to_string(earlier->second));
    }
    mapping.key.emplace(key, at);
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (awaits_key()) throw Stop{position(mark), "a key must be text; is a bracket left open?"};
    if (open_.size() == max_depth) {
      throw Stop{position(mark), "nested more than " + std::to_string(max_depth) + " levels deep"};
    }
    Open opened;
    opened.node = node(kind, mark);
    open_.push_back(std::move(opened));
  }

  void close() {
    YamlNode done = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(done));
  }

  void add(YamlNode child) {
    if (open_.empty()) {
      root_ = std::move(child);
      return;
    }
    Open& parent = open_.back();
    if (parent.key) {
      child.key = std::move(parent.key->first);
      child.key_at = parent.key->second;
      if (child.kind == YamlNode::Kind::null) child.at = child.key_at;  // yaml-cpp's is the next token's
      parent.key.reset();
    }
    parent.node.children.push_back(std::move(child));
  }

  const std::string_view file_;
  YamlNode& root_;
  ConfigProblems& problems_;
  std::vector<Open> open_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

TextPosition position_of_offset(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return {static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1,
          static_cast<int>(offset - line_start) + 1};
}

// A value that begins with one of YAML's own characters is the usual slip with patterns: - **, - !test/**
std::string hint_at(std::string_view text, TextPosition at) {
  for (int line = 1; line < at.line; ++line) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  const auto column = static_cast<std::size_t>(at.column - 1);
  if (column >= text.size() || std::string_view("*&!@`%").find(text[column]) == std::string_view::npos)
    return {};
  return std::string("; a value that begins with ") + text[column] + " must stand in quotes";
}

}  // namespace

bool parse_yaml(std::string_view text, std::string_view file_name, YamlNode& root, ConfigProblems& problems) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (text.size() > max_config_bytes) {
    problems.add(file_name, {}, "larger than 1 MiB, which no configuration is");
    return false;
  }
  // Before yaml-cpp: it guesses UTF-16 and UTF-32 from the first bytes and replaces what it cannot decode.
  if (const std::size_t bad = find_unprintable(text); bad != std::string_view::npos) {
    problems.add(file_name, position_of_offset(text, bad),
                 "not text: a control character, or bytes that are not UTF-8");
    return false;
  }
  TreeBuilder builder(file_name, root, problems);
  try {
    std::istringstream input{std::string(text)};
    YAML::Parser parser(input);
    while (parser.HandleNextDocument(builder)) {
    }
    return true;
  } catch (const Stop& stop) {
    problems.add(file_name, stop.at, stop.message);
  } catch (const YAML::Exception& error) {
    const TextPosition at = position(error.mark);
    problems.add(file_name, at, "not valid YAML: " + printable(error.msg) + hint_at(text, at));
  }
  return false;
}

std::string_view kind_name(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::scalar:
      return "a single value";
    case YamlNode::Kind::sequence:
      return "a list";
    case YamlNode::Kind::mapping:
      return "a mapping";
  }
  return "something else";
}

std::string yaml_scalar(std::string_view text) {
  constexpr std::array<std::string_view, 9> words = {"null", "true", "false", "yes", "no",
                                                     "on",   "off",  "y",     "n"};
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_plain = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '/' || c == '_' || c == '-';
  };
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const bool plain =
      !text.empty() &&
      (is_letter(text[0]) || text.starts_with("/") || text.starts_with("./") || text.starts_with("../")) &&
      std::all_of(text.begin(), text.end(), is_plain) &&
      std::find(words.begin(), words.end(), lower) == words.end();
  if (plain) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace stele::config
