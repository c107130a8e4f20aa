#include <pthread.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <new>
#include <set>
#include <thread>

#include "tests/support/passing_file_layer.hpp"
#include "tests/unit/registry/uploads_fixture.hpp"

namespace stele {
namespace {

using namespace uploads_test;

TEST_CASE("uploads: every size, announced or not, arrives whole") {
  UploadFixture fixture;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65'536}, std::size_t{65'537},
                                 std::size_t{1'048'576}, std::size_t{5'000'001}}) {
    for (const bool announced : {true, false}) {
      const std::string text = content(size, static_cast<unsigned>(size + announced));
      const Digest digest = Digest::of(sha256, text);
      const UploadId id = fixture.start();
      REQUIRE(fixture.append(id, text, {}, announced).value() == size);
      REQUIRE(fixture.finish(id, digest).has_value());
      CHECK((fixture.stored(digest) == text));
      CHECK(code(fixture.offset(id)) == Errc::upload_unknown);
    }
  }
  CHECK(fixture.files("uploads") == 0);
  CHECK(fixture.count("uploads") == 0);
}

TEST_CASE("uploads: chunks must continue where the upload is; the session survives a wrong one") {
  UploadFixture fixture;
  const UploadId id = fixture.start();
  REQUIRE(fixture.append(id, "hello", ChunkRange{0, 4}).value() == 5);
  CHECK(code(fixture.append(id, "hello", ChunkRange{0, 4})) == Errc::range_invalid);
  CHECK(code(fixture.append(id, "world", ChunkRange{6, 10})) == Errc::range_invalid);
  CHECK(code(fixture.append(id, "world!", ChunkRange{5, 9})) == Errc::size_invalid);
  CHECK(code(fixture.append(id, "worl", ChunkRange{5, 9}, false)) == Errc::size_invalid);
  CHECK(code(fixture.finish(id, Digest::of(sha256, "x"), "world", ChunkRange{0, 4})) == Errc::range_invalid);
  CHECK(fixture.offset(id).value() == 5);
  REQUIRE(fixture.append(id, "world", ChunkRange{5, 9}).value() == 10);
  REQUIRE(fixture.finish(id, Digest::of(sha256, "helloworld!"), "!", ChunkRange{10, 10}).has_value());
  CHECK(fixture.stored(Digest::of(sha256, "helloworld!")) == "helloworld!");
}

