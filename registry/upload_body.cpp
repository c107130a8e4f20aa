#include "registry/uploads_impl.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <thread>

namespace stele {
namespace {

constexpr std::size_t small_body = 64 * 1024;
constexpr std::size_t bulk_piece = 128 * 1024;

// Calls `work` for each piece of `bytes` until one fails. Between pieces it offers the processor to whoever
// waits for it: a kernel that does not preempt would let them wait for the whole megabyte.
template <class F>
Result<void> in_pieces(ByteView bytes, F work) {
  while (!bytes.empty()) {
    const ByteView piece = bytes.first(std::min(bytes.size(), bulk_piece));
    bytes = bytes.subspan(piece.size());
    if (Result<void> done = work(piece); !done) return done;
    std::this_thread::yield();
  }
  return {};
}

}  // namespace

Task<Result<std::optional<std::size_t>>> ByteSource::read_arrived(ByteSpan out) {
  const auto got = co_await read_full(out);
  if (!got) co_return got.error();
  co_return std::optional<std::size_t>(*got);
}

Task<void> ByteSource::wait() {
  co_return;
}

Task<Result<void>> Uploads::receive(Session& session, ByteSource& source, std::optional<ChunkRange> range) {
  if (range && range->first != session.offset) {
    co_return Error(Errc::range_invalid, "the chunk begins at byte " + std::to_string(range->first) +
                                             " but the upload has " + std::to_string(session.offset) +
                                             " bytes; continue there");
  }
  const std::uint64_t announced = source.length().value_or(UINT64_MAX);
  const std::uint64_t before = session.offset;
  const Hasher hasher_before = session.hasher();
  if (range && source.length() && announced != range->last - range->first + 1) {
    co_return Error(Errc::size_invalid, "Content-Range covers " +
                                            std::to_string(range->last - range->first + 1) +
                                            " bytes but the body has " + std::to_string(announced));
  }
  if (announced == 0) co_return Result<void>();
  Result<void> pumped;
  const bool small = announced <= small_body && session.unwritten.empty();
  if (small) session.unwritten_part = buffers_.part(static_cast<std::size_t>(announced));
  if (small && session.unwritten_part) {
    pumped = co_await receive_small(session, source);
  } else {
    pumped = co_await pump(session, source);
  }
  if (!pumped) {
    const Errc code = pumped.error().code();
    if (ends_session(code)) co_await discard(session);
    co_return pumped;
  }
  if (range && session.offset != range->last + 1) {
    const std::uint64_t got = session.offset - before;
    session.offset = before;
    session.hasher() = hasher_before;
    session.forget_unwritten();
    co_return Error(Errc::size_invalid, "Content-Range covers " +
                                            std::to_string(range->last - range->first + 1) +
                                            " bytes but the body had " + std::to_string(got));
  }
  co_return Result<void>();
}

// The chunk that is being hashed and written while the next one is read from the socket.
class Uploads::ChunkInFlight {
 public:
  ChunkInFlight(Session& session, const RegistryContext& context)
      : session_(session), context_(context), before_(session.hasher()) {}

  void start(ByteView chunk) {
    // Waking a second thread for a few kilobytes would cost more than hashing them.
    constexpr std::size_t worth_a_thread = 128 * 1024;
    size_ = chunk.size();
    before_ = session_.hasher();
    Session& session = session_;
    if (size_ >= worth_a_thread) {
      hashing_.emplace(context_.bulk.start([&session, chunk] {
        return in_pieces(chunk, [&session](ByteView piece) -> Result<void> {
          session.hasher().update(piece);
          return {};
        });
      }));
      writing_.emplace(context_.bulk.start([&session, chunk] {
        return in_pieces(chunk, [&session](ByteView piece) { return session.writer->append(piece); });
      }));
    } else {
      writing_.emplace(context_.disk.start([&session, chunk] {
        session.hasher().update(chunk);
        return session.writer->append(chunk);
      }));
    }
  }

  // Waits for it, if there is one. After a failed write offset and hash are as before; whatever the file has
  // beyond them, resume() cuts off. Throws what the work threw, when none of it runs any more.
  Task<Result<void>> settle() {
    if (!writing_ && !hashing_) co_return Result<void>();
    Result<void> written = Error(Errc::internal, "the chunk was not written");
    std::exception_ptr broken;
    for (auto* work : std::array{&writing_, &hashing_}) {
      if (!*work) continue;
      try {
        Result<void> done = co_await **work;
        if (work == &writing_) written = std::move(done);
      } catch (...) {
        broken = std::current_exception();
      }
      work->reset();
    }
    if (broken) {
      session_.hasher() = before_;
      std::rethrow_exception(broken);
    }
    if (written) {
      session_.offset += size_;
    } else {
      session_.hasher() = before_;
    }
    co_return written;
  }

