#include "gc/blob_check.hpp"

#include <algorithm>

#include "base/hasher.hpp"
#include "storage/catalog/quarantine.hpp"

namespace stele::gc {
namespace {

constexpr std::size_t piece = 1 << 20;
constexpr std::int64_t most_repositories = 100;  // that a source is asked for

}  // namespace

FileFinding look_at_file(BlobStore& blobs, const Digest& digest, std::uint64_t size,
                         Thoroughness thoroughness, const ReadPace& pace) {
  using Kind = FileFinding::Kind;
  const auto opened = blobs.open(digest);
  if (!opened) {
    if (opened.error().code() == Errc::blob_unknown) return {Kind::missing, "the file is missing"};
    return {Kind::unknown, opened.error().message()};
  }
  const BlobReader& reader = **opened;
  if (reader.size() != size) {
    return {Kind::wrong,
            "the file has " + std::to_string(reader.size()) + " bytes instead of " + std::to_string(size)};
  }
  if (thoroughness == Thoroughness::size) return {};
  Hasher hasher(digest.algorithm());
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(size, piece)));
  for (std::uint64_t at = 0; at < size;) {
    const auto got = reader.read_once(at, buffer);
    if (!got) return {Kind::wrong, "the file cannot be read: " + got.error().message()};
    if (*got == 0) return {Kind::wrong, "the file ends after " + std::to_string(at) + " bytes"};
    hasher.update(ByteView(buffer).first(*got));
    at += *got;
    if (pace && !pace(*got)) return {Kind::stopped, {}};
  }
  const Digest found = hasher.finish();
  if (found == digest) return {};
  return {Kind::wrong, "the file's content has the digest " + found.str()};
}

Task<Result<CheckedBlob>> BlobCheck::judge(Digest digest, Thoroughness thoroughness, audit::Actor actor) {
  co_return co_await check(std::move(digest), thoroughness, &actor);
}

Task<Result<CheckedBlob>> BlobCheck::look(Digest digest, Thoroughness thoroughness) {
  co_return co_await check(std::move(digest), thoroughness, nullptr);
}

Task<Result<CheckedBlob>> BlobCheck::check(Digest digest, Thoroughness thoroughness,
                                           const audit::Actor* actor) {
  using Kind = FileFinding::Kind;
  const auto guard = co_await context_.digest_locks.lock(digest.str());
  const auto row =
      context_.database.read([&](sql::Session& session) -> Result<std::optional<catalog::BlobInfo>> {
        return catalog::find_blob(session, digest);
      });
  if (!row) co_return row.error();
  CheckedBlob checked;
  if (!*row || (*row)->state != catalog::BlobState::live) {
    checked.verdict = Verdict::gone;
    co_return checked;
  }
  const std::uint64_t size = (*row)->size;
  auto looking =
      context_.bulk.start([&] { return look_at_file(context_.blobs, digest, size, thoroughness, pace_); });
  FileFinding found = co_await looking;
  checked.problem = std::move(found.problem);
  const bool known = context_.quarantine.holds(digest);
  if (found.kind == Kind::unknown || found.kind == Kind::stopped) {
    checked.verdict = found.kind == Kind::unknown ? Verdict::unknown : Verdict::stopped;
  } else if (found.kind == Kind::right) {
    // Its size alone proves nothing of a blob that was found to be wrong.
    const bool proven = known && thoroughness == Thoroughness::content;
    checked.verdict = proven ? Verdict::released : known ? Verdict::known : Verdict::right;
    if (proven && actor) {
      const Result<void> released = co_await release(digest, size, *actor);
      if (!released) co_return released.error();
    }
  } else {
    checked.verdict = known ? Verdict::known : Verdict::quarantined;
    if (!known && actor) {
      const Result<void> kept = co_await quarantine(digest, checked.problem, *actor);
      if (!kept) co_return kept.error();
    }
    if (actor && found.kind == Kind::wrong) {
      // Where it cannot be moved it stays where it is, and is not served all the same.
      auto moving = context_.disk.start([&] { return context_.blobs.set_aside(digest); });
      [[maybe_unused]] const Result<void> moved = co_await moving;
    }
  }
  co_return checked;
}

Task<Result<void>> BlobCheck::quarantine(const Digest& digest, const std::string& problem,
                                         const audit::Actor& actor) {
  context_.quarantine.add(digest);
  auto pending = context_.writer.write({"digest:" + digest.str()}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = context_.clock.now();
    if (catalog::put_in_quarantine(tx, digest, now, problem)) {
      audit::append(tx, audit::Event{"blob.quarantine", {}, {}, digest, std::nullopt, {}, problem}, actor,
                    now);
    }
    return {};
  });
  const Result<void> written = co_await pending;
  if (!written) context_.quarantine.remove(digest);
  co_return written;
}

Task<Result<void>> BlobCheck::release(const Digest& digest, std::uint64_t size, const audit::Actor& actor) {
  auto pending = context_.writer.write({"digest:" + digest.str()}, [&](sql::Tx& tx) -> Result<void> {
    if (catalog::end_quarantine(tx, digest, size)) {
      audit::append(tx, audit::Event{"blob.repaired", {}, {}, std::nullopt, digest}, actor,
                    context_.clock.now());
    }
    return {};
  });
  const Result<void> written = co_await pending;
  if (written) context_.quarantine.remove(digest);
  co_return written;
}

Task<Result<bool>> BlobCheck::repair(Digest digest, audit::Actor actor) {
  if (!source_) co_return false;
  const auto holders = context_.database.read([&](sql::Session& session) -> Result<std::vector<std::string>> {
    return catalog::repositories_with_blob(session, digest, most_repositories);
  });
  if (!holders) co_return holders.error();
  std::vector<RepositoryName> repositories;
  for (const std::string& holder : *holders) {
    if (auto name = RepositoryName::parse(holder)) repositories.push_back(std::move(*name));
  }
  if (repositories.empty()) co_return false;
  const auto found = co_await source_->open(digest, repositories);
  if (!found) co_return found.error();
  if (!*found) co_return false;
  // As any push: hashed while it is written, refused when it is something else. Its publication ends the
  // quarantine.
  const BlobSource::Found& from = **found;
  const auto session = uploads_.start(from.repository, actor, digest.algorithm());
  if (!session) co_return session.error();
  const Result<void> pushed =
      co_await uploads_.finish(from.repository, *session, *from.bytes, std::nullopt, digest, actor);
  if (pushed) co_return true;
  [[maybe_unused]] const Result<void> ended = co_await uploads_.cancel(from.repository, *session, actor);
  co_return pushed.error();
}

}  // namespace stele::gc
