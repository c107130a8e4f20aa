#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "base/media_type.hpp"
#include "tests/support/registry_fixture.hpp"
#include "tests/support/sqlite_statements.hpp"

namespace stele::manifests_test {
namespace {

RepositoryName name(const std::string& text) {
  return RepositoryName::parse(text).value();
}
Tag tag(const std::string& text) {
  return Tag::parse(text).value();
}

std::string descriptor(std::string_view type, const Digest& digest, std::size_t size) {
  return R"({"mediaType":")" + std::string(type) + R"(","digest":")" + digest.str() + R"(","size":)" +
         std::to_string(size) + "}";
}

std::string image(const Digest& config, const std::string& more = "") {
  return R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_manifest) + R"(","config":)" +
         descriptor("application/vnd.oci.image.config.v1+json", config, 2) + R"(,"layers":[])" + more + "}";
}

Result<PushedManifest> push(RegistryFixture& fixture, const std::string& repository, Reference reference,
                            const std::string& bytes, std::vector<Tag> tags = {},
                            std::string_view type = media_type::oci_manifest) {
  const auto manifest = Manifest::parse(type, bytes);
  REQUIRE(manifest.has_value());
  return sync_wait(
      fixture.registry->put_manifest(ManifestPush{name(repository), std::move(reference), std::move(tags),
                                                  *manifest, bytes, DigestAlgorithm::sha256, fixture.actor}));
}

Result<catalog::StoredManifest> pull(RegistryFixture& fixture, const std::string& repository,
                                     const Reference& reference) {
  const auto repository_name = name(repository);
  return sync_wait(fixture.registry->manifest(repository_name, reference));
}

Errc code(const auto& result) {
  return result ? Errc{-1} : result.error().code();
}

TEST_CASE("registry: what is pushed comes back bit by bit, by tag and by digest, with its record (I4)") {
  RegistryFixture fixture;
  const std::string bytes = image(fixture.push_blob("a/b", "{}")) + "\n ";
  const auto pushed = push(fixture, "a/b", tag("v1"), bytes);
  REQUIRE(pushed.has_value());
  CHECK(pull(fixture, "a/b", tag("v1"))->bytes == bytes);
  CHECK(pull(fixture, "a/b", pushed->digest)->bytes == bytes);
  CHECK(code(pull(fixture, "a/b", tag("v2"))) == Errc::manifest_unknown);
  CHECK(code(pull(fixture, "a/c", tag("v1"))) == Errc::name_unknown);
  CHECK(fixture.count(
            "events WHERE action = 'manifest.push' AND actor = 'tester' AND request_id = 'request-1'") == 1);
  CHECK(fixture.count("events WHERE action = 'tag.set' AND tag = 'v1'") == 1);
  CHECK(fixture.count("tag_history") == 1);

  SECTION("the same digest again changes nothing") {
    REQUIRE(push(fixture, "a/b", tag("v1"), bytes).has_value());
    CHECK(fixture.count("tag_history") == 1);
    CHECK(fixture.count("manifests") == 1);
  }
  SECTION("a tag moves, and its history knows from where") {
    const std::string other = image(fixture.push_blob("a/b", "{ }"));
    REQUIRE(push(fixture, "a/b", tag("v1"), other).has_value());
    CHECK(pull(fixture, "a/b", tag("v1"))->bytes == other);
    CHECK(pull(fixture, "a/b", pushed->digest)->bytes == bytes);
    CHECK(fixture.count("tag_history WHERE previous_digest = '" + pushed->digest.str() + "'") == 1);
  }
  SECTION("a wrong digest is refused") {
    CHECK(code(push(fixture, "a/b", Digest::of(DigestAlgorithm::sha256, "x"), bytes)) ==
          Errc::digest_mismatch);
  }
}

TEST_CASE("registry: a manifest whose content is missing is refused, all of it (I2)") {
  RegistryFixture fixture;
  const Digest missing = Digest::of(DigestAlgorithm::sha256, "never pushed");
  const std::string bytes = image(missing);
  CHECK(code(push(fixture, "a", Digest::of(DigestAlgorithm::sha256, bytes), bytes, {tag("x"), tag("y")})) ==
        Errc::manifest_reference_unknown);
  CHECK(fixture.count("manifests") == 0);
  CHECK(fixture.count("tags") == 0);
  CHECK(fixture.count("events") == 0);
  // Content of another repository does not count (I9).
  const std::string elsewhere = image(fixture.push_blob("b", "{}"));
  CHECK(code(push(fixture, "a", tag("x"), elsewhere)) == Errc::manifest_reference_unknown);

  RegistryFixture sparse(ReferenceMode::sparse);
  CHECK(push(sparse, "a", tag("x"), bytes).has_value());
}

