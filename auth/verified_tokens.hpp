#pragma once
// What tokens say whose signature was verified a while ago: a client shows the same token with each request
// of a pull, and the curve takes ten times as long as the rest of the answer. Kept is what never changes of a
// token. Whether it has expired, whether its key is still one of ours and whether what it rests on still
// stands is asked with each request, so that nothing outlives a revocation here.

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace stele::auth {

struct VerifiedToken;

// Thread-safe. Bounded: the oldest go first.
class VerifiedTokens {
 public:
  using Known = std::shared_ptr<const VerifiedToken>;

  // `most`: bytes of the tokens that are kept; what they say takes about three times as much.
  explicit VerifiedTokens(std::size_t most) : most_in_shard_(most / shards) {}

  // A digest: the token itself is not kept.
  static std::string key_of(std::string_view token);

  // Null: not known, or no more.
  Known find(const std::string& key) const;
  // `bytes` of the token. One that is larger than its share is not kept.
  void insert(const std::string& key, std::size_t bytes, Known);

  std::size_t size() const;

 private:
  static constexpr std::size_t shards = 16;  // threads seldom wait for one another
  struct Kept {
    Known known;
    std::size_t bytes;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, Kept> by_key;
    std::deque<std::string> order;  // as they came
    std::size_t bytes = 0;
  };
  static std::size_t shard_of(const std::string& key) { return std::hash<std::string>()(key) % shards; }

  const std::size_t most_in_shard_;
  std::array<Shard, shards> shards_;
};

}  // namespace stele::auth
