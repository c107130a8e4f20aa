#include "auth/verified_tokens.hpp"

#include <utility>

#include "base/digest.hpp"

namespace stele::auth {

std::string VerifiedTokens::key_of(std::string_view token) {
  return std::string(Digest::of(DigestAlgorithm::sha256, token).hex());
}

VerifiedTokens::Known VerifiedTokens::find(const std::string& key) const {
  const Shard& shard = shards_[shard_of(key)];
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.by_key.find(key);
  return found == shard.by_key.end() ? nullptr : found->second.known;
}

void VerifiedTokens::insert(const std::string& key, std::size_t bytes, Known known) {
  if (bytes > most_in_shard_) return;
  Shard& shard = shards_[shard_of(key)];
  const std::lock_guard lock(shard.mutex);
  if (!shard.by_key.try_emplace(key, Kept{std::move(known), bytes}).second) return;
  shard.order.push_back(key);
  shard.bytes += bytes;
  while (shard.bytes > most_in_shard_) {
    const auto oldest = shard.by_key.find(shard.order.front());
    shard.bytes -= oldest->second.bytes;
    shard.by_key.erase(oldest);
    shard.order.pop_front();
  }
}

std::size_t VerifiedTokens::size() const {
  std::size_t sum = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    sum += shard.order.size();
  }
  return sum;
}

}  // namespace stele::auth
