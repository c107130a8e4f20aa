#pragma once
// The job that makes room in the mirrors: which of them is due, and what their settings ask for.

#include <chrono>
#include <stop_token>
#include <vector>

#include "gc/lifecycle/upstream_copies.hpp"
#include "mirror/mirrors.hpp"
#include "mirror/settings.hpp"

namespace stele {

// For lifecycle runs: what a rule expires in a mirror's repository may be the last copy. None without
// mirrors; what it is given outlives it.
gc::MirroredRepositories mirrored_repositories(const std::vector<mirror::Settings>&, mirror::Mirrors*);

// For one thread. What it is given outlives it.
class MirrorEviction {
 public:
  MirrorEviction(const std::vector<mirror::Settings>& settings, const RegistryContext& context,
                 mirror::Mirrors& mirrors);

  static bool is_wanted(const std::vector<mirror::Settings>&);

  // Called often. A round begins after a tenth of evict_after, at least hourly; and with max_size also when a
  // hundredth of it has come from upstream since the last one, or after a lease where anything has, or
  // where the last one did not reach what was asked for. The error is the last mirror's that is not as its
  // settings ask.
  Result<void> run(const std::stop_token&);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Last {
    Time at{};
    bool ever = false;
    std::uint64_t received = 0;  // bytes, by then
    std::uint64_t previous = 0;  // by the call before this one
    std::string problem;
  };
  bool is_due(std::size_t mirror, std::uint64_t received, Time now) const;
  Result<void> round(std::size_t mirror, const std::stop_token&);

  const std::vector<mirror::Settings>& settings_;
  const RegistryContext& context_;
  mirror::Mirrors& mirrors_;
  std::vector<Last> last_;
};

}  // namespace stele
