#include "auth/first_administrator.hpp"

#include <openssl/crypto.h>
#include <unistd.h>

#include "auth/api_token.hpp"
#include "base/durable_file.hpp"
#include "base/watched_file.hpp"

namespace stele::auth {
namespace {

constexpr std::size_t largest_file = 4096;

Error not_accepted() {
  return Error(Errc::forbidden,
               "the token for the first administrator is not accepted: it is another one, was used, or is "
               "older than thirty minutes; on the server's machine, stele user add NAME --group "
               "administrators --data DIR needs none");
}

bool same(std::string_view left, std::string_view right) {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace

// Two lines: the hash, and the moment.
std::optional<FirstAdministrator::Stored> FirstAdministrator::read() const {
  const auto text = read_whole_file(path_, largest_file);
  if (!text) return std::nullopt;
  const std::size_t line = text->find('\n');
  if (line == std::string::npos) return std::nullopt;
  std::string_view moment = std::string_view(*text).substr(line + 1);
  moment = moment.substr(0, moment.find('\n'));
  const auto expires_at = parse_timestamp(moment);
  if (!expires_at) return std::nullopt;
  return Stored{text->substr(0, line), *expires_at};
}

Result<void> FirstAdministrator::write(const Stored& stored) const {
  return replace_file(path_, stored.hash + "\n" + to_string(stored.expires_at) + "\n");
}

Result<std::string> FirstAdministrator::make(Timestamp now) const {
  std::string token = make_api_token();
  const Stored stored{api_token_hash(token), now + seconds * 1'000'000};
  if (auto written = write(stored); !written) return written.error();
  return token;
}

std::optional<Timestamp> FirstAdministrator::open_until(Timestamp now) const {
  const auto stored = read();
  // One that would last longer than any that is made was made under another clock.
  if (!stored || stored->expires_at <= now || stored->expires_at > now + seconds * 1'000'000)
    return std::nullopt;
  return stored->expires_at;
}

Result<void> FirstAdministrator::check(std::string_view token, Timestamp now) const {
  const auto stored = read();
  const bool right = stored && same(stored->hash, api_token_hash(token));
  if (!right || !open_until(now)) return not_accepted();
  return {};
}

Result<void> FirstAdministrator::take(std::string_view token, Timestamp now) const {
  if (auto good = check(token, now); !good) return good;
  // Of two who come at once, one removes it.
  if (::unlink(path_.c_str()) != 0) return not_accepted();
  // So that no power cut brings back what was used.
  static_cast<void>(sync_directory_of(path_));
  return {};
}

void FirstAdministrator::end() const {
  if (::unlink(path_.c_str()) == 0) static_cast<void>(sync_directory_of(path_));
}

void FirstAdministrator::give_back(std::string_view token, Timestamp expires_at) const {
  (void)write({api_token_hash(token), expires_at});
}

}  // namespace stele::auth
