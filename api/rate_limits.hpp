#pragma once
// How many requests one principal, and one address, may make in a minute, and how many bytes they may send
// and receive. A bucket that refills evenly: who was quiet may make a minute's requests at once. (The generic
// cell rate algorithm, ITU-T I.371.)
//
// Costs two reads and two writes of memory that has a fixed size, whoever comes: a bucket is found by a hash
// of the name, in two tables, and is empty only if it is in both. So two names share one only if they meet in
// both tables, for which names cannot be chosen: the hash has a seed of this process.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "http/exchange.hpp"

namespace stele::api {

// One kind of name. Thread-safe, without a lock.
class RateLimit {
 public:
  // `per_minute` 0: no limit. `clock` should not be one that somebody sets; it outlives this.
  RateLimit(std::uint64_t per_minute, const Clock& clock);

  // Counts a request of this name; if it is one too many, it is not counted: in how many seconds the next one
  // may be made, at least 1.
  std::optional<std::int64_t> one_more(std::string_view name);

  // For what is known only afterwards, as how many bytes a request took. In how many seconds somebody of this
  // name may begin again, at least 1, if more than a minute's worth is not yet paid for; counts nothing.
  std::optional<std::int64_t> over(std::string_view name) const;
  // Whatever there is left. What is more than a minute's worth is paid for by waiting, at most longest_wait.
  void spend(std::string_view name, std::uint64_t amount);
  static constexpr std::int64_t longest_wait = 3600;  // seconds

  std::uint64_t per_minute() const { return per_minute_; }

 private:
  static constexpr std::size_t places = 1 << 15;
  // When the bucket of each place is full again, microseconds of clock_.
  using Table = std::array<std::atomic<std::int64_t>, places>;
  using Places = std::array<std::size_t, 2>;
  Places places_of(std::string_view name) const;
  // By how much the name would be beyond a minute's worth with that much more; microseconds, or fewer than 1.
  std::int64_t beyond(const Places&, std::int64_t now, std::int64_t more) const;
  void fill(const Places&, std::int64_t now, std::int64_t more, std::int64_t most);

  const std::uint64_t per_minute_;
  const Clock& clock_;
  const std::string seed_;
  const std::unique_ptr<std::array<Table, 2>> tables_;  // null: no limit
};

// What one kind of caller may do.
struct CallerLimits {
  RateLimit& requests;
  RateLimit& bytes;
  bool any() const { return requests.per_minute() != 0 || bytes.per_minute() != 0; }
};

// Both kinds. All of it outlives it.
struct RequestLimits {
  CallerLimits principals;
  CallerLimits addresses;
  // The address of whoever asks, behind trusted proxies.
  std::function<std::string(const http::Exchange&)> client_address;
};

// Counts a request of this name. too_many_requests, with the limit in words and "retry_after" as a detail;
// `of` is who: "user:alice".
Result<void> count_request(const CallerLimits&, std::string_view name, std::string_view of);

}  // namespace stele::api
