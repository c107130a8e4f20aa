#include "mirror/account.hpp"

#include <algorithm>

namespace stele::mirror {

std::string base64(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t count = std::min<std::size_t>(3, text.size() - i);
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<unsigned char>(text[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out += k <= count ? digits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::string basic_authorization(std::string_view user, std::string_view password) {
  return "Basic " + base64(std::string(user) + ":" + std::string(password));
}

Account::Account(std::unique_ptr<LoginSource> source, MirrorThread& thread)
    : source_(std::move(source)), flights_(thread) {}

Task<Result<std::string>> Account::authorization() {
  if (!source_) co_return std::string();
  {
    const std::lock_guard lock(mutex_);
    if (!current_.empty() && (!until_ || std::chrono::steady_clock::now() < *until_)) co_return current_;
  }
  std::function<Task<Result<std::string>>()> work = [this] { return renew(); };
  co_return co_await flights_.run("login", std::move(work));
}

Task<Result<std::string>> Account::renew() {
  {
    // Somebody may have renewed it between our look and our turn.
    const std::lock_guard lock(mutex_);
    if (!current_.empty() && (!until_ || std::chrono::steady_clock::now() < *until_)) co_return current_;
  }
  const auto begun = std::chrono::steady_clock::now();
  auto login = co_await source_->login();
  if (!login) co_return login.error();
  const std::lock_guard lock(mutex_);
  current_ = std::move(login->basic);
  accepted_ = false;
  until_.reset();
  // Not to its last second: the request that it is for takes a while.
  if (login->life) until_ = begun + *login->life * 9 / 10;
  co_return current_;
}

void Account::accepted(const std::string& authorization) {
  const std::lock_guard lock(mutex_);
  if (authorization == current_) accepted_ = true;
}

bool Account::replaceable(const std::string& authorization) {
  const std::lock_guard lock(mutex_);
  if (authorization.empty()) return false;
  if (authorization != current_) return true;  // it was replaced meanwhile
  if (!accepted_) return false;
  current_.clear();
  return true;
}

}  // namespace stele::mirror
