#include "server/backups.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/random.hpp"

namespace stele {
namespace {

namespace files = std::filesystem;

constexpr std::string_view prefix = "stele-";
constexpr std::string_view suffix = ".db";
constexpr std::string_view download_prefix = "download-";
constexpr std::int64_t retry_microseconds = std::int64_t{10} * 60 * 1'000'000;

// 20261123T060000Z: sorts as it dates, and is a file name everywhere.
std::string stamp(Timestamp t) {
  const std::string full = to_string(t);  // 2026-11-23T06:00:00.000Z
  std::string text;
  for (const char c : full.substr(0, 19)) {
    if (c != '-' && c != ':') text += c;
  }
  return text + 'Z';
}

std::optional<Timestamp> stamp_time(std::string_view name) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return std::nullopt;
  const std::string_view t = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
  if (t.size() != 16) return std::nullopt;
  const std::string text = std::string(t.substr(0, 4)) + "-" + std::string(t.substr(4, 2)) + "-" +
                           std::string(t.substr(6, 5)) + ":" + std::string(t.substr(11, 2)) + ":" +
                           std::string(t.substr(13, 3));
  const auto parsed = parse_timestamp(text);
  return parsed ? std::optional<Timestamp>(*parsed) : std::nullopt;
}

bool later(Timestamp now, const std::string& snapshot) {
  return now < *stamp_time(snapshot);
}

// The snapshots' names, oldest first; those of a clock that was ahead come before all others, since they say
// nothing of when the next one is due.
std::vector<std::string> snapshots(const std::string& directory, Timestamp now) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (auto it = files::directory_iterator(directory, ignored); !ignored && it != files::end(it);
       it.increment(ignored)) {
    const std::string name = it->path().filename();
    if (stamp_time(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  std::rotate(names.begin(), std::upper_bound(names.begin(), names.end(), now, later), names.end());
  return names;
}

std::optional<Timestamp> newest(const std::vector<std::string>& names, Timestamp now) {
  if (names.empty() || later(now, names.back())) return std::nullopt;
  return stamp_time(names.back());
}

}  // namespace

Result<Backups> Backups::open(std::string directory, sql::Database& database, const Clock& clock) {
  std::error_code failure;
  files::create_directories(directory, failure);
  if (failure) return Error(Errc::io, "cannot create " + directory + ": " + failure.message());
  files::permissions(directory, files::perms::owner_all, failure);
  for (auto it = files::directory_iterator(directory, failure); !failure && it != files::end(it);
       it.increment(failure)) {
    const std::string name = it->path().filename();
    std::error_code ignored;
    if (name.starts_with(download_prefix) || name.ends_with(".tmp")) files::remove(it->path(), ignored);
  }
  return Backups(std::move(directory), database, clock);
}

Result<std::optional<std::string>> Backups::make_if_due(std::int64_t every_seconds, std::uint64_t keep,
                                                        const std::stop_token& stop) {
  const Timestamp now = clock_->now();
  if (every_seconds == 0 || now.microseconds < not_before_) return std::optional<std::string>();
  auto names = snapshots(directory_, now);
  if (const auto last = newest(names, now); last && now < *last + every_seconds * 1'000'000)
    return std::optional<std::string>();
  std::string name = std::string(prefix) + stamp(now) + std::string(suffix);
  auto copied = database_->copy_to(directory_ + "/" + name, stop);
  if (!copied) {
    not_before_ = now.microseconds + retry_microseconds;
    return copied.error();
  }
  names.push_back(name);
  std::error_code ignored;
  for (std::size_t i = 0; i + std::max<std::uint64_t>(keep, 1) < names.size(); ++i)
    files::remove(directory_ + "/" + names[i], ignored);
  return std::optional<std::string>(name);
}

std::optional<double> Backups::newest_age_seconds() const {
  const Timestamp now = clock_->now();
  const auto last = newest(snapshots(directory_, now), now);
  if (!last) return std::nullopt;
  return static_cast<double>(now.microseconds - last->microseconds) / 1e6;
}

Result<std::string> Backups::copy_for_download() const {
  std::string path = directory_ + "/" + std::string(download_prefix) + random_hex(8) + std::string(suffix);
  auto copied = database_->copy_to(path);
  if (!copied) return copied.error();
  return path;
}

}  // namespace stele
