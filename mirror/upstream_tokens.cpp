#include <algorithm>
#include <nlohmann/json.hpp>

#include "http/uri.hpp"
#include "mirror/bad_upstream.hpp"
#include "mirror/realm.hpp"
#include "mirror/upstream.hpp"

namespace stele::mirror {
namespace {

constexpr std::uint64_t longest_token_answer = 256 * 1024;
constexpr std::chrono::seconds default_token_life(60);
constexpr std::chrono::seconds longest_token_life(3600);
constexpr std::size_t most_tokens = 10'000;

struct TokenAnswer {
  std::string token;
  std::chrono::seconds life = default_token_life;
};

std::optional<TokenAnswer> parse_token(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  TokenAnswer answer;
  for (const char* name : {"token", "access_token"}) {
    const auto found = json.find(name);
    if (found != json.end() && found->is_string() && answer.token.empty()) answer.token = *found;
  }
  const auto life = json.find("expires_in");
  if (life != json.end() && life->is_number_integer()) {
    const auto seconds = life->get<std::int64_t>();
    answer.life = std::chrono::seconds(std::clamp<std::int64_t>(seconds, 1, longest_token_life.count()));
  }
  const auto printable = [](char c) { return c > ' ' && c < '\x7f'; };
  if (answer.token.empty() || !std::all_of(answer.token.begin(), answer.token.end(), printable))
    return std::nullopt;
  return answer;
}

}  // namespace

void Upstream::forget_token(std::size_t url, const std::string& repository) {
  const std::lock_guard lock(mutex_);
  tokens_.erase({url, repository});
}

Task<Result<std::string>> Upstream::authorization(std::size_t url, std::string repository) {
  std::optional<Challenge> realm;
  {
    const std::lock_guard lock(mutex_);
    const auto found = tokens_.find({url, repository});
    if (found != tokens_.end() && std::chrono::steady_clock::now() < found->second.until)
      co_return found->second.value;
    const auto known = realms_.find(url);
    if (known != realms_.end()) realm = known->second;
  }
  if (!realm) co_return std::string();
  co_return co_await fetch_authorization(url, std::move(repository), std::move(*realm));
}

Task<Result<std::string>> Upstream::fetch_authorization(std::size_t url, std::string repository,
                                                        Challenge challenge) {
  if (challenge.kind == Challenge::Kind::basic) {
    {
      const std::lock_guard lock(mutex_);
      realms_[url] = challenge;
    }
    co_return co_await account_->authorization();
  }
  auto realm = http::Url::parse(challenge.realm);
  if (!realm || (urls_[url].secure() && !realm->secure())) {
    co_return bad_upstream(urls_[url].origin() + " names a token service that is no " +
                           (urls_[url].secure() ? "https" : "http or https") + " URL");
  }
  std::string key = std::to_string(url) + " " + repository;
  std::function<Task<Result<std::string>>()> work = [this, url, repository, realm = *realm,
                                                     service = challenge.service] {
    return fetch_token(url, repository, realm, service);
  };
  auto token = co_await token_flights_.run(std::move(key), std::move(work));
  if (token) {
    const std::lock_guard lock(mutex_);
    realms_[url] = challenge;
  }
  co_return token;
}

Task<Result<http::Fetched>> Upstream::ask_for_token(std::size_t url, http::Url target) {
  const bool trusted = trusts_realm(urls_[url], settings_.token_realm, target);
  if (!trusted && account_->exists()) {
    const std::lock_guard lock(mutex_);
    withheld_from_ = target.host();
  }
  for (bool again = false;; again = true) {
    http::FetchRequest request = prepared(url, target);
    std::string login;
    if (trusted) {
      auto known = co_await account_->authorization();
      if (!known) co_return known.error();
      login = std::move(*known);
    }
    request.authorization = login;
    requests_.fetch_add(1, std::memory_order_relaxed);
    token_requests_.fetch_add(1, std::memory_order_relaxed);
    auto fetched = co_await fetcher_.fetch(std::move(request));
    if (!fetched) co_return fetched;
    if (fetched->status() == 200) account_->accepted(login);
    const bool refused = fetched->status() == 401 || fetched->status() == 403;
    if (!refused || again || !account_->replaceable(login)) co_return fetched;
  }
}

Task<Result<std::string>> Upstream::fetch_token(std::size_t url, std::string repository, http::Url realm,
                                                std::string service) {
  {
    // Somebody may have fetched it between our look and our turn.
    const std::lock_guard lock(mutex_);
    const auto found = tokens_.find({url, repository});
    if (found != tokens_.end() && std::chrono::steady_clock::now() < found->second.until)
      co_return found->second.value;
  }
  std::string query = realm.query();
  if (!service.empty()) query += (query.empty() ? "service=" : "&service=") + http::percent_encode(service);
  query +=
      (query.empty() ? "scope=" : "&scope=") + http::percent_encode("repository:" + repository + ":pull");
  auto fetched = co_await ask_for_token(url, realm.at(realm.path(), std::move(query)));
  if (!fetched) co_return fetched.error();
  if (fetched->status() == 401 || fetched->status() == 403) {
    co_return Error(Errc::forbidden, realm.origin() + " gives " + settings_.name + "'s mirror no token for " +
                                         repository +
                                         (account_->exists() ? "; are its credentials right?" : ""));
  }
  if (fetched->status() != 200) {
    const Error failed = meaning(url, *fetched, "a token");
    // That there is no such token service says nothing of the image.
    if (failed.code() == Errc::not_found) co_return bad_upstream(failed.message());
    co_return failed;
  }
  const auto text = co_await fetched->read_all(longest_token_answer);
  if (!text) co_return text.error();
  const auto answer = parse_token(*text);
  if (!answer) co_return bad_upstream(realm.origin() + " answers with what is no token");
  Token token{"Bearer " + answer->token, std::chrono::steady_clock::now() + answer->life * 9 / 10};
  const std::lock_guard lock(mutex_);
  if (tokens_.size() >= most_tokens) tokens_.clear();
  tokens_.insert_or_assign({url, repository}, token);
  co_return std::move(token.value);
}

}  // namespace stele::mirror
