#include "mirror/blob_flight.hpp"

#include <sys/statvfs.h>

#include <charconv>

#include "mirror/bad_upstream.hpp"

namespace stele::mirror {
namespace {

constexpr std::size_t piece_bytes = 256 * 1024;
constexpr std::uint64_t spare_bytes = 8 * 1024 * 1024;  // for the catalog
constexpr int most_cuts_without_progress = 3;

// The first byte of "bytes 100-199/200".
std::optional<std::uint64_t> first_of_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  std::uint64_t first = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), first);
  if (read.ec != std::errc() || read.ptr == text.data() + text.size() || *read.ptr != '-')
    return std::nullopt;
  return first;
}

}  // namespace

BlobFlight::BlobFlight(Upstream& upstream, const RegistryContext& context, RepositoryName stored,
                       std::string remote, Digest digest)
    : upstream_(upstream),
      stored_(std::move(stored)),
      remote_(std::move(remote)),
      digest_(std::move(digest)),
      arrival_(context, stored_, digest_) {}

Task<Result<void>> BlobFlight::begin(std::uint64_t promised) {
  UpstreamRequest request;
  request.repository = remote_;
  request.path = "blobs/" + digest_.str();
  request.patient = true;
  auto fetched = co_await upstream_.ask(std::move(request), url_);
  if (!fetched) co_return fetched.error();
  if (fetched->status() != 200)
    co_return bad_upstream(upstream_.origin(url_) + " answers with a part of what was asked for");
  length_ = fetched->content_length();
  fetched_.emplace(std::move(*fetched));
  auto begun = co_await arrival_.begin();
  if (begun) begun = find_room(promised);
  if (!begun) {
    co_await arrival_.give_up();
    co_return begun;
  }
  const auto reader = arrival_.reader();
  file_ = std::make_shared<http::GrowingFile>(reader, reader->fd(), length_);
  buffer_.resize(piece_bytes);
  co_return Result<void>();
}

// Found out before anybody is told 200. A disk that fills up meanwhile still ends in a reset.
Result<void> BlobFlight::find_room(std::uint64_t promised) const {
  struct statvfs disk{};
  if (!length_ || ::fstatvfs(arrival_.reader()->fd(), &disk) != 0) return {};
  const std::uint64_t left = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (*length_ < left && promised + spare_bytes < left - *length_) return {};
  return Error(Errc::no_space, "the disk of this registry has no room for the " + std::to_string(*length_) +
                                   " bytes of " + digest_.str());
}

std::uint64_t BlobFlight::outstanding() const {
  const std::uint64_t arrived = arrived_.load();
  return length_ && *length_ > arrived ? *length_ - arrived : 0;
}

RunningFetch BlobFlight::progress() const {
  return {stored_.str(), digest_.str(), arrived_.load(), length_};
}

Error BlobFlight::fail(Error error) {
  fetched_.reset();
  failed_ = true;
  file_->fail(error);
  return error;
}

Task<Result<void>> BlobFlight::landed() {
  for (;;) {
    std::optional<Pending<void>> waiting;
    {
      const std::lock_guard lock(mutex_);
      if (end_) co_return *end_;
      Completion<void> completion;
      waiting.emplace(completion.pending());
      waiters_.push_back(completion);
    }
    co_await *waiting;
  }
}

void BlobFlight::land(Result<void> end) {
  std::vector<Completion<void>> waiters;
  {
    const std::lock_guard lock(mutex_);
    end_ = std::move(end);
    waiters.swap(waiters_);
  }
  for (Completion<void>& waiter : waiters) waiter.set();
}

Task<Result<void>> BlobFlight::skip(std::uint64_t bytes) {
  while (bytes > 0) {
    const ByteSpan room = ByteSpan(buffer_).first(std::min<std::uint64_t>(bytes, buffer_.size()));
    auto got = co_await fetched_->read_some(room);
    if (!got) co_return got.error();
    if (*got == 0) co_return Error(Errc::unavailable, "it is shorter than before");
    bytes -= *got;
  }
  co_return Result<void>();
}

Task<Result<void>> BlobFlight::resume() {
  fetched_.reset();
  UpstreamRequest request;
  request.repository = remote_;
  request.path = "blobs/" + digest_.str();
  request.from = arrival_.size();
  auto fetched = co_await upstream_.ask(std::move(request), url_);
  if (!fetched) co_return fetched.error();
  fetched_.emplace(std::move(*fetched));
  if (arrival_.size() == 0 || fetched_->status() == 200) co_return co_await skip(arrival_.size());
  if (first_of_range(fetched_->header("Content-Range")) == arrival_.size()) co_return Result<void>();
  co_return bad_upstream(upstream_.origin(url_) + " continues the blob at another place than asked for");
}

// Until the last byte is in the file.
Task<Result<void>> BlobFlight::receive() {
  int cuts = 0;
  for (;;) {
    std::optional<Error> broken;
    auto got = co_await fetched_->read_some(buffer_);
    if (got && *got > 0) {
      cuts = 0;
      if (length_ && *got > *length_ - arrival_.size())
        co_return bad_upstream(upstream_.origin(url_) + " sends more of the blob than it announced");
      const ByteView piece = ByteView(buffer_).first(*got);
      auto written = co_await arrival_.append(piece);
      if (!written) co_return written;
      upstream_.note_received(*got);
      arrived_ = arrival_.size();
      // The last byte is kept back until everything was verified.
      file_->advance(arrival_.size() - (length_ == arrival_.size() ? 1 : 0));
      if (length_ == arrival_.size()) co_return Result<void>();
      co_await upstream_.keep_pace(*got);
      continue;
    }
    if (got && (!length_ || *length_ == arrival_.size())) co_return Result<void>();
    broken = got ? Error(Errc::unavailable, upstream_.origin(url_) + " ended the blob before its end")
                 : got.error();
    while (broken) {
      if (++cuts > most_cuts_without_progress) co_return *broken;
      auto resumed = co_await resume();
      broken.reset();
      if (resumed) continue;
      if (resumed.error().code() != Errc::unavailable || is_bad_upstream(resumed.error())) co_return resumed;
      broken = resumed.error();
    }
  }
}

Task<Result<void>> BlobFlight::pump() {
  auto received = co_await receive();
  if (received) received = arrival_.verify();
  if (!received) {
    const Error error = fail(received.error());
    co_await arrival_.give_up();
    co_return error;
  }
  fetched_.reset();
  file_->finish(arrival_.size());
  audit::Actor actor{Principal("mirror:" + upstream_.settings().name), ""};
  co_return co_await arrival_.publish(std::move(actor));
}

}  // namespace stele::mirror
