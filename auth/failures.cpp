#include "auth/failures.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace stele::auth {
namespace {

constexpr std::int64_t second = 1'000'000;

}  // namespace

std::string Failures::network_of(const std::string& address) {
  constexpr std::size_t half = 8;
  in6_addr parsed{};
  if (inet_pton(AF_INET6, address.c_str(), &parsed) != 1 || IN6_IS_ADDR_V4MAPPED(&parsed)) return address;
  std::fill(std::begin(parsed.s6_addr) + half, std::end(parsed.s6_addr), static_cast<std::uint8_t>(0));
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, &parsed, text.data(), text.size());
  return std::string(text.data()) + "/64";
}

std::string Failures::pair_of(const std::string& account, const std::string& network) {
  return network + ' ' + account;  // no address has a space
}

std::vector<Failures::Failure>* Failures::Table::find(const std::string& key) {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<Failures::Failure>& Failures::Table::at(const std::string& key) {
  const auto [place, is_new] = entries_.try_emplace(key);
  if (is_new) {
    order_.push_back(key);
    // One that was forgiven and came again stands in `order_` twice: bounded by the same number.
    while (order_.size() > most_) {
      if (order_.front() != key) entries_.erase(order_.front());
      order_.pop_front();
    }
  }
  return place->second;
}

void Failures::drop_old(std::vector<Failure>& failures, Timestamp now) const {
  std::erase_if(failures, [&](const Failure& one) { return one.at + limits_.seconds * second <= now; });
}

void Failures::add(std::vector<Failure>& failures, std::size_t most, const std::string& secret,
                   Timestamp now) const {
  drop_old(failures, now);
  const bool known =
      std::any_of(failures.begin(), failures.end(), [&](const Failure& one) { return one.secret == secret; });
  if (!known && failures.size() < most) failures.push_back({secret, now});
}

std::vector<Failures::Failure>& Failures::account_at(const std::string& pair) {
  std::vector<Failure>& account = accounts_.at(pair);
  if (std::vector<Failure>* const made_up = made_up_.find(pair)) {
    account.swap(*made_up);  // one that stands there has had none here
    made_up_.erase(pair);
  }
  return account;
}

void Failures::record(const std::string& account, const std::string& address, const std::string& secret,
                      Timestamp now, Budget budget) {
  const std::string network = network_of(address);
  add(account_at(pair_of(account, network)), limits_.per_account, secret, now);
  add((budget == Budget::mirrored ? mirrored_ : addresses_).at(network), limits_.per_address, secret, now);
}

void Failures::record_made_up(const std::string& account, const std::string& address,
                              const std::string& secret, Timestamp now) {
  const std::string pair = pair_of(account, network_of(address));
  std::vector<Failure>* const present = accounts_.find(pair);
  add(present ? *present : made_up_.at(pair), limits_.per_account, secret, now);
}

void Failures::begin(const std::string& account, const std::string& address, const std::string& secret,
                     Timestamp now) {
  add(account_at(pair_of(account, network_of(address))), limits_.per_account, secret, now);
}

void Failures::withdraw(const std::string& account, const std::string& address, const std::string& secret) {
  std::vector<Failure>* const failures = accounts_.find(pair_of(account, network_of(address)));
  if (failures) std::erase_if(*failures, [&](const Failure& one) { return one.secret == secret; });
}

void Failures::forgive(const std::string& account, const std::string& address) {
  const std::string pair = pair_of(account, network_of(address));
  accounts_.erase(pair);
  made_up_.erase(pair);
}

std::optional<std::int64_t> Failures::waits(std::vector<Failure>* failures, std::size_t most,
                                            Timestamp now) const {
  if (!failures) return std::nullopt;
  drop_old(*failures, now);
  if (failures->size() < most) return std::nullopt;
  const std::int64_t left = (failures->front().at + limits_.seconds * second).microseconds - now.microseconds;
  return std::max<std::int64_t>(1, (left + second - 1) / second);
}

std::optional<std::int64_t> Failures::account_waits(const std::string& account, const std::string& address,
                                                    Timestamp now) {
  const std::string pair = pair_of(account, network_of(address));
  std::vector<Failure>* const present = accounts_.find(pair);
  return waits(present ? present : made_up_.find(pair), limits_.per_account, now);
}

std::optional<std::int64_t> Failures::address_waits(const std::string& address, Timestamp now,
                                                    Budget budget) {
  Table& table = budget == Budget::mirrored ? mirrored_ : addresses_;
  return waits(table.find(network_of(address)), limits_.per_address, now);
}

}  // namespace stele::auth
