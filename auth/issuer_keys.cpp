#include "auth/issuer_keys.hpp"

#include <exception>
#include <utility>

#include "base/watched_file.hpp"

namespace stele::auth {
Result<bool> IssuerKeys::renew() {
  if (file_.empty()) return false;
  auto text = read_whole_file(file_, JsonWebKeys::max_bytes);
  if (!text) return text.error();
  const std::lock_guard lock(mutex_);
  if (keys_ && *text == text_) return false;
  auto keys = JsonWebKeys::parse(*text);
  if (!keys) return Error(keys.error().code(), file_ + ": " + keys.error().message());
  keys_ = std::move(*keys);
  text_ = std::move(*text);
  return true;
}

bool IssuerKeys::is_good(std::int64_t now) const {
  return keys_ && (!file_.empty() || now < asked_at_ + times_.stale);
}

// What a caller is to do: take the result, wait, or ask.
struct IssuerKeys::Step {
  std::optional<Result<JsonWebKeys>> result;
  std::optional<Pending<void>> wait;
};

IssuerKeys::Step IssuerKeys::next(const JsonWebKeys* unwanted) {
  const std::lock_guard lock(mutex_);
  const std::int64_t now = clock_.now().microseconds / 1'000'000;
  const bool good = is_good(now);
  const bool unwanted_here = good && unwanted && unwanted->is_same(*keys_);
  Step step;
  if (good && (!file_.empty() || (now < asked_at_ + times_.fresh && !unwanted_here))) {
    step.result.emplace(*keys_);
  } else if (!file_.empty()) {
    step.result.emplace(Error(Errc::unavailable, file_ + " has not been read"));
  } else if (asking_ && good && !unwanted_here) {
    step.result.emplace(*keys_);
  } else if (asking_ && waiters_.size() >= times_.most_waiting) {
    step.result.emplace(
        Error(Errc::unavailable,
              "too many wait for the keys of an issuer of ID tokens, which is slow to answer; "
              "try again in a few seconds"));
  } else if (asking_) {
    Completion<void> completion;
    step.wait.emplace(completion.pending());
    waiters_.push_back(std::move(completion));
  } else if (now < not_before_ || (unwanted_here && now < unknown_not_before_)) {
    if (good) {
      step.result.emplace(*keys_);
    } else {
      step.result.emplace(problem_);
    }
  } else {
    asking_ = true;
    if (unwanted_here) unknown_not_before_ = now + times_.between_unknown;
  }
  return step;
}

Task<void> IssuerKeys::fetch() {
  Result<std::string> text = Error(Errc::internal, "");
  std::string failure;
  try {
    Task<Result<std::string>> asking = ask_();
    text = co_await std::move(asking);
  } catch (const std::exception& e) {
    failure = e.what();
  }
  if (!failure.empty()) text = Error(Errc::internal, failure);
  std::vector<Completion<void>> waiters;
  {
    const std::lock_guard lock(mutex_);
    const std::int64_t now = clock_.now().microseconds / 1'000'000;
    Result<JsonWebKeys> keys = Error(Errc::internal, "");
    if (text) {
      keys = JsonWebKeys::parse(*text);
    } else {
      keys = text.error();
    }
    if (keys) {
      keys_ = std::move(*keys);
      asked_at_ = now;
    } else {
      problem_ = Error(Errc::unavailable, keys.error().message());
      not_before_ = now + times_.after_failure;
    }
    asking_ = false;
    waiters.swap(waiters_);
  }
  for (Completion<void>& waiter : waiters) waiter.set();
}

Task<Result<JsonWebKeys>> IssuerKeys::get(const JsonWebKeys* unwanted) {
  for (;;) {
    Step step = next(unwanted);
    if (step.result) co_return std::move(*step.result);
    if (step.wait) {
      co_await *step.wait;
    } else {
      co_await fetch();
    }
  }
}

Task<Result<JsonWebKeys>> IssuerKeys::present() {
  co_return co_await get(nullptr);
}

Task<Result<JsonWebKeys>> IssuerKeys::other_than(JsonWebKeys known) {
  co_return co_await get(&known);
}

}  // namespace stele::auth
