#pragma once
// One mirrored registry as others speak with it: its URLs in order, its tokens, its limits. Says what an
// answer means; keeps no content.

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/reference.hpp"
#include "http/fetcher.hpp"
#include "mirror/account.hpp"
#include "mirror/breaker.hpp"
#include "mirror/challenge.hpp"
#include "mirror/fetch_slots.hpp"
#include "mirror/pace.hpp"
#include "mirror/settings.hpp"
#include "mirror/single_flight.hpp"
#include "mirror/statistics.hpp"
#include "policy/pattern.hpp"

namespace stele::mirror {

struct UpstreamRequest {
  std::string method = "GET";
  std::string repository;  // upstream's name
  std::string path;        // "manifests/1", "blobs/sha256:…"
  std::string query;       // without '?'
  std::uint64_t from = 0;  // the first byte wanted
  // Nothing is here that could be answered instead: worth the mirror's `wait`.
  bool patient = false;
};

// Thread-safe. `fetcher` and `thread` outlive it.
class Upstream {
 public:
  // parameter_invalid: the password cannot be read. Helpers and clouds are asked when it is needed.
  static Result<std::unique_ptr<Upstream>> open(const Settings& settings, http::Fetcher& fetcher,
                                                MirrorThread& thread);

  const Settings& settings() const { return settings_; }
  std::size_t count() const { return urls_.size(); }
  std::string origin(std::size_t url) const { return urls_[url].origin(); }

  // The answer, of status 200 or 206, of the first URL from `url` on that can answer; `url` is then its
  // index. not_found: upstream does not have it. forbidden: it refuses, or does not have it and does not say
  // so. too_many_requests, unavailable, bad_upstream: as things are at the last URL that was asked, with the
  // detail `retry_after` where upstream, or its breaker, says when. On the mirrors' thread.
  Task<Result<http::Fetched>> ask(UpstreamRequest request, std::size_t& url);

  // For how long its word on a tag is good: the mirror's tag_ttl, at least an hour while its limit is nearly
  // used up. Without a tag: where the tag has none of its own.
  std::chrono::seconds tag_ttl() const;
  std::chrono::seconds tag_ttl(const Tag& tag) const;
  // It says that fewer than 10 pulls are left of its limit.
  bool nearly_used_up() const;
  void note_received(std::uint64_t bytes) { received_.fetch_add(bytes, std::memory_order_relaxed); }
  // Waits as long as `max_rate` asks for after these bytes. On the mirrors' thread.
  Task<void> keep_pace(std::uint64_t bytes);
  FetchSlots& fetch_slots() { return fetch_slots_; }
  UpstreamStatistics statistics() const;

 private:
  Upstream(const Settings& settings, http::Fetcher& fetcher, MirrorThread& thread);

  Task<Result<http::Fetched>> ask_in_order(const UpstreamRequest& request, std::size_t& url);
  // Until the first of the URLs from this one on may be asked.
  std::chrono::milliseconds pause_from(std::size_t url) const;
  Task<Result<http::Fetched>> ask_one(const UpstreamRequest& request, std::size_t url);
  Task<Result<http::Fetched>> send(const UpstreamRequest& request, std::size_t url,
                                   std::string authorization);
  // The value of Authorization as far as known without asking: a token that is at hand or that the realm
  // known from before gives. Empty: none.
  Task<Result<std::string>> authorization(std::size_t url, std::string repository);
  Task<Result<std::string>> fetch_authorization(std::size_t url, std::string repository, Challenge challenge);
  Task<Result<std::string>> fetch_token(std::size_t url, std::string repository, http::Url realm,
                                        std::string service);
  // Of the token service; with a login that is made anew once when the service refuses it.
  Task<Result<http::Fetched>> ask_for_token(std::size_t url, http::Url target);
  void forget_token(std::size_t url, const std::string& repository);
  bool redirect_allowed(const http::Url& to) const;
  http::FetchRequest prepared(std::size_t url, http::Url target) const;
  Error refused(std::size_t url, const UpstreamRequest& request) const;
  // What a status that is no answer means, written down in the breaker.
  Error meaning(std::size_t url, const http::Fetched& fetched, const std::string& what);

  const Settings settings_;
  http::Fetcher& fetcher_;
  MirrorThread& thread_;
  std::vector<http::Url> urls_;
  std::vector<std::unique_ptr<Breaker>> breakers_;
  struct TagTtl {
    policy::PatternList tags;
    std::chrono::seconds ttl;
  };
  std::vector<TagTtl> tag_ttls_;
  std::unique_ptr<Account> account_;
  SingleFlight<std::string> token_flights_;

  struct Token {
    std::string value;
    std::chrono::steady_clock::time_point until;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<std::size_t, std::string>, Token> tokens_;
  std::map<std::size_t, Challenge> realms_;  // of challenges to requests without a token
  std::optional<std::int64_t> remaining_;
  std::string withheld_from_;  // a realm that was asked without the credentials
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> token_requests_{0};
  std::atomic<std::uint64_t> received_{0};
  LatencyCounts latencies_;
  Pace pace_;
  FetchSlots fetch_slots_;
};

}  // namespace stele::mirror
