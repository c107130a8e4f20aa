#include "config/config_problem.hpp"

#include <algorithm>
#include <stdexcept>
#include <tuple>

namespace stele {
namespace {

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

}  // namespace config
}  // namespace stele
