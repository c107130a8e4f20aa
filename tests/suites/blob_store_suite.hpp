#pragma once
// What every BlobStore must do (storage/blob_store.hpp): I1 (across a restart), I6, I7. Each backend's test
// makes a fixture and calls the functions from a TEST_CASE of its own.
// Long: one list of requirements, which a new backend is held against from its first line to its last.

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/hasher.hpp"
#include "storage/blob_store.hpp"
#include "storage/store_latch.hpp"
#include "tests/support/catch.hpp"

namespace stele::suites {

// An empty store, and what stands for the process that uses it.
class BlobStoreFixture {
 public:
  virtual ~BlobStoreFixture() = default;
  virtual BlobStore& store() = 0;
  virtual StoreLatch& latch() = 0;
  // The store as a new process finds it; what was not acknowledged may be gone. Ends the life of store() and
  // latch(): the caller lets go of its writers and readers first, and asks for the store anew.
  virtual void restart() = 0;
};
using MakeBlobStore = std::function<std::unique_ptr<BlobStoreFixture>()>;

// Bytes that differ at every offset that matters, and per seed.
inline std::string content(std::size_t size, unsigned seed = 0) {
  std::string bytes(size, '\0');
  std::uint32_t state = seed * 2654435761u + 12345;
  for (auto& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

inline Digest sha256(std::string_view bytes) {
  return Digest::of(DigestAlgorithm::sha256, bytes);
}

// For REQUIRE and CHECK: whether it worked, and if not, with the error in the test's report.
template <class T>
bool ok(const Result<T>& result) {
  if (!result) UNSCOPED_INFO(to_string(result.error().code()) << ": " << result.error().message());
  return result.has_value();
}

template <class T>
Errc code_of(const Result<T>& result) {
  REQUIRE_FALSE(result.has_value());
  CHECK_FALSE(result.error().message().empty());
  return result.error().code();
}

inline std::string read_all(const BlobReader& reader) {
  std::string bytes(reader.size(), '\0');
  const auto got = reader.read_at(0, std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  REQUIRE(ok(got));
  bytes.resize(*got);
  return bytes;
}

inline std::string read_blob(BlobStore& store, const Digest& digest) {
  const auto reader = store.open(digest);
  REQUIRE(ok(reader));
  return read_all(**reader);
}

inline std::unique_ptr<BlobWriter> begin(BlobStore& store, const UploadId& id, std::string_view bytes) {
  auto writer = store.create(id);
  REQUIRE(ok(writer));
  REQUIRE(ok((*writer)->append(as_bytes(bytes))));
  return std::move(*writer);
}

inline Digest push(BlobStore& store, std::string_view bytes,
                   DigestAlgorithm algorithm = DigestAlgorithm::sha256) {
  const UploadId id = UploadId::random();
  REQUIRE(ok(begin(store, id, bytes)->sync()));
  const Digest digest = Digest::of(algorithm, bytes);
  REQUIRE(ok(store.publish(id, digest)));
  return digest;
}

inline std::set<std::string> uploads_of(BlobStore& store) {
  std::set<std::string> found;
  REQUIRE(ok(store.list_uploads([&](const auto& file) { found.insert(file.id.str()); },
                                [&](const std::string& path) { FAIL("foreign: " + path); })));
  return found;
}

inline std::set<std::string> blobs_of(BlobStore& store) {
  std::set<std::string> found;
  REQUIRE(ok(store.list_blobs([&](const auto& file) { found.insert(file.digest.str()); },
                              [&](const std::string& path) { FAIL("foreign: " + path); })));
  return found;
}

inline void publishes_what_was_appended(const MakeBlobStore& make) {
  const auto fixture = make();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, std::size_t{20} << 20}) {
    for (const auto algorithm : {DigestAlgorithm::sha256, DigestAlgorithm::sha512}) {
      CAPTURE(size, to_string(algorithm));
      const std::string bytes = content(size, 1);
      const Digest digest = push(fixture->store(), bytes, algorithm);
      CHECK(read_blob(fixture->store(), digest) == bytes);
      fixture->restart();
      CHECK(read_blob(fixture->store(), digest) == bytes);
    }
  }
  CHECK(uploads_of(fixture->store()).empty());
}

inline void appends_in_order(const MakeBlobStore& make) {
  const auto fixture = make();
  auto& store = fixture->store();
  const UploadId id = UploadId::random();
  const std::string bytes = content(3 << 20);
  auto writer = begin(store, id, "");
  CHECK(writer->size() == 0);
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t step = std::min(bytes.size() - at, at % 7919 + 1);
    REQUIRE(ok(writer->append(as_bytes(std::string_view(bytes).substr(at, step)))));
    at += step;
    REQUIRE(writer->size() == at);
    if (at % 5 == 0) REQUIRE(ok(writer->sync()));
  }
  const auto reader = store.open_upload(id);
  REQUIRE(ok(reader));
  REQUIRE(ok(writer->sync()));
  REQUIRE(ok(writer->sync()));  // again, with nothing new
  CHECK(read_all(**store.open_upload(id)) == bytes);
  REQUIRE(ok(store.publish(id, sha256(bytes))));
  CHECK(read_blob(store, sha256(bytes)) == bytes);
  CHECK(code_of(store.open_upload(id)) == Errc::upload_unknown);
}

inline void reads_ranges(const MakeBlobStore& make) {
  const auto fixture = make();
  const std::string bytes = content(100'000);
  const auto opened = fixture->store().open(push(fixture->store(), bytes));
  REQUIRE(ok(opened));
  const BlobReader& reader = **opened;
  CHECK(reader.size() == bytes.size());
  for (const std::size_t offset : {0u, 1u, 65'536u, 99'999u, 100'000u, 100'001u, 4'000'000'000u}) {
    for (const std::size_t length : {0u, 1u, 4096u, 100'000u, 200'000u}) {
      CAPTURE(offset, length);
      std::vector<std::byte> out(length);
      const auto got = reader.read_at(offset, out);
      REQUIRE(ok(got));
      const std::string expected = offset < bytes.size() ? bytes.substr(offset, length) : "";
      CHECK(as_text(ByteView(out).first(*got)) == expected);
      const auto once = reader.read_once(offset, out);
      REQUIRE(ok(once));
      CHECK(as_text(ByteView(out).first(*once)) == expected);
    }
  }
}

inline void resumes_where_it_was_told(const MakeBlobStore& make) {
  const auto fixture = make();
  const UploadId id = UploadId::random();
  const std::string first = content(70'000, 1);
  const std::string second = content(50'000, 2);
  {
    const auto writer = begin(fixture->store(), id, first);
    REQUIRE(ok(writer->sync()));
    REQUIRE(ok(writer->append(as_bytes("written, never acknowledged"))));
  }
  fixture->restart();
  auto& store = fixture->store();
  {
    const auto writer = store.resume(id, first.size());
    REQUIRE(ok(writer));
    CHECK((*writer)->size() == first.size());
    REQUIRE(ok((*writer)->append(as_bytes(second))));
    REQUIRE(ok((*writer)->sync()));
  }
  {
    const auto same = store.resume(id, first.size() + second.size());
    REQUIRE(ok(same));
    REQUIRE(ok((*same)->sync()));
  }
  REQUIRE(ok(store.publish(id, sha256(first + second))));
  CHECK(read_blob(store, sha256(first + second)) == first + second);
}

inline void ends_sessions_whose_bytes_are_gone(const MakeBlobStore& make) {
  const auto fixture = make();
  auto& store = fixture->store();
  const UploadId id = UploadId::random();
  REQUIRE(ok(begin(store, id, "twelve bytes")->sync()));
  CHECK(code_of(store.resume(id, 13)) == Errc::upload_unknown);
  CHECK(code_of(store.resume(UploadId::random(), 0)) == Errc::upload_unknown);
  CHECK(ok(store.resume(id, 12)));
  CHECK(ok(store.resume(id, 0)));
}

inline void knows_what_is_missing(const MakeBlobStore& make) {
  const auto fixture = make();
  auto& store = fixture->store();
  CHECK(code_of(store.open(sha256("nobody pushed this"))) == Errc::blob_unknown);
  CHECK(code_of(store.open(Digest::of(DigestAlgorithm::sha512, "nor this"))) == Errc::blob_unknown);
  CHECK(code_of(store.open_upload(UploadId::random())) == Errc::upload_unknown);
  CHECK(code_of(store.publish(UploadId::random(), sha256("x"))) == Errc::upload_unknown);
  CHECK(ok(store.discard(UploadId::random())));
  CHECK(ok(store.remove(sha256("nobody pushed this"))));
}

inline void refuses_a_session_that_exists(const MakeBlobStore& make) {
  const auto fixture = make();
  auto& store = fixture->store();
  const UploadId id = UploadId::random();
  const auto writer = begin(store, id, "first");
  CHECK_FALSE(store.create(id).has_value());
  CHECK(read_all(**store.open_upload(id)) == "first");
}

inline void discards(const MakeBlobStore& make) {
  const auto fixture = make();
  auto& store = fixture->store();
  const UploadId id = UploadId::random();
  begin(store, id, "given up").reset();
  CHECK(uploads_of(store) == std::set{id.str()});
  REQUIRE(ok(store.discard(id)));
  CHECK(uploads_of(store).empty());
  CHECK(code_of(store.resume(id, 0)) == Errc::upload_unknown);
}

inline void keeps_readers_of_removed_blobs(const MakeBlobStore& make) {
  const auto fixture = make();
  auto& store = fixture->store();
  const std::string bytes = content(300'000);
  const Digest digest = push(store, bytes);
  const auto reader = store.open(digest);
  REQUIRE(ok(reader));
  REQUIRE(ok(store.remove(digest)));
  CHECK(code_of(store.open(digest)) == Errc::blob_unknown);
  CHECK(read_all(**reader) == bytes);
  CHECK(blobs_of(store).empty());
  push(store, bytes);
  CHECK(read_blob(store, digest) == bytes);
}

// Out of the store, and in nobody's way: neither when the same content comes again nor when that is damaged
// too.
inline void sets_blobs_aside(const MakeBlobStore& make) {
  const auto fixture = make();
  CHECK(code_of(fixture->store().set_aside(sha256("nobody pushed this"))) == Errc::blob_unknown);
  const Digest digest = push(fixture->store(), "damaged");
  const Digest other = push(fixture->store(), "sound");
  for (int i = 0; i < 2; ++i) {
    REQUIRE(ok(fixture->store().set_aside(digest)));
    CHECK(code_of(fixture->store().open(digest)) == Errc::blob_unknown);
    fixture->restart();
    CHECK(blobs_of(fixture->store()) == std::set{other.str()});
    push(fixture->store(), "damaged");
    CHECK(read_blob(fixture->store(), digest) == "damaged");
  }
}

inline void replaces_orphans(const MakeBlobStore& make) {
  const auto fixture = make();
  auto& store = fixture->store();
  const std::string bytes = content(1000);
  const UploadId id = UploadId::random();
  REQUIRE(ok(begin(store, id, "bytes of a publication that nobody recorded")->sync()));
  REQUIRE(ok(store.publish(id, sha256(bytes))));
  push(store, bytes);
  CHECK(read_blob(store, sha256(bytes)) == bytes);
}

inline void lists_what_is_there(const MakeBlobStore& make) {
  const auto fixture = make();
  auto& store = fixture->store();
  CHECK(uploads_of(store).empty());
  CHECK(blobs_of(store).empty());

  const Timestamp before = SystemClock().now() + -5'000'000;
  std::set<std::string> blobs;
  std::set<std::string> uploads;
  for (unsigned i = 0; i < 40; ++i) {
    const auto algorithm = i % 2 ? DigestAlgorithm::sha256 : DigestAlgorithm::sha512;
    blobs.insert(push(store, content(i, i), algorithm).str());
    const UploadId id = UploadId::random();
    begin(store, id, content(i)).reset();
    uploads.insert(id.str());
  }
  fixture->restart();
  CHECK(uploads_of(fixture->store()) == uploads);
  CHECK(blobs_of(fixture->store()) == blobs);

  // Sizes and times; and callbacks may remove what they are shown.
  auto& again = fixture->store();
  std::uint64_t total = 0;
  const auto foreign = [](const std::string& path) { FAIL("foreign: " + path); };
  REQUIRE(ok(again.list_uploads(
      [&](const BlobStore::UploadFile& file) {
        total += file.size;
        CHECK(file.modified > before);
        CHECK(ok(again.discard(file.id)));
      },
      foreign)));
  CHECK(total == 39 * 40 / 2);
  total = 0;
  REQUIRE(ok(again.list_blobs(
      [&](const BlobStore::BlobFile& file) {
        total += file.size;
        CHECK(file.modified > before);
        CHECK(ok(again.remove(file.digest)));
      },
      foreign)));
  CHECK(total == 39 * 40 / 2);
  CHECK(uploads_of(again).empty());
  CHECK(blobs_of(again).empty());
}

// I7: what is there is still read, nothing is changed.
inline void obeys_the_latch(const MakeBlobStore& make) {
  const auto fixture = make();
  auto& store = fixture->store();
  const Digest digest = push(store, "kept");
  const UploadId id = UploadId::random();
  auto writer = begin(store, id, "begun");
  REQUIRE(ok(writer->sync()));
  fixture->latch().close("fsync of something failed: Input/output error");

  CHECK(code_of(store.create(UploadId::random())) == Errc::read_only);
  CHECK(code_of(store.resume(id, 0)) == Errc::read_only);
  CHECK(code_of(writer->append(as_bytes("more"))) == Errc::read_only);
  CHECK(code_of(writer->sync()) == Errc::read_only);
  CHECK(code_of(store.publish(id, sha256("begun"))) == Errc::read_only);
  CHECK(code_of(store.discard(id)) == Errc::read_only);
  CHECK(code_of(store.remove(digest)) == Errc::read_only);
  CHECK(code_of(store.set_aside(digest)) == Errc::read_only);

  CHECK(read_blob(store, digest) == "kept");
  CHECK(read_all(**store.open_upload(id)) == "begun");
  CHECK(uploads_of(store) == std::set{id.str()});
  CHECK(blobs_of(store) == std::set{digest.str()});
  CHECK(ok(store.space()));

  writer.reset();
  fixture->restart();
  REQUIRE(ok(fixture->store().publish(id, sha256("begun"))));
  CHECK(read_blob(fixture->store(), sha256("begun")) == "begun");
}

inline void serves_many_threads(const MakeBlobStore& make) {
  const auto fixture = make();
  auto& store = fixture->store();
  constexpr unsigned threads = 8;
  constexpr unsigned each = 24;
  // Catch2's assertions are not thread-safe: count, and check afterwards.
  std::atomic<unsigned> right{0};
  std::vector<std::thread> pool;
  for (unsigned t = 0; t < threads; ++t) {
    pool.emplace_back([&store, &right, t] {
      for (unsigned i = 0; i < each; ++i) {
        const std::string bytes = content(5000 + i, t * each + i);
        const UploadId id = UploadId::random();
        auto writer = store.create(id);
        if (!writer || !(*writer)->append(as_bytes(bytes)) || !(*writer)->sync()) return;
        if (!store.publish(id, sha256(bytes))) return;
        const auto reader = store.open(sha256(bytes));
        if (!reader) return;
        std::string read((*reader)->size(), '\0');
        const auto got = (*reader)->read_at(0, std::as_writable_bytes(std::span(read.data(), read.size())));
        if (got && *got == bytes.size() && read == bytes) ++right;
        if (i % 3 == 0 && !store.remove(sha256(bytes))) return;
      }
    });
  }
  for (auto& thread : pool) thread.join();
  CHECK(right == threads * each);
  CHECK(blobs_of(store).size() == threads * each * 2 / 3);
}

struct BlobStoreRequirement {
  const char* name;
  void (*check)(const MakeBlobStore&);
};
inline constexpr BlobStoreRequirement blob_store_requirements[] = {
    {"publishes what was appended", publishes_what_was_appended},
    {"appends in order", appends_in_order},
    {"reads ranges", reads_ranges},
    {"resumes where it was told", resumes_where_it_was_told},
    {"ends sessions whose bytes are gone", ends_sessions_whose_bytes_are_gone},
    {"knows what is missing", knows_what_is_missing},
    {"refuses a session that exists", refuses_a_session_that_exists},
    {"discards", discards},
    {"keeps readers of removed blobs", keeps_readers_of_removed_blobs},
    {"sets blobs aside", sets_blobs_aside},
    {"replaces orphans", replaces_orphans},
    {"lists what is there", lists_what_is_there},
    {"obeys the latch", obeys_the_latch},
    {"serves many threads", serves_many_threads},
};

// To be called from a TEST_CASE: one section per requirement.
inline void blob_store_suite(const MakeBlobStore& make) {
  for (const auto& requirement : blob_store_requirements) {
    DYNAMIC_SECTION(requirement.name) {
      requirement.check(make);
    }
  }
}

}  // namespace stele::suites
