#include "server/policy_file.hpp"

#include <spdlog/spdlog.h>

#include <utility>

#include "policy/load.hpp"

namespace stele {
namespace {

constexpr int looks_between_attempts = 60;  // one look a second

}  // namespace

Result<std::shared_ptr<const policy::Policy>> PolicyFile::read() const {
  constexpr std::size_t more_than_any = 2 * 1024 * 1024;  // load_policy() refuses much less
  auto text = read_whole_file(path_, more_than_any);
  if (!text) return Error(text.error().code(), "policy " + text.error().message());
  auto loaded = policy::load_policy(*text, path_);
  for (const ConfigProblem& warning : loaded.warnings) spdlog::warn("policy: {}", warning.to_string());
  if (!loaded.policy) return Error(Errc::parameter_invalid, loaded.problems.to_string());
  return std::move(loaded.policy);
}

Result<void> PolicyFile::adopt(std::shared_ptr<const policy::Policy> policy) {
  auto adopted = sync_wait(policies_.adopt(std::move(policy), audit::Actor{}));
  if (!adopted) {
    looks_to_wait_ = looks_between_attempts;
    spdlog::error("the policy cannot be written to the catalog: {}; this is tried again every minute",
                  adopted.error().message());
  }
  return adopted;
}

bool PolicyFile::may_record(bool asked) {
  if (looks_to_wait_ > 0) --looks_to_wait_;
  if (asked) looks_to_wait_ = 0;
  return looks_to_wait_ == 0;
}

Result<void> PolicyFile::load_first() {
  if (!path_.empty()) {
    seen_ = looked_at_ = FileSignature::of(path_);
    auto first = read();
    if (!first) return first.error();
    live_.replace(std::move(*first));
  }
  // On a full disk nothing can be pushed either: the record is made up for when there is room.
  standing_ = adopt(live_.current());
  recorded_ = standing_.has_value();
  return {};
}

Result<void> PolicyFile::renew(bool asked) {
  const std::lock_guard lock(mutex_);
  const bool again = may_record(asked);
  if (!recorded_ && again) {
    standing_ = adopt(live_.current());
    recorded_ = standing_.has_value();
  }
  const FileSignature now = FileSignature::of(path_);
  const bool settled = now == std::exchange(looked_at_, now);
  const bool changed = now != seen_ && settled && (now != waiting_ || looks_to_wait_ == 0);
  if (!path_.empty() && (asked || changed)) standing_ = use_changed(now);
  return standing_;
}

// The file is another one than was read last.
Result<void> PolicyFile::use_changed(const FileSignature& now) {
  auto next = read();
  if (!next) {
    seen_ = now;
    spdlog::error("the changed policy is not used, the old one stays in force: {}", next.error().message());
    return next.error();
  }
  if ((*next)->hash() != live_.current()->hash()) {
    if (auto adopted = adopt(*next); !adopted) {
      waiting_ = now;
      return adopted;
    }
  }
  seen_ = now;
  spdlog::info("policy {} is in force: {} tag rules, {}", path_, (*next)->rules().size(), (*next)->hash());
  return {};
}

}  // namespace stele
