#include "server/config/problem.hpp"

#include <algorithm>
#include <stdexcept>
#include <tuple>

namespace stele {
namespace {

// The length of the UTF-8 sequence at the start of `text`; 0 when it is none (overlong, surrogate, cut
// short).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool outside = (first == 0xed && byte(1) >= 0xa0) || (first == 0xf4 && byte(1) >= 0x90);
  return overlong || outside ? 0 : length;
}

// C0, DEL and C1: what can move a terminal's cursor or end a line of log.
bool is_control(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7f;
  return sequence.size() == 2 && first == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0;
}

// Optimal string alignment: insertions, deletions, replacements and swapped neighbours count one each.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] =
          std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string ConfigProblem::to_string() const {
  std::string text = file;
  if (line > 0) text += ":" + std::to_string(line) + ":" + std::to_string(column);
  return text + ": " + message;
}

void ConfigProblems::add(std::string_view file, TextPosition at, std::string message) {
  if (full()) return;
  if (list_.size() == limit) {
    at = {};
    message = "there are more problems; these are the first " + std::to_string(limit);
  }
  list_.push_back({std::string(file), at.line, at.column, std::move(message)});
}

void ConfigProblems::sort(std::string_view file) {
  // By their place in the file; what is not in it, and the sum of the rest, follows as it was found.
  using Place = std::tuple<bool, int, int, std::size_t>;
  std::vector<Place> places;
  for (std::size_t i = 0; i < list_.size(); ++i) {
    const bool in_file = list_[i].file == file && i < limit;
    places.emplace_back(!in_file, in_file ? list_[i].line : 0, in_file ? list_[i].column : 0, i);
  }
  std::sort(places.begin(), places.end());
  std::vector<ConfigProblem> sorted;
  for (const Place& place : places) sorted.push_back(std::move(list_[std::get<3>(place)]));
  list_ = std::move(sorted);
}

std::string ConfigProblems::to_string() const {
  std::string text;
  for (const ConfigProblem& problem : list_) text += problem.to_string() + "\n";
  return text;
}

void throw_exception_from_error(const ConfigProblems& problems, const boost::source_location&) {
  throw std::logic_error("value() of an invalid configuration: " + problems.to_string());
}

namespace config {

std::string quoted(std::string_view text) {
  constexpr std::size_t longest = 80;
  std::string out = "\"";
  while (!text.empty()) {
    if (out.size() > longest) return out + "…\"";
    const std::size_t length = utf8_length(text);
    const std::string_view sequence = text.substr(0, std::max<std::size_t>(length, 1));
    const bool unsafe = length == 0 || is_control(sequence) || sequence == "\"";
    out += unsafe ? "?" : sequence;
    text.remove_prefix(sequence.size());
  }
  return out + '"';
}

std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates) {
  constexpr std::size_t longest = 64;
  if (text.empty() || text.size() > longest) return {};
  std::string_view best;
  std::size_t best_distance = 0;
  for (const std::string_view candidate : candidates) {
    // A third of the letters may be wrong, and at least one: "dta" is data, "foo" is nothing.
    const std::size_t tolerated = std::max<std::size_t>(1, std::min(text.size(), candidate.size()) / 3);
    const std::size_t distance = edit_distance(text, candidate);
    if (distance > tolerated || (!best.empty() && distance >= best_distance)) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

std::size_t find_unprintable(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) return i;
    const std::string_view sequence = text.substr(i, length);
    const bool layout = sequence == "\t" || sequence == "\n" || sequence == "\r";
    if (is_control(sequence) && !layout) return i;
    i += length;
  }
  return std::string_view::npos;
}

}  // namespace config
}  // namespace stele