TEST_CASE("uploads: an acknowledged chunk survives a restart, and nothing is read again (I1)") {
  UploadFixture fixture;
  const std::string text = content(300'000);
  const UploadId id = fixture.start();
  REQUIRE(fixture.append(id, text.substr(0, 200'000)).value() == 200'000);
  fixture.restart();
  CHECK(fixture.offset(id).value() == 200'000);
  TextSource other("x");
  CHECK(code(sync_wait(fixture.uploads->append(RepositoryName::parse("other").value(), id, other,
                                               std::nullopt, fixture.actor))) == Errc::upload_unknown);
  REQUIRE(fixture.finish(id, Digest::of(sha256, text), text.substr(200'000)).has_value());
  CHECK((fixture.stored(Digest::of(sha256, text)) == text));
  CHECK(fixture.files("uploads") == 0);
}

TEST_CASE("uploads: a client that breaks off can go on") {
  UploadFixture fixture;
  const std::string text = content(3'000'000);
  for (const std::size_t sent : {std::size_t{1000}, std::size_t{2'500'000}}) {
    const UploadId id = fixture.start();
    CHECK(code(fixture.append(id, text.substr(0, sent), {}, true, true)) == Errc::body_incomplete);
    CHECK(fixture.offset(id).value() == sent);
    REQUIRE(fixture.finish(id, Digest::of(sha256, text), text.substr(sent)).has_value());
    CHECK((fixture.stored(Digest::of(sha256, text)) == text));
  }
}

TEST_CASE("uploads: wrong content is never published (I6)") {
  UploadFixture fixture;
  const Digest claimed = Digest::of(sha256, "claimed");
  for (const std::size_t size : {std::size_t{10}, std::size_t{200'000}}) {
    const UploadId id = fixture.start();
    CHECK(code(fixture.finish(id, claimed, content(size))) == Errc::digest_mismatch);
    CHECK(code(fixture.offset(id)) == Errc::upload_unknown);
  }
  CHECK(code(fixture.registry->blob_size(repository, claimed)) == Errc::blob_unknown);
  CHECK(fixture.files("uploads") + fixture.files("blobs") == 0);
  CHECK(fixture.count("blobs") == 0);
}

TEST_CASE("uploads: an algorithm that appears only at the end") {
  UploadFixture fixture;
  for (const std::size_t size : {std::size_t{100}, std::size_t{500'000}}) {
    const std::string text = content(size);
    const Digest digest = Digest::of(DigestAlgorithm::sha512, text);
    const UploadId id = fixture.start();
    REQUIRE(fixture.append(id, text.substr(0, size / 2)).has_value());
    REQUIRE(fixture.finish(id, digest, text.substr(size / 2)).has_value());
    CHECK((fixture.stored(digest) == text));
  }
}

// As clients push: they ask first, and upload only what is not there.
bool push_as_clients_do(UploadFixture& fixture, const std::string& text) {
  const Digest digest = Digest::of(sha256, text);
  const auto asked = fixture.registry->blob_size(repository, digest);
  if (asked) return false;
  CHECK(code(asked) == Errc::blob_unknown);
  fixture.push_blob(repository.str(), text);
  return true;
}

std::string file_of(const UploadFixture& fixture, const Digest& digest) {
  const std::string hex(digest.hex());
  return fixture.path + "/blobs/sha256/" + hex.substr(0, 2) + "/" + hex;
}

void overwrite(const std::string& path, const std::string& text) {
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

TEST_CASE("uploads: a blob whose file is lost or short is not there for HEAD, and comes back (I1)") {
  UploadFixture fixture;
  const std::string text = content(GENERATE(std::size_t{1000}, std::size_t{300'000}));
  const Digest digest = fixture.push_blob(repository.str(), text);
  CHECK_FALSE(push_as_clients_do(fixture, text));
  SECTION("lost") {
    REQUIRE(fixture.blobs->remove(digest).has_value());
  }
  SECTION("short") {
    overwrite(file_of(fixture, digest), text.substr(1));
  }
  CHECK(code(fixture.registry->blob(repository, digest)) == Errc::corrupt);
  CHECK(push_as_clients_do(fixture, text));
  CHECK((fixture.stored(digest) == text));
  CHECK_FALSE(push_as_clients_do(fixture, text));
  CHECK(fixture.count("blobs") == 1);
  CHECK(fixture.files("uploads") == 0);
}

TEST_CASE("uploads: a mount finds no blob whose file is lost or short, so that the client uploads it (I1)") {
  UploadFixture fixture;
  const std::string text = content(1000);
  const Digest digest = fixture.push_blob(repository.str(), text);
  SECTION("lost") {
    REQUIRE(fixture.blobs->remove(digest).has_value());
  }
  SECTION("short") {
    overwrite(file_of(fixture, digest), text.substr(1));
  }
  const auto other = RepositoryName::parse("other").value();
  for (const auto& from : {std::optional(repository), std::optional<RepositoryName>()}) {
    const auto mounted =
        sync_wait(fixture.registry->mount_blob(BlobMount{other, digest, from, fixture.actor}));
    CHECK_FALSE(mounted.value());
  }
  fixture.push_blob(other.str(), text);
  CHECK((fixture.stored(digest) == text));
}

TEST_CASE("uploads: wrong bytes of the right length are replaced by a push (I6)") {
  UploadFixture fixture;
  const std::string text = content(GENERATE(std::size_t{1000}, std::size_t{300'000}));
  const Digest digest = fixture.push_blob(repository.str(), text);
  std::string wrong = text;
  wrong[500] = static_cast<char>(wrong[500] ^ 1);
  overwrite(file_of(fixture, digest), wrong);
  const bool in_chunks = GENERATE(false, true);
  const UploadId id = fixture.start();
  if (in_chunks) REQUIRE(fixture.append(id, text.substr(0, 700)).has_value());
  REQUIRE(fixture.finish(id, digest, in_chunks ? text.substr(700) : text).has_value());
  CHECK((fixture.stored(digest) == text));
  CHECK(fixture.count("blobs") == 1);
  CHECK(fixture.files("uploads") == 0);
}

TEST_CASE("uploads: 16 clients push the same content at once; it is stored once") {
  UploadFixture fixture;
  for (int round = 0; round < 10; ++round) {
    const std::string text = content(70'000 + static_cast<std::size_t>(round), 7);
    const Digest digest = Digest::of(sha256, text);
    std::vector<std::thread> clients;
    for (int client = 0; client < 16; ++client) {
      clients.emplace_back([&, client] {
        const UploadId id = fixture.start();
        if (client % 2 == 0) {
          TextSource source(text);
          if (!sync_wait(fixture.uploads->append(repository, id, source, std::nullopt, fixture.actor)))
            std::abort();
        }
        TextSource source(client % 2 == 0 ? "" : text);
        if (!sync_wait(fixture.uploads->finish(repository, id, source, std::nullopt, digest, fixture.actor)))
          std::abort();
      });
    }
    for (auto& client : clients) client.join();
    CHECK((fixture.stored(digest) == text));
  }
  CHECK(fixture.files("blobs") == 10);
  CHECK(fixture.files("uploads") == 0);
  CHECK(fixture.count("blobs") == 10);
  CHECK(fixture.count("uploads") == 0);
}

// Remembers which pools' threads read files, and the most that one of them read at once.
class ReadersNoted final : public fs::PassingFileLayer {
 public:
  ssize_t pread(int fd, void* data, std::size_t size, off_t offset) override {
    char thread[16] = "";
    ::pthread_getname_np(::pthread_self(), &thread[0], sizeof thread);
    const std::lock_guard lock(mutex_);
    readers.insert(&thread[0]);
    most = std::max(most, size);
    return PassingFileLayer::pread(fd, data, size, offset);
  }

  std::set<std::string> readers;
  std::size_t most = 0;

 private:
  std::mutex mutex_;
};

TEST_CASE(
    "uploads: what must be read again is read in pieces, on the pool of the large transfers (A25, I10)") {
  ReadersNoted layer;
  UploadFixture fixture(ReferenceMode::strict, {}, {.layer = &layer});
  const std::string text = content(5'000'000);
  const UploadId id = fixture.start(sha256);
  REQUIRE(fixture.append(id, text).has_value());
  layer.readers.clear();
  REQUIRE(fixture.finish(id, Digest::of(DigestAlgorithm::sha512, text)).has_value());
  CHECK(layer.readers == std::set<std::string>{"bulk"});
  CHECK(layer.most <= 1 << 20);
}

TEST_CASE("uploads: 64 requests race for one session: each byte is taken once, one finishes") {
  UploadFixture fixture;
  for (int round = 0; round < 5; ++round) {
    const UploadId id = fixture.start();
    std::atomic<int> appended{0};
    std::atomic<int> finished{0};
    std::atomic<int> unexpected{0};
    std::vector<std::thread> clients;
    const Digest digest = Digest::of(sha256, "0123456789");
    for (int client = 0; client < 64; ++client) {
      clients.emplace_back([&, client] {
        // Refusals that a race may bring; anything else is wrong.
        const auto look = [&](const auto& result, std::atomic<int>& count) {
          if (result) {
            ++count;
          } else if (const Errc why = result.error().code();
                     why != Errc::upload_busy && why != Errc::range_invalid && why != Errc::upload_unknown) {
            ++unexpected;
          }
        };
        TextSource chunk("01234");
        look(sync_wait(fixture.uploads->append(repository, id, chunk, ChunkRange{0, 4}, fixture.actor)),
             appended);
        if (client % 4 == 0) {
          TextSource rest("56789");
          look(sync_wait(
                   fixture.uploads->finish(repository, id, rest, ChunkRange{5, 9}, digest, fixture.actor)),
               finished);
        } else {
          static_cast<void>(sync_wait(fixture.uploads->offset(repository, id, fixture.actor)));
        }
      });
    }
    for (auto& client : clients) client.join();
    CHECK(appended == 1);
    // Nobody came through with the second half at the right moment: then it is still to be had.
    if (finished == 0) {
      REQUIRE(fixture.finish(id, digest, "56789", ChunkRange{5, 9}).has_value());
      ++finished;
    }
    CHECK(finished == 1);
    CHECK(unexpected == 0);
    CHECK(fixture.stored(digest) == "0123456789");
    static_cast<void>(sync_wait(fixture.uploads->cancel(repository, id, fixture.actor)));
  }
  CHECK(fixture.files("uploads") == 0);
  CHECK(fixture.count("uploads") == 0);
}

// A body during which somebody else asks how far the upload is.
class AskingSource final : public ByteSource {
 public:
  AskingSource(UploadFixture& fixture, UploadId id, std::string text)
      : fixture_(fixture), id_(std::move(id)), text_(std::move(text)) {}
  Task<Result<std::size_t>> read_full(ByteSpan out) override {
    const auto offset = co_await fixture_.uploads->offset(repository, id_, fixture_.actor);
    answers.push_back(offset ? *offset : UINT64_MAX);
    co_return co_await text_.read_full(out);
  }
  std::optional<std::uint64_t> length() const override { return text_.length(); }

  std::vector<std::uint64_t> answers;

 private:
  UploadFixture& fixture_;
  const UploadId id_;
  TextSource text_;
};

TEST_CASE("uploads: while a request is at work, the offset is what was acknowledged before it (I1)") {
  UploadFixture fixture;
  for (const std::size_t size : {std::size_t{1000}, std::size_t{3'000'000}}) {
    const UploadId id = fixture.start();
    const std::string text = content(7 + size);
    REQUIRE(fixture.append(id, text.substr(0, 7)).value() == 7);
    AskingSource source(fixture, id, text.substr(7));
    REQUIRE(sync_wait(fixture.uploads->append(repository, id, source, std::nullopt, fixture.actor)).value() ==
            text.size());
    REQUIRE_FALSE(source.answers.empty());
    for (const std::uint64_t answer : source.answers) CHECK(answer == 7);
    CHECK(fixture.offset(id).value() == text.size());
    REQUIRE(fixture.finish(id, Digest::of(sha256, text)).has_value());
    CHECK((fixture.stored(Digest::of(sha256, text)) == text));
  }
}

TEST_CASE("uploads: sessions are bounded, and cancelled ones leave nothing (I10)") {
  UploadsSettings settings;
  settings.max_sessions = 2;
  UploadFixture fixture(ReferenceMode::strict, settings);
  const UploadId first = fixture.start(), second = fixture.start();
  REQUIRE(fixture.append(first, content(100'000)).has_value());
  REQUIRE(fixture.append(second, "x").has_value());
  CHECK(code(fixture.uploads->start(repository, fixture.actor, sha256)) == Errc::too_many_requests);
  REQUIRE(sync_wait(fixture.uploads->cancel(repository, first, fixture.actor)).has_value());
  CHECK(fixture.files("uploads") == 1);
  CHECK(fixture.count("uploads") == 1);
  CHECK(fixture.uploads->start(repository, fixture.actor, sha256).has_value());
}

TEST_CASE("uploads: a chunk that is refused writes nothing down (I10)") {
  UploadFixture fixture;
  const UploadId id = fixture.start();
  const auto before = fixture.writer->statistics().writes;
  CHECK(code(fixture.append(id, "wrong", ChunkRange{7, 11})) == Errc::range_invalid);
  CHECK(code(fixture.append(id, "wrong", ChunkRange{0, 11})) == Errc::size_invalid);
  CHECK(fixture.append(id, "").value() == 0);
  CHECK(fixture.writer->statistics().writes == before);
  CHECK(fixture.append(id, "right", ChunkRange{0, 4}).value() == 5);
}

// Throws in the middle of a body, as the network layer does when memory is short.
class ThrowingSource final : public ByteSource {
 public:
  Task<Result<std::size_t>> read_full(ByteSpan out) override {
    if (++reads_ == 2) throw std::bad_alloc();
    std::memset(out.data(), 'x', out.size());
    co_return out.size();
  }
  std::optional<std::uint64_t> length() const override { return 64 * 1024 * 1024; }

 private:
  int reads_ = 0;
};

TEST_CASE("uploads: an exception between two chunks waits for the one in flight") {
  UploadFixture fixture;
  const UploadId id = fixture.start();
  ThrowingSource source;
  CHECK_THROWS_AS(sync_wait(fixture.uploads->append(repository, id, source, std::nullopt, fixture.actor)),
                  std::bad_alloc);
  const auto kept = fixture.offset(id);
  REQUIRE(kept.has_value());
  REQUIRE(fixture.finish(id, Digest::of(sha256, std::string(*kept, 'x') + "end"), "end").has_value());
}

}  // namespace
}  // namespace stele
