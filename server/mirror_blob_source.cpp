#include "server/mirror_blob_source.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "http/growing_file.hpp"

namespace stele {
namespace {

Result<std::size_t> read_some(const http::FileSlice& slice, ByteSpan out) {
  const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(slice.length, out.size()));
  for (;;) {
    const ssize_t got = ::pread(slice.fd, out.data(), wanted, static_cast<off_t>(slice.offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR)
      return Error(Errc::io, std::string("what came from upstream cannot be read: ") + std::strerror(errno));
  }
}

// The bytes as they arrive.
class Arriving final : public ByteSource {
 public:
  Arriving(std::shared_ptr<http::GrowingFile> file, ThreadPool& bulk) : file_(std::move(file)), bulk_(bulk) {}

  Task<Result<std::size_t>> read_full(ByteSpan out) override {
    std::size_t filled = 0;
    while (filled < out.size()) {
      const auto there = co_await file_->beyond(at_);
      if (!there && filled == 0) co_return there.error();
      if (!there || *there <= at_) break;
      const http::FileSlice slice = file_->slice(at_, *there - at_);
      const ByteSpan rest = out.subspan(filled);
      auto reading = bulk_.start([&slice, rest] { return read_some(slice, rest); });
      const Result<std::size_t> got = co_await reading;
      if (!got && filled == 0) co_return got.error();
      if (!got || *got == 0) break;
      filled += *got;
      at_ += *got;
    }
    co_return filled;
  }
  std::optional<std::uint64_t> length() const override { return file_->length(); }

 private:
  const std::shared_ptr<http::GrowingFile> file_;
  ThreadPool& bulk_;
  std::uint64_t at_ = 0;
};

}  // namespace

Task<Result<std::optional<gc::BlobSource::Found>>> MirrorBlobSource::open(
    const Digest& digest, const std::vector<RepositoryName>& repositories) {
  std::optional<Error> unanswered;
  for (const RepositoryName& repository : repositories) {
    if (!mirrors_.names().is_mirrored(repository)) continue;
    auto place = mirrors_.names().place(repository, std::nullopt, std::nullopt);
    if (!place || !*place) continue;  // what the configuration no longer allows
    mirror::Place wanted = std::move(**place);
    const auto file = co_await mirrors_.blob(std::move(wanted), digest);
    if (!file && file.error().code() != Errc::blob_unknown) unanswered = file.error();
    if (!file) continue;
    std::optional<Found> found;
    found.emplace(Found{repository, std::make_unique<Arriving>(*file, bulk_)});
    co_return found;
  }
  if (unanswered) co_return *unanswered;
  co_return std::optional<Found>();
}

}  // namespace stele
