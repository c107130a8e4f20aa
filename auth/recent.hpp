#pragma once
// Keys that were seen a short while ago, bounded in number and time.

#include <cstddef>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/clock.hpp"

namespace stele::auth {

// Not thread-safe. The oldest go first when there are too many.
class Recent {
 public:
  Recent(std::size_t most, std::int64_t seconds) : most_(most), microseconds_(seconds * 1'000'000) {}

  bool contains(const std::string& key, Timestamp now) const {
    const auto found = until_.find(key);
    return found != until_.end() && now < found->second;
  }
  // What is there already keeps its end.
  void insert(const std::string& key, Timestamp now) {
    drop_ended(now);
    if (until_.contains(key)) return;
    if (order_.size() >= most_) drop_first();
    until_.emplace(key, now + microseconds_);
    order_.push_back(key);
  }
  void clear() {
    until_.clear();
    order_.clear();
  }
  std::size_t size() const { return order_.size(); }

 private:
  void drop_first() {
    until_.erase(order_.front());
    order_.pop_front();
  }
  void drop_ended(Timestamp now) {
    while (!order_.empty() && until_.at(order_.front()) <= now) drop_first();
  }

  const std::size_t most_;
  const std::int64_t microseconds_;
  std::unordered_map<std::string, Timestamp> until_;
  std::deque<std::string> order_;  // by their end, since all last equally long
};

}  // namespace stele::auth