TEST_CASE("registry: foreign layers and missing subjects are accepted") {
  RegistryFixture fixture;
  const Digest absent = Digest::of(DigestAlgorithm::sha256, "elsewhere");
  const Digest config = fixture.push_blob("a", "{}");
  const std::string bytes = R"({"schemaVersion":2,"config":)" + descriptor("application/x", config, 2) +
                            R"(,"layers":[)" +
                            descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar", absent, 9) +
                            R"(],"subject":)" + descriptor(media_type::oci_manifest, absent, 9) + "}";
  const auto pushed = push(fixture, "a", tag("x"), bytes);
  REQUIRE(pushed.has_value());
  CHECK(pushed->subject == absent);
}

TEST_CASE("registry: deletion keeps what something needs (I2)") {
  RegistryFixture fixture;
  const Digest config = fixture.push_blob("a", "{}");
  const auto child = push(fixture, "a", tag("child"), image(config));
  const std::string bytes = R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) +
                            R"(","manifests":[)" + descriptor(media_type::oci_manifest, child->digest, 9) +
                            "]}";
  const auto index = push(fixture, "a", tag("index"), bytes, {}, media_type::oci_index);
  REQUIRE(index.has_value());
  const auto remove = [&](Reference reference) {
    return sync_wait(fixture.registry->delete_manifest(name("a"), reference, fixture.actor));
  };
  CHECK(code(sync_wait(fixture.registry->delete_blob(name("a"), config, fixture.actor))) ==
        Errc::blob_in_use);
  CHECK(code(remove(child->digest)) == Errc::refused_by_policy);
  CHECK(pull(fixture, "a", tag("child")).has_value());
  REQUIRE(remove(index->digest).has_value());
  CHECK(code(pull(fixture, "a", tag("index"))) == Errc::manifest_unknown);
  REQUIRE(remove(child->digest).has_value());
  CHECK(code(pull(fixture, "a", tag("child"))) == Errc::manifest_unknown);
  REQUIRE(sync_wait(fixture.registry->delete_blob(name("a"), config, fixture.actor)).has_value());
  CHECK(code(fixture.registry->blob_size(name("a"), config)) == Errc::blob_unknown);
  CHECK(code(remove(child->digest)) == Errc::manifest_unknown);
  CHECK(fixture.count("events WHERE action = 'tag.delete'") == 2);
  CHECK(fixture.count("events WHERE action = 'manifest.delete'") == 2);
}

TEST_CASE("registry: a mount makes content visible in one repository more (I9)") {
  RegistryFixture fixture;
  const Digest blob = fixture.push_blob("a", "content");
  const auto mount = [&](std::optional<RepositoryName> from, const Digest& digest, const std::string& into) {
    return sync_wait(
               fixture.registry->mount_blob(BlobMount{name(into), digest, std::move(from), fixture.actor}))
        .value();
  };
  CHECK(code(fixture.registry->blob_size(name("b"), blob)) == Errc::blob_unknown);
  CHECK_FALSE(mount(name("c"), blob, "b"));
  CHECK(mount(name("a"), blob, "b"));
  CHECK(fixture.registry->blob_size(name("b"), blob).value() == 7);
  CHECK(mount(std::nullopt, blob, "d"));
  CHECK_FALSE(mount(std::nullopt, Digest::of(DigestAlgorithm::sha256, "no"), "d"));
  CHECK(fixture.count("events WHERE action = 'blob.mount'") == 2);
}

// Follows `next` from the first page to the last; each referrer is seen once. Returns how many.
template <typename List>
std::size_t follow_all_pages(const List& list) {
  std::set<std::string> seen;
  std::int64_t after = 0;
  int pages = 0;
  do {
    const ReferrersPage page = list(std::nullopt, after);
    std::size_t bytes = 0;
    for (const std::string& text : page.descriptors) {
      bytes += text.size();
      CHECK(seen.insert(text).second);
    }
    CHECK(bytes <= Registry::referrers_page_bytes);
    after = page.next;
    REQUIRE(++pages < 20);
  } while (after != 0);
  CHECK(pages > 1);
  return seen.size();
}