 private:
  Session& session_;
  const RegistryContext& context_;
  Hasher before_;
  std::size_t size_ = 0;
  std::optional<Pending<Result<void>>> writing_;
  std::optional<Pending<Result<void>>> hashing_;
};

Result<void> Uploads::open_writer(Session& session) {
  if (!session.writer) {
    auto writer = session.has_file
                      ? context_.blobs.resume(session.id, session.offset - session.unwritten.size())
                      : context_.blobs.create(session.id);
    if (!writer) return writer.error();
    session.writer = std::move(*writer);
    session.has_file = true;
  }
  if (!session.unwritten.empty()) {
    if (auto written = session.writer->append(as_bytes(session.unwritten)); !written) return written;
    session.forget_unwritten();
  }
  return {};
}

// A body of a few kilobytes stays in memory until it is known what becomes of it: one trip to the disk pool
// instead of three.
Task<Result<void>> Uploads::receive_small(Session& session, ByteSource& source) {
  session.unwritten.resize(*source.length());
  const ByteSpan room = std::as_writable_bytes(std::span(session.unwritten.data(), session.unwritten.size()));
  auto got = co_await source.read_full(room);
  const std::size_t filled = got ? *got : 0;
  if (got && filled < room.size()) got = co_await source.read_full(room.subspan(filled));  // what went wrong
  session.unwritten.resize(filled);
  session.hasher().update(as_bytes(session.unwritten));
  session.offset += session.unwritten.size();
  bytes_.fetch_add(session.unwritten.size(), std::memory_order_relaxed);
  if (!got) co_return got.error();
  co_return Result<void>();
}

// Reads one buffer from the socket while the other is hashed and written, both at the same time.
Task<Result<void>> Uploads::pump(Session& session, ByteSource& source) {
  auto opening = context_.disk.start([&] { return open_writer(session); });
  auto opened = co_await opening;
  if (!opened) co_return opened;
  const std::size_t expected =
      static_cast<std::size_t>(std::min<std::uint64_t>(source.length().value_or(UINT64_MAX), SIZE_MAX));
  std::unique_ptr<BufferBudget::Buffer> first, second;
  std::size_t size = 0;
  for (;;) {
    size = buffers_.next_size(expected);
    first = buffers_.buffer(size);
    if (first && expected > size) second = buffers_.buffer(size);
    // The second is not needed when everything fits into the first.
    if (first && (second || expected <= size)) break;
    first.reset();
    const auto at_end = co_await take_what_arrives(session, source);
    if (!at_end) co_return at_end.error();
    if (*at_end) co_return Result<void>();
  }
  const std::array<ByteSpan, 2> buffers{first->span(), second ? second->span() : first->span()};

  ChunkInFlight in_flight(session, context_);
  Result<void> done;
  std::exception_ptr broken;
  try {
    done = co_await take_turns(in_flight, source, buffers);
  } catch (...) {
    broken = std::current_exception();
  }
  if (broken) {  // the pool's threads are still at the buffers and at the session
    [[maybe_unused]] const auto settled = co_await in_flight.settle();
    std::rethrow_exception(broken);
  }
  co_return done;
}

// Waits for a piece without holding anything for it, takes what has arrived, hashes and writes it. True at
// the end of the body.
Task<Result<bool>> Uploads::take_what_arrives(Session& session, ByteSource& source) {
  for (;;) {
    {
      const BufferBudget::Turn turn = co_await buffers_.turn();
      const auto got = co_await source.read_arrived(turn.span());
      if (!got) co_return got.error();
      if (*got && **got == 0) co_return true;
      if (*got) {
        const ByteView piece = ByteView(turn.span()).first(**got);
        bytes_.fetch_add(piece.size(), std::memory_order_relaxed);
        ChunkInFlight in_flight(session, context_);
        in_flight.start(piece);
        const auto written = co_await in_flight.settle();
        if (!written) co_return written.error();
        co_return false;
      }
    }
    co_await source.wait();
  }
}

Task<Result<void>> Uploads::take_turns(ChunkInFlight& in_flight, ByteSource& source,
                                       std::array<ByteSpan, 2> buffers) {
  const bool one_buffer = buffers[0].data() == buffers[1].data();
  for (std::size_t turn = 0;; turn ^= 1) {
    const ByteSpan buffer = buffers[turn];
    auto got = co_await source.read_full(buffer);
    auto settled = co_await in_flight.settle();
    if (!settled) co_return settled;
    if (!got) co_return got.error();
    if (*got == 0) co_return Result<void>();
    in_flight.start(buffer.first(*got));
    bytes_.fetch_add(*got, std::memory_order_relaxed);
    if (one_buffer) {
      settled = co_await in_flight.settle();
      if (!settled) co_return settled;
    }
  }
}

// A megabyte at a time and on the pool of the large transfers: twenty gigabytes wait their turn at each step,
// and nobody waits for all of them.
Task<Result<void>> Uploads::rehash(Session& session, DigestAlgorithm algorithm) {
  constexpr std::size_t step = 1024 * 1024;
  Hasher hasher(algorithm);
  if (session.offset > 0) {
    std::unique_ptr<BlobReader> reader;
    auto opening = context_.disk.start([&]() -> Result<void> {
      if (auto opened = open_writer(session); !opened) return opened;
      auto made = context_.blobs.open_upload(session.id);
      if (!made) return made.error();
      reader = std::move(*made);
      return {};
    });
    auto opened = co_await opening;
    if (!opened) co_return opened;
    for (std::uint64_t at = 0; at < session.offset;) {
      auto reading = context_.bulk.start([&]() -> Result<std::size_t> {
        // The thread's own, and not for as long as one waits for its turn.
        std::vector<std::byte> buffer(std::min<std::uint64_t>(step, session.offset - at));
        auto got = reader->read_at(at, buffer);
        if (!got) return got.error();
        if (*got == 0) return Error(Errc::io, "the upload file ended early");
        hasher.update(ByteView(buffer).first(*got));
        return *got;
      });
      const Result<std::size_t> read = co_await reading;
      if (!read) co_return read.error();
      at += *read;
    }
  }
  session.hasher() = hasher;
  co_return Result<void>();
}

}  // namespace stele
