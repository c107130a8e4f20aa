#include "auth/token_keys.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/durable_file.hpp"
#include "base/strict_json.hpp"
#include "base/unique_fd.hpp"

namespace stele::auth {
namespace {

constexpr std::size_t max_file_bytes = 1 << 20;

Error cannot(const std::string& what, const std::string& path) {
  const int why = errno;
  const bool full = why == ENOSPC || why == EDQUOT;
  return Error(full ? Errc::no_space : Errc::io, path + " cannot be " + what + ": " + std::strerror(why));
}

Error broken(const std::string& path, const std::string& why) {
  return Error(Errc::corrupt, path + " holds the keys of tokens and cannot be used: " + why +
                                  "; restore it, or remove it and start again: everybody then logs in anew");
}

Result<std::string> read_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return cannot("read", path);
  std::string text(max_file_bytes, '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(file.get(), &text[have], text.size() - have);
    if (got < 0) return cannot("read", path);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  text.resize(have);
  return text;
}

}  // namespace

Result<void> TokenKeys::open() {
  // What a crash left of one that was never in force.
  ::unlink((path_ + ".new").c_str());
  List read_list;
  if (::access(path_.c_str(), F_OK) == 0) {
    auto known = read();
    if (!known) return known.error();
    read_list = std::move(*known);
  } else {
    auto first = SigningKey::make();
    if (!first) return first.error();
    read_list.push_back({std::move(*first), now()});
    if (auto written = write(read_list); !written) return written;
  }
  {
    const std::lock_guard lock(mutex_);
    list_ = std::make_shared<const List>(std::move(read_list));
  }
  // On a full disk the old keys go on; the job tries again.
  (void)renew();
  return {};
}

Result<TokenKeys::List> TokenKeys::read() const {
  const auto text = read_file(path_);
  if (!text) return text.error();
  const auto parsed = parse_strict_json(*text, "the file");
  if (!parsed) return broken(path_, parsed.error().message());
  List keys;
  const auto entries = parsed->is_object() ? parsed->find("keys") : parsed->end();
  if (entries == parsed->end() || !entries->is_array()) return broken(path_, "it has no list of keys");
  for (const nlohmann::json& entry : *entries) {
    if (!entry.is_object() || !entry.contains("created") || !entry["created"].is_number_integer() ||
        !entry.contains("private") || !entry["private"].is_string())
      return broken(path_, "a key lacks its time or its text");
    auto key = SigningKey::from_pem(entry["private"].get<std::string>());
    if (!key) return broken(path_, key.error().message());
    keys.push_back({std::move(*key), entry["created"].get<std::int64_t>()});
  }
  if (keys.empty()) return broken(path_, "it has no key");
  std::sort(keys.begin(), keys.end(), [](const Kept& a, const Kept& b) { return a.created < b.created; });
  return keys;
}

// On disk, name and all, before any token rests on it.
Result<void> TokenKeys::write(const List& keys) const {
  nlohmann::ordered_json entries = nlohmann::ordered_json::array();
  for (const Kept& kept : keys) {
    entries.push_back({{"id", kept.key.id()}, {"created", kept.created}, {"private", kept.key.to_pem()}});
  }
  const std::string text = nlohmann::ordered_json{{"keys", entries}}.dump(1) + "\n";
  return replace_file(path_, text);
}

Result<bool> TokenKeys::renew() {
  const std::lock_guard one(renewing_);
  const std::int64_t at = now();
  List next = *list();
  bool changed = false;
  if (next.back().created + times_.signs <= at) {
    auto made = SigningKey::make();
    if (!made) return made.error();
    next.push_back({std::move(*made), at});
    changed = true;
  }
  // A key signs until the next one does.
  while (next.size() > 1 && next[1].created + times_.announced + times_.verifies <= at) {
    next.erase(next.begin());
    changed = true;
  }
  if (!changed) return false;
  if (auto written = write(next); !written) return written.error();
  const std::lock_guard lock(mutex_);
  list_ = std::make_shared<const List>(std::move(next));
  return true;
}

std::shared_ptr<const TokenKeys::List> TokenKeys::list() const {
  const std::lock_guard lock(mutex_);
  return list_;
}

SigningKey TokenKeys::signing() const {
  const auto keys = list();
  const std::int64_t at = now();
  const auto newest = std::find_if(keys->rbegin(), keys->rend(),
                                   [&](const Kept& kept) { return kept.created + times_.announced <= at; });
  return newest == keys->rend() ? keys->front().key : newest->key;
}

std::optional<SigningKey> TokenKeys::find(std::string_view id) const {
  const auto keys = list();
  const auto found =
      std::find_if(keys->begin(), keys->end(), [&](const Kept& kept) { return kept.key.id() == id; });
  if (found == keys->end()) return std::nullopt;
  return found->key;
}

bool TokenKeys::has(std::string_view id) const {
  const auto keys = list();
  return std::any_of(keys->begin(), keys->end(), [&](const Kept& kept) { return kept.key.id() == id; });
}

std::string TokenKeys::public_set() const {
  std::string set;
  const auto keys = list();
  for (const Kept& kept : *keys) set += (set.empty() ? "" : ",") + kept.key.public_jwk();
  return "{\"keys\":[" + set + "]}";
}

}  // namespace stele::auth