TEST_CASE("registry: referrers are listed, filtered, paged and merged with the fallback tag") {
  RegistryFixture fixture;
  const Digest config = fixture.push_blob("a", "{}");
  const Digest subject = Digest::of(DigestAlgorithm::sha256, "subject");
  const auto list = [&](std::optional<std::string> type, std::int64_t after = 0) {
    const auto repository = name("a");
    return sync_wait(fixture.registry->referrers(repository, subject, std::move(type), after)).value();
  };
  CHECK(list(std::nullopt).descriptors.empty());
  for (const std::string type : {"x", "y"}) {
    const std::string bytes = image(config, R"(,"artifactType":"application/)" + type + R"(","subject":)" +
                                                descriptor(media_type::oci_manifest, subject, 7));
    REQUIRE(push(fixture, "a", Digest::of(DigestAlgorithm::sha256, bytes), bytes).has_value());
  }
  CHECK(list(std::nullopt).descriptors.size() == 2);
  CHECK(list("application/x").descriptors.size() == 1);
  CHECK(list("application/z").descriptors.empty());

  const auto old = push(fixture, "a", tag("old"), image(config, R"(,"annotations":{"old":"signature"})"));
  const std::string fallback = R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) +
                               R"(","manifests":[)" + descriptor(media_type::oci_manifest, old->digest, 9) +
                               "]}";
  REQUIRE(push(fixture, "a", tag("sha256-" + std::string(subject.hex())), fallback, {}, media_type::oci_index)
              .has_value());
  CHECK(list(std::nullopt).descriptors.size() == 3);
  CHECK(list("application/x").descriptors.size() == 1);

  // Pages are cut by bytes; following `next` shows each referrer once.
  const std::string long_value(600'000, 'v');
  for (int i = 0; i < 10; ++i) {
    const std::string bytes =
        image(config, R"(,"annotations":{"k":")" + long_value + std::to_string(i) + R"("},"subject":)" +
                          descriptor(media_type::oci_manifest, subject, 7));
    REQUIRE(push(fixture, "a", Digest::of(DigestAlgorithm::sha256, bytes), bytes).has_value());
  }
  CHECK(follow_all_pages(list) == 13);

  // So they are inside the fallback tag's list, which limits.manifest_bytes may allow to be larger than a
  // page.
  std::string entries = descriptor(media_type::oci_manifest, old->digest, 9);
  for (int i = 0; i < 10; ++i) {
    const auto listed = push(fixture, "a", tag("old"),
                             image(config, R"(,"annotations":{"n":")" + std::to_string(i) + R"("})"));
    std::string entry = descriptor(media_type::oci_manifest, listed->digest, 9);
    entry.pop_back();
    entries += "," + entry + R"(,"annotations":{"k":")" + long_value + R"("}})";
  }
  const std::string large = R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) +
                            R"(","manifests":[)" + entries + "]}";
  REQUIRE(push(fixture, "a", tag("sha256-" + std::string(subject.hex())), large, {}, media_type::oci_index)
              .has_value());
  CHECK(follow_all_pages(list) == 23);
}

TEST_CASE("registry: the fallback tag of a sha512 subject is found in both forms in use") {
  RegistryFixture fixture;
  const Digest config = fixture.push_blob("a", "{}");
  const Digest subject = Digest::of(DigestAlgorithm::sha512, "subject");
  const auto old = push(fixture, "a", tag("old"), image(config));
  const std::string fallback = R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) +
                               R"(","manifests":[)" + descriptor(media_type::oci_manifest, old->digest, 9) +
                               "]}";
  const std::size_t hex = GENERATE(std::size_t{64}, std::size_t{121});
  const Tag cut = tag("sha512-" + std::string(subject.hex().substr(0, hex)));
  REQUIRE(push(fixture, "a", cut, fallback, {}, media_type::oci_index).has_value());
  const auto repository = name("a");
  const auto page = sync_wait(fixture.registry->referrers(repository, subject, std::nullopt, 0));
  CHECK(page.value().descriptors.size() == 1);
}

TEST_CASE("registry: what a filter leaves out of a fallback tag's list costs no query (A11, I10)") {
  std::atomic<int> looked_up{0};
  const SqliteStatements statements([&](std::string_view sql) {
    if (sql.find("AND subject = $3") != std::string_view::npos) ++looked_up;
  });
  RegistryFixture fixture;
  const auto old = push(fixture, "a", tag("old"), image(fixture.push_blob("a", "{}")));
  const Digest subject = Digest::of(DigestAlgorithm::sha256, "subject");
  std::string entries = descriptor(media_type::oci_manifest, old->digest, 9);
  for (int i = 1; i < 100; ++i) entries += "," + descriptor(media_type::oci_manifest, old->digest, 9);
  const std::string fallback = R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_index) +
                               R"(","manifests":[)" + entries + "]}";
  REQUIRE(push(fixture, "a", tag("sha256-" + std::string(subject.hex())), fallback, {}, media_type::oci_index)
              .has_value());
  const auto repository = name("a");
  const auto listed = [&](std::optional<std::string> type) {
    const auto page = sync_wait(fixture.registry->referrers(repository, subject, std::move(type), 0));
    return page.value().descriptors.size();
  };
  CHECK(listed("application/none") == 0);
  CHECK(looked_up == 0);
  CHECK(listed(std::nullopt) == 100);
  CHECK(looked_up == 100);  // so that the test sees them
}

