#pragma once
// What is wrong with a configuration, said to the person who wrote it.

#include <boost/assert/source_location.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stele {

// Lines and columns count from 1, columns in bytes. Line 0: the whole file, a variable or a flag.
struct TextPosition {
  int line = 0;
  int column = 0;
};

struct ConfigProblem {
  std::string file;  // or the environment variable ("STELE_LISTEN") or flag ("--listen") that holds the value
  int line = 0;
  int column = 0;
  std::string message;

  std::string to_string() const;  // "stele.yaml:3:7: unknown key …"
  bool operator==(const ConfigProblem&) const = default;
};

// Every problem of one load, in the order in which they were found; at most `limit` are kept and the rest is
// summed up in a last one, so that a hostile file cannot make an answer of unbounded size.
class ConfigProblems {
 public:
  static constexpr std::size_t limit = 100;

  void add(std::string_view file, TextPosition at, std::string message);
  // Puts the problems of `file` first, in the order of the text: they were found in several passes over it.
  void sort(std::string_view file);
  bool full() const { return list_.size() > limit; }
  bool empty() const { return list_.empty(); }
  std::size_t size() const { return list_.size(); }
  auto begin() const { return list_.begin(); }
  auto end() const { return list_.end(); }
  const ConfigProblem& front() const { return list_.front(); }

  std::string to_string() const;  // one line each, each ended by a newline

 private:
  std::vector<ConfigProblem> list_;
};

// value() of a load that failed is a bug in the caller, as for Result.
[[noreturn]] void throw_exception_from_error(const ConfigProblems&, const boost::source_location&);

namespace config {

// The candidate that `text` is most likely a slip of; empty when none is near.
std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates);

}  // namespace config
}  // namespace stele
