#include "server/mirror_eviction.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "gc/lifecycle/eviction.hpp"
#include "gc/lifecycle/may_remove.hpp"

namespace stele {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr std::uint64_t parts_of_budget = 100;

gc::StillThere still_there(mirror::Mirrors& mirrors) {
  return [&mirrors](const RepositoryName& name, const Reference& reference) -> Result<bool> {
    auto place = mirrors.names().place(name, std::nullopt, std::nullopt);
    if (!place || !*place) return false;  // what the configuration no longer allows would not come back
    const auto copy = sync_wait(mirrors.still_upstream(std::move(**place), reference));
    if (!copy) return copy.error();
    return *copy == mirror::Mirrors::UpstreamCopy::there;
  };
}

}  // namespace

gc::MirroredRepositories mirrored_repositories(const std::vector<mirror::Settings>& settings,
                                               mirror::Mirrors* mirrors) {
  gc::MirroredRepositories mirrored;
  if (!mirrors) return mirrored;
  using Kind = gc::MirroredRepositories::Kind;
  mirrored.kind_of = [&settings, mirrors](const RepositoryName& name) {
    if (!mirrors->names().is_mirrored(name)) return Kind::not_mirrored;
    const auto place = mirrors->names().place(name, std::nullopt, std::nullopt);
    const bool is_pinned = place && *place && settings[(*place)->mirror].tags == mirror::Settings::Tags::pin;
    return is_pinned ? Kind::by_digest : Kind::by_tag;
  };
  mirrored.there = still_there(*mirrors);
  return mirrored;
}

MirrorEviction::MirrorEviction(const std::vector<mirror::Settings>& settings, const RegistryContext& context,
                               mirror::Mirrors& mirrors)
    : settings_(settings), context_(context), mirrors_(mirrors), last_(settings.size()) {}

bool MirrorEviction::is_wanted(const std::vector<mirror::Settings>& settings) {
  return std::any_of(settings.begin(), settings.end(), [](const mirror::Settings& mirror) {
    return mirror.evict_after.count() > 0 || mirror.max_size > 0;
  });
}

bool MirrorEviction::is_due(std::size_t mirror, std::uint64_t received, Time now) const {
  const mirror::Settings& settings = settings_[mirror];
  const Last& last = last_[mirror];
  if (settings.evict_after.count() == 0 && settings.max_size == 0) return false;
  if (!last.ever) return true;
  seconds every = hours(1);
  if (settings.evict_after.count() > 0) every = std::min(every, settings.evict_after / 10);
  // What was leased then is not after one lease.
  if (!last.problem.empty() || received != last.received)
    every = std::min(every, seconds(context_.leases.seconds()));
  if (now - last.at >= every) return true;
  return settings.max_size > 0 && received - last.received > settings.max_size / parts_of_budget;
}

Result<void> MirrorEviction::run(const std::stop_token& stop) {
  if (!gc::may_remove(context_)) return {};  // as for every removal: until then it waits
  const auto status = mirrors_.status();
  Result<void> worst;
  for (std::size_t i = 0; i < settings_.size() && !stop.stop_requested(); ++i) {
    const std::uint64_t received = status[i].upstream.received_bytes;
    if (is_due(i, received, std::chrono::steady_clock::now())) {
      if (auto done = round(i, stop); !done) worst = done.error();
    }
    last_[i].previous = received;
    if (!last_[i].problem.empty()) worst = Error(Errc::unavailable, last_[i].problem);
  }
  return worst;
}

Result<void> MirrorEviction::round(std::size_t mirror, const std::stop_token& stop) {
  const mirror::Settings& settings = settings_[mirror];
  const gc::EvictionOrder order{"mirror " + settings.name, settings.prefix, settings.evict_after,
                                settings.max_size};
  const gc::StillThere there = still_there(mirrors_);
  Last& last = last_[mirror];
  last.at = std::chrono::steady_clock::now();
  last.ever = true;
  last.received = last.previous;  // what came after that is perhaps not stored yet
  const auto done = gc::evict(context_, order, settings.tags == mirror::Settings::Tags::pin, there, stop);
  if (!done) return done.error();
  last.problem = done->problem;
  mirrors_.note_evicted(mirror, done->manifests, done->bytes);
  if (done->manifests > 0 || done->gone_upstream > 0) {
    spdlog::info("{}: {} manifests went, {} bytes; {} stay since upstream no longer has them", order.what,
                 done->manifests, done->bytes, done->gone_upstream);
  }
  return {};
}

}  // namespace stele
