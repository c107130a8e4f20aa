#include "auth/htpasswd.hpp"

#include <algorithm>
#include <utility>

#include "base/printable.hpp"
#include "base/text.hpp"

namespace stele::auth {
namespace {

constexpr std::size_t max_name = 255;

// Null when it is fine.
const char* wrong_with_name(std::string_view name) {
  if (name.empty()) return "the name before the colon is empty";
  if (name.size() > max_name) return "the name is longer than 255 bytes";
  if (!is_printable_line(name)) return "the name is not printable UTF-8";
  if (name.find('*') != std::string_view::npos)
    return "a name cannot contain *, which rules read as a pattern";
  // "<token>" is what docker's credential helpers put in place of a name.
  if (name.front() == '<') return "a name cannot begin with <";
  if (name.front() == ' ' || name.back() == ' ') return "the name begins or ends with a space";
  return nullptr;
}

}  // namespace

// Of a file without users: bcrypt with cost 10. Which password it belongs to is not known to anybody.
Htpasswd::Htpasswd()
    : for_nobody_(
          PasswordHash::parse("$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234").value()) {}

Result<Htpasswd> Htpasswd::parse(std::string_view text, const std::string& file) {
  Htpasswd read;
  std::size_t number = 0;
  const auto bad = [&](const std::string& why) {
    return Error(Errc::parameter_invalid, file + ":" + std::to_string(number) + ": " + why);
  };
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return bad("there is no colon; a line is NAME:HASH");
    std::string name(line.substr(0, colon));
    if (const char* const wrong = wrong_with_name(name)) return bad(wrong);
    auto hash = PasswordHash::parse(line.substr(colon + 1));
    if (!hash) return bad("user " + in_quotes(name) + ": " + hash.error().message());
    if (!read.users_.emplace(name, std::move(*hash)).second)
      return bad("user " + in_quotes(name) + " stands in the file twice");
  }
  read.hashes_.reserve(read.users_.size());
  for (const auto& [name, hash] : read.users_) read.hashes_.push_back(&hash);
  return read;
}

const PasswordHash* Htpasswd::find(const std::string& user) const {
  const auto found = users_.find(user);
  return found == users_.end() ? nullptr : &found->second;
}

const PasswordHash& Htpasswd::decoy(std::size_t seed) const {
  return hashes_.empty() ? for_nobody_ : *hashes_[seed % hashes_.size()];
}

bool Htpasswd::has_in_any_letters(std::string_view name) const {
  return std::any_of(users_.begin(), users_.end(),
                     [&](const auto& user) { return lower_case(user.first) == name; });
}

}  // namespace stele::auth
