#include "mirror/upstream.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>

#include "http/address_kind.hpp"
#include "http/written_target.hpp"
#include "mirror/bad_upstream.hpp"
#include "mirror/realm.hpp"

namespace stele::mirror {
namespace {

constexpr std::chrono::milliseconds connect_within(3'000);
constexpr std::chrono::milliseconds head_within(5'000);
constexpr std::chrono::milliseconds body_window(15'000);
constexpr std::int64_t few_left = 10;  // pulls of upstream's limit
constexpr std::chrono::seconds stretched_ttl(3600);
constexpr std::chrono::seconds never(std::int64_t{100} * 365 * 86400);  // fits, in microseconds
constexpr std::chrono::milliseconds shortest_pause(500);  // between two tries of a request that waits

// All that a registry of images and artifacts serves, whatever the client here asked for: the answer must not
// depend on who asked first.
constexpr std::string_view accepted =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.artifact.manifest.v1+json, "
    "*/*";

// "host" or "host:port", as in names of images.
std::string authority_of(const http::Url& url) {
  const std::string origin = url.origin();
  return origin.substr(origin.find("://") + 3);
}

class WrittenLogin final : public LoginSource {
 public:
  explicit WrittenLogin(std::string basic) : basic_(std::move(basic)) {}
  Task<Result<Login>> login() override {
    Login login{basic_, std::nullopt};
    co_return std::move(login);
  }

 private:
  const std::string basic_;
};

Result<std::string> read_password(const Settings& settings) {
  const auto missing = [&](const std::string& where) {
    return Error(Errc::parameter_invalid,
                 "the password of mirror " + settings.name + " cannot be read from " + where);
  };
  if (!settings.password_env.empty()) {
    const char* const value = std::getenv(settings.password_env.c_str());
    if (!value) return missing("the variable " + settings.password_env);
    return std::string(value);
  }
  std::ifstream file(settings.password_file);
  std::string line;
  if (!std::getline(file, line)) return missing(settings.password_file);
  while (line.ends_with('\r')) line.pop_back();
  return line;
}

Result<std::unique_ptr<LoginSource>> source_of(const Settings& settings, http::Fetcher& fetcher,
                                               const std::vector<http::Url>& urls) {
  const std::string host = urls.empty() ? std::string() : authority_of(urls.front());
  if (settings.cloud_login == Settings::CloudLogin::ecr) return ecr_login(fetcher, settings, host);
  if (settings.cloud_login == Settings::CloudLogin::google) return google_login(fetcher, settings);
  if (!settings.credential_helper.empty()) return helper_login(settings, host);
  if (settings.username.empty()) return std::unique_ptr<LoginSource>();
  const auto password = read_password(settings);
  if (!password) return password.error();
  std::unique_ptr<LoginSource> written =
      std::make_unique<WrittenLogin>(basic_authorization(settings.username, *password));
  return written;
}

std::optional<std::chrono::seconds> retry_after(const http::Fetched& fetched) {
  const std::string_view text = fetched.header("Retry-After");
  int seconds = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (text.empty() || read.ec != std::errc() || seconds < 0) return std::nullopt;
  return std::chrono::seconds(seconds);
}

// "3;w=21600": what is left of the limit, without the window.
std::optional<std::int64_t> remaining_of(const http::Fetched& fetched) {
  const std::string_view text = fetched.header("ratelimit-remaining");
  std::int64_t left = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), left);
  if (text.empty() || read.ec != std::errc() || left < 0) return std::nullopt;
  return left;
}

// Whether the same question may be answered a little later.
bool may_pass(const Error& error) {
  return error.code() == Errc::too_many_requests ||
         (error.code() == Errc::unavailable && !is_bad_upstream(error));
}

}  // namespace

Upstream::Upstream(const Settings& settings, http::Fetcher& fetcher, MirrorThread& thread)
    : settings_(settings),
      fetcher_(fetcher),
      thread_(thread),
      token_flights_(thread),
      pace_(settings.max_rate),
      fetch_slots_(settings.max_fetches) {
  for (const std::string& text : settings.upstreams) {
    auto url = http::Url::parse(text);
    if (!url) continue;  // the configuration's reader has parsed it
    urls_.push_back(std::move(*url));
    breakers_.push_back(std::make_unique<Breaker>());
  }
}

Result<std::unique_ptr<Upstream>> Upstream::open(const Settings& settings, http::Fetcher& fetcher,
                                                 MirrorThread& thread) {
  std::unique_ptr<Upstream> upstream(new Upstream(settings, fetcher, thread));
  for (const Settings::TagTtl& entry : settings.tag_ttls) {
    auto tags = policy::PatternList::compile({entry.pattern});
    if (!tags) return tags.error();
    upstream->tag_ttls_.push_back({std::move(*tags), entry.ttl.value_or(never)});
  }
  auto source = source_of(settings, fetcher, upstream->urls_);
  if (!source) return source.error();
  upstream->account_ = std::make_unique<Account>(std::move(*source), thread);
  return upstream;
}

bool Upstream::redirect_allowed(const http::Url& to) const {
  return std::find(settings_.redirect_allow.begin(), settings_.redirect_allow.end(), to.host()) !=
         settings_.redirect_allow.end();
}

http::FetchRequest Upstream::prepared(std::size_t url, http::Url target) const {
  http::FetchRequest request(std::move(target));
  request.fields.emplace_back("User-Agent", "stele");
  request.trusted = request.url.same_origin(urls_[url]);
  request.ca_file = settings_.ca;
  request.proxy = settings_.proxy;
  request.limits.connect = connect_within;
  request.limits.head = head_within;
  request.limits.window = body_window;
  request.may_connect = [this, url](const http::Url& hop, std::string_view address) {
    const http::AddressKind kind = http::kind_of_address(address);
    if (kind == http::AddressKind::cloud_metadata) return false;
    return http::may_reach_from(urls_[url], kind) || redirect_allowed(hop) ||
           is_named_realm(settings_.token_realm, hop);
  };
  return request;
}

Task<Result<http::Fetched>> Upstream::send(const UpstreamRequest& request, std::size_t url,
                                           std::string authorization) {
  http::FetchRequest fetch =
      prepared(url, urls_[url].at("/v2/" + request.repository + "/" + request.path, request.query));
  fetch.method = request.method;
  fetch.from = request.from;
  if (!request.path.starts_with("blobs/")) fetch.fields.emplace_back("Accept", accepted);
  fetch.authorization = std::move(authorization);
  fetch.may_follow = [](const http::Url&, const http::Url&) -> Result<void> { return {}; };
  requests_.fetch_add(1, std::memory_order_relaxed);
  const auto begun = std::chrono::steady_clock::now();
  auto fetched = co_await fetcher_.fetch(std::move(fetch));
  const auto took = std::chrono::steady_clock::now() - begun;
  latencies_.add(std::chrono::duration_cast<std::chrono::microseconds>(took));
  if (fetched) {
    if (const auto left = remaining_of(*fetched)) {
      const std::lock_guard lock(mutex_);
      remaining_ = left;
    }
  }
  co_return fetched;
}

Error Upstream::refused(std::size_t url, const UpstreamRequest& request) const {
  std::string message = settings_.name + " refuses " + request.repository + " or it does not exist";
  const std::lock_guard lock(mutex_);
  if (!withheld_from_.empty()) {
    message += "; the credentials were not sent to " + withheld_from_ + ", which is not " +
               urls_[url].host() + ": set token_realm of this mirror if it may have them";
  }
  return Error(Errc::forbidden, message);
}

Error Upstream::meaning(std::size_t url, const http::Fetched& fetched, const std::string& what) {
  const int status = fetched.status();
  const std::string said =
      urls_[url].origin() + " answers " + std::to_string(status) + " to the request for " + what;
  const auto now = std::chrono::steady_clock::now();
  if (status == 429) {
    const Error error(Errc::too_many_requests, said);
    breakers_[url]->limited(retry_after(fetched), error, now);
    return breakers_[url]->open(now).value_or(error);
  }
  if (status >= 500) {
    const Error error(Errc::unavailable, said);
    if (const auto pause = retry_after(fetched)) {
      breakers_[url]->limited(pause, error, now);
    } else {
      breakers_[url]->failed(error, now);
    }
    return breakers_[url]->open(now).value_or(error);
  }
  breakers_[url]->worked();
  if (status == 404) return Error(Errc::not_found, said);
  return bad_upstream(said);
}

Task<Result<http::Fetched>> Upstream::ask_one(const UpstreamRequest& request, std::size_t url) {
  auto known = co_await authorization(url, request.repository);
  if (!known) co_return known.error();
  const bool with_token = !known->empty();
  auto fetched = co_await send(request, url, *known);
  if (!fetched) co_return fetched;
  const auto unauthorized = [&] { return fetched->status() == 401 || fetched->status() == 403; };
  if (unauthorized() && with_token) {
    // A challenge to a request with a token may name a dead end: only one to a request without counts.
    forget_token(url, request.repository);
    account_->replaceable(*known);
    fetched = co_await send(request, url, std::string());
    if (!fetched) co_return fetched;
  }
  if (fetched->status() == 401) {
    const auto challenge = parse_challenges(fetched->headers("WWW-Authenticate"));
    if (!challenge) co_return refused(url, request);
    auto fresh = co_await fetch_authorization(url, request.repository, *challenge);
    if (!fresh) co_return fresh.error();
    if (fresh->empty()) co_return refused(url, request);
    fetched = co_await send(request, url, *fresh);
    if (!fetched) co_return fetched;
    known = std::move(*fresh);
  }
  if (unauthorized()) {
    forget_token(url, request.repository);
    breakers_[url]->worked();
    co_return refused(url, request);
  }
  account_->accepted(*known);
  co_return fetched;
}

std::chrono::milliseconds Upstream::pause_from(std::size_t url) const {
  const auto now = std::chrono::steady_clock::now();
  std::optional<std::chrono::milliseconds> least;
  for (; url < breakers_.size(); ++url) {
    const auto left = breakers_[url]->left(now);
    if (!least || left < *least) least = left;
  }
  return least.value_or(std::chrono::milliseconds(0));
}

Task<Result<http::Fetched>> Upstream::ask(UpstreamRequest request, std::size_t& url) {
  const std::size_t first = url;
  const auto until = std::chrono::steady_clock::now() + settings_.wait;
  for (;;) {
    auto fetched = co_await ask_in_order(request, url);
    if (fetched || !request.patient || !may_pass(fetched.error())) co_return fetched;
    const auto pause = std::max(pause_from(first), shortest_pause);
    if (std::chrono::steady_clock::now() + pause > until) co_return fetched;
    const bool slept = co_await thread_.sleep(pause);
    if (!slept) co_return fetched;
    url = first;
  }
}

Task<Result<http::Fetched>> Upstream::ask_in_order(const UpstreamRequest& request, std::size_t& url) {
  Error last(Errc::unavailable, settings_.name + " has no upstream left to ask");
  for (; url < urls_.size(); ++url) {
    if (const auto why = breakers_[url]->open(std::chrono::steady_clock::now())) {
      last = *why;
      continue;
    }
    auto fetched = co_await ask_one(request, url);
    if (!fetched) {
      last = fetched.error();
      if (last.code() == Errc::forbidden) co_return last;
      if (last.code() != Errc::too_many_requests)
        breakers_[url]->failed(last, std::chrono::steady_clock::now());
      continue;
    }
    if (fetched->status() == 200 || fetched->status() == 206) {
      breakers_[url]->worked();
      co_return fetched;
    }
    last = meaning(url, *fetched, request.repository);
    if (last.code() == Errc::not_found) co_return last;
  }
  co_return last;
}

bool Upstream::nearly_used_up() const {
  const std::lock_guard lock(mutex_);
  return remaining_ && *remaining_ < few_left;
}

std::chrono::seconds Upstream::tag_ttl() const {
  return nearly_used_up() ? std::max(settings_.tag_ttl, stretched_ttl) : settings_.tag_ttl;
}

std::chrono::seconds Upstream::tag_ttl(const Tag& tag) const {
  for (const TagTtl& entry : tag_ttls_) {
    if (entry.tags.matches(tag.str()))
      return nearly_used_up() ? std::max(entry.ttl, stretched_ttl) : entry.ttl;
  }
  return tag_ttl();
}

Task<void> Upstream::keep_pace(std::uint64_t bytes) {
  const auto pause = pace_.after(bytes, std::chrono::steady_clock::now());
  if (pause.count() > 0) co_await thread_.sleep(pause);
}

UpstreamStatistics Upstream::statistics() const {
  UpstreamStatistics all;
  all.requests = requests_.load(std::memory_order_relaxed);
  all.tokens = token_requests_.load(std::memory_order_relaxed);
  all.received_bytes = received_.load(std::memory_order_relaxed);
  all.waiting = fetch_slots_.waiting();
  all.latencies = latencies_.total();
  const auto now = std::chrono::steady_clock::now();
  for (std::size_t url = 0; url < urls_.size(); ++url) {
    UpstreamState state;
    state.url = origin(url);
    if (const auto why = breakers_[url]->open(now)) {
      state.left = breakers_[url]->left(now);
      state.problem = why->message();
    }
    all.urls.push_back(std::move(state));
  }
  const std::lock_guard lock(mutex_);
  all.remaining = remaining_;
  return all;
}

}  // namespace stele::mirror