// As an I/O thread: what it starts goes on here, until it waits for somebody.
class OneThread final : public Executor {
 public:
  void post(std::coroutine_handle<> handle) override {
    const std::lock_guard lock(mutex_);
    ready_.push_back(handle);
    changed_.notify_one();
  }
  template <class F>
  void run(F work) {
    const Scope scope(*this);
    work();
  }
  void run_until(const bool& done) {
    const Scope scope(*this);
    while (!done) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !ready_.empty(); });
      const auto next = ready_.front();
      ready_.pop_front();
      lock.unlock();
      next.resume();
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::coroutine_handle<>> ready_;
};

TEST_CASE(
    "registry: a manifest of more than 64 KiB is parsed by a pool, not where requests are answered (A12)") {
  RegistryFixture fixture;
  std::promise<void> ended;
  const std::shared_future<void> end = ended.get_future().share();
  const auto wait = [end] { end.wait(); };
  auto first = fixture.db.start(wait), second = fixture.db.start(wait);  // all that the pool has
  const Digest config = Digest::of(DigestAlgorithm::sha256, "{}");
  const auto of_size = [&](std::size_t bytes) {
    const std::string bare = image(config, R"(,"annotations":{"x":""})");
    return image(config, R"(,"annotations":{"x":")" + std::string(bytes - bare.size(), 'x') + R"("})");
  };
  const std::string small = of_size(64 * 1024), large = of_size(64 * 1024 + 1);
  REQUIRE((small.size() == 64 * 1024 && large.size() == 64 * 1024 + 1));
  std::optional<Result<Manifest>> of_small, of_large;
  bool parsed = false;
  OneThread io;
  const auto parse = [&](const std::string& bytes, std::optional<Result<Manifest>>& into,
                         bool last) -> Task<void> {
    into.emplace(co_await fixture.registry->parse_manifest(media_type::oci_manifest, bytes));
    parsed = last;
  };
  io.run([&] { spawn(parse(small, of_small, false)); });
  REQUIRE(of_small.has_value());
  CHECK(of_small->has_value());
  io.run([&] { spawn(parse(large, of_large, true)); });
  CHECK_FALSE(of_large.has_value());  // the thread is back; the pool has not come to it
  ended.set_value();
  io.run_until(parsed);
  REQUIRE(of_large.has_value());
  CHECK(of_large->has_value());
}

TEST_CASE("registry: what a manifest names again costs no statement of the writer (A12)") {
  std::atomic<int> begun{0};
  const SqliteStatements statements([&](std::string_view) { ++begun; });
  RegistryFixture fixture;
  const Digest blob = fixture.push_blob("a", "{}");
  const auto cost = [&](int times) {
    const std::string layer = descriptor("application/vnd.oci.image.layer.v1.tar", blob, 2);
    std::string layers = layer;
    for (int i = 1; i < times; ++i) layers += "," + layer;
    std::string bytes = image(blob, R"(,"annotations":{"n":")" + std::to_string(times) + R"("})");
    bytes.replace(bytes.find("[]"), 2, "[" + layers + "]");
    const int before = begun;
    REQUIRE(push(fixture, "a", tag("t" + std::to_string(times)), bytes).has_value());
    return begun - before;
  };
  cost(1);
  const int once = cost(2);
  CHECK(cost(1000) == once);
}

TEST_CASE("registry: 16 clients race for one tag; the history is one chain") {
  RegistryFixture fixture;
  const Digest config = fixture.push_blob("a", "{}");
  std::vector<std::thread> clients;
  for (int client = 0; client < 16; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; i < 20; ++i) {
        const std::string bytes =
            image(config, R"(,"annotations":{"n":")" + std::to_string(client * 100 + i) + R"("})");
        const auto manifest = Manifest::parse(media_type::oci_manifest, bytes);
        const auto pushed = sync_wait(fixture.registry->put_manifest(ManifestPush{
            name("a"), tag("hot"), {}, *manifest, bytes, DigestAlgorithm::sha256, fixture.actor}));
        if (!pushed) std::abort();
      }
    });
  }
  for (auto& client : clients) client.join();
  CHECK(fixture.count("tag_history") == 320);
  // Each binding's predecessor is the one before it.
  CHECK(fixture.count(
            "tag_history a JOIN tag_history b ON b.id = a.id + 1 WHERE b.previous_digest = a.digest") == 319);
}

}  // namespace
}  // namespace stele::manifests_test
