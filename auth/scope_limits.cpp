#include "auth/scope_limits.hpp"

#include <algorithm>

#include "policy/limits.hpp"

namespace stele::auth {
namespace {

constexpr std::size_t most_compiled = 10'000;

}  // namespace

std::vector<std::string> scopes_of_lines(const std::string& lines) {
  std::vector<std::string> scopes;
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', begin), lines.size());
    scopes.push_back(lines.substr(begin, end - begin));
    begin = end + 1;
  }
  return scopes;
}

std::string joined_scopes(const std::vector<std::string>& scopes, std::string_view between) {
  std::string text;
  for (const std::string& scope : scopes)
    text += (text.empty() ? std::string_view() : between), text += scope;
  return text;
}

Result<std::shared_ptr<const policy::AccessRules>> ScopeLimits::of(const std::string& lines) const {
  {
    const std::lock_guard lock(mutex_);
    const auto known = compiled_.find(lines);
    if (known != compiled_.end()) return known->second;
  }
  auto limits = policy::read_limits(scopes_of_lines(lines));
  if (!limits) return Error(Errc::corrupt, "the catalog's scopes of a token cannot be read");
  const std::lock_guard lock(mutex_);
  if (compiled_.size() >= most_compiled) compiled_.clear();
  compiled_.emplace(lines, *limits);
  return limits;
}

}  // namespace stele::auth
