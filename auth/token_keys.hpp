#pragma once
// The keys that sign tokens: made at the first start, kept in one file of the data directory, replaced every
// thirty days. The next one is published a day before it signs, and one that signs no more verifies for as
// long as a token of its may hold.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/signing_key.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace stele::auth {

struct KeyTimes {
  std::int64_t signs = 30LL * 86400;     // seconds
  std::int64_t announced = 86400;        // before it signs
  std::int64_t verifies = 95LL * 86400;  // after it signs no more: longer than any token holds
};

// Thread-safe after open().
class TokenKeys {
 public:
  TokenKeys(std::string path, const Clock& clock, KeyTimes times = {})
      : path_(std::move(path)), clock_(clock), times_(times) {}

  // Reads the file, or makes it with a first key. corrupt, with what to do, when it cannot be read: no other
  // keys take its place by themselves, which would end every token without a word.
  Result<void> open();

  // Makes the next key and drops old ones, when it is time. The value: whether something changed.
  Result<bool> renew();

  SigningKey signing() const;
  // A value only for a key that may verify.
  std::optional<SigningKey> find(std::string_view id) const;
  bool has(std::string_view id) const;
  // A JSON Web Key Set (RFC 7517).
  std::string public_set() const;

 private:
  struct Kept {
    SigningKey key;
    std::int64_t created = 0;  // seconds of the epoch
  };
  using List = std::vector<Kept>;  // by `created`, the oldest first
  Result<List> read() const;
  Result<void> write(const List&) const;
  std::int64_t now() const { return clock_.now().microseconds / 1'000'000; }
  std::shared_ptr<const List> list() const;

  const std::string path_;
  const Clock& clock_;
  const KeyTimes times_;
  std::mutex renewing_;
  mutable std::mutex mutex_;  // of the next one
  std::shared_ptr<const List> list_;
};

}  // namespace stele::auth
