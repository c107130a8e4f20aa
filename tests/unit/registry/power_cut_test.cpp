// I1, I2: every moment at which a registry under load can lose its power or be killed, replayed. What was
// acknowledged before that moment is there afterwards, what was under way is there wholly or not at all, and
// nothing is left lying about.
// Long: what a load does, what is expected of it and what a restart finds are three views of the same keys.
//
// STELE_CRASH_STATES in the environment: how many states to look at (default: as many as fit a few seconds).

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <random>
#include <set>
#include <thread>

#include "base/media_type.hpp"
#include "gc/sweep.hpp"
#include "tests/support/effort.hpp"
#include "tests/support/recorded_disk.hpp"
#include "tests/support/registry_fixture.hpp"
#include "tests/support/seed.hpp"

namespace stele::power_cut_test {
namespace {

RepositoryName name(const std::string& text) {
  return RepositoryName::parse(text).value();
}

struct Key {
  enum class Kind { blob, manifest, tag, upload };
  Kind kind;
  std::string repository;
  std::string name;
  auto operator<=>(const Key&) const = default;
  std::string str() const {
    constexpr const char* kinds[] = {"blob", "manifest", "tag", "upload"};
    return std::string(kinds[static_cast<std::size_t>(kind)]) + " " + repository + " " + name.substr(0, 20);
  }
};

// A digest, or how far an upload is; empty: absent.
using Values = std::map<Key, std::string>;

// What one request changes, and by which identifier its records are found.
struct Operation {
  std::string request;
  Values changes;
  bool recorded = true;  // leaves an event
};

// --- the load

// One client, with repositories of its own and some content that others push too.
class Pusher {
 public:
  Pusher(RegistryFixture& fixture, RecordedDisk& disk, std::vector<Operation>& operations, std::mutex& mutex,
         unsigned number)
      : fixture_(fixture),
        disk_(disk),
        operations_(operations),
        mutex_(mutex),
        number_(number),
        random_(chosen_seed().value_or(0) + number) {}

  void work(unsigned rounds) {
    for (unsigned round = 0; round < rounds; ++round) {
      const std::string repository = "team" + std::to_string(number_) + "/" + "ab"[round % 2];
      const std::string blob = push_blob(repository, round);
      const std::string image = push_image(repository, blob, {"latest", "v" + std::to_string(round)});
      if (round % 3 == 1) {
        push_image(repository, blob, {"1.0." + std::to_string(round)}, "release");
        push_refused(repository, blob, "1.0." + std::to_string(round));
      }
      if (round % 4 == 3 && round % 5 != 1) remove_tag(repository, "v" + std::to_string(round - 2));
      if (round % 5 == 4) remove_image(repository, image);
      if (round % 2) mount(repository, "team" + std::to_string(number_) + "/mounted", blob);
      if (round % 3 == 0) begin_upload(repository, round);
    }
  }

 private:
  // `act` makes the changes, and its success acknowledges them.
  template <class Act>
  void perform(const Values& changes, bool recorded, Act act) {
    std::size_t number = 0;
    audit::Actor actor{Principal("tester"), ""};
    {
      const std::lock_guard lock(mutex_);
      number = operations_.size();
      actor.request_id = "operation-" + std::to_string(number);
      operations_.push_back({actor.request_id, changes, recorded});
    }
    disk_.mark(2 * number);
    const auto result = act(actor);
    if (!result) throw std::runtime_error(actor.request_id + ": " + std::string(result.error().message()));
    disk_.mark(2 * number + 1);
  }

  std::string push_blob(const std::string& repository, unsigned round) {
    // Every third is one that other clients push at the same time.
    std::string content = round % 3 == 2 ? "shared " + std::to_string(round)
                                         : std::to_string(number_) + "/" + std::to_string(round);
    content.resize(100 + random_() % 3000, '.');
    if (round % 3 == 2) content.resize(700, '.');
    const auto algorithm = round % 5 ? DigestAlgorithm::sha256 : DigestAlgorithm::sha512;
    const Digest digest = Digest::of(algorithm, content);
    const auto where = name(repository);
    perform({{{Key::Kind::blob, repository, digest.str()}, digest.str()}}, true,
            [&](const audit::Actor& actor) -> Result<void> {
              const auto id = fixture_.uploads->start(where, actor, algorithm).value();
              TextSource rest(content);
              if (round % 2) {  // in chunks
                TextSource first(content.substr(0, content.size() / 2));
                const auto appended =
                    sync_wait(fixture_.uploads->append(where, id, first, std::nullopt, actor));
                if (!appended) return appended.error();
                TextSource second(content.substr(content.size() / 2));
                return sync_wait(fixture_.uploads->finish(where, id, second, std::nullopt, digest, actor));
              }
              return sync_wait(fixture_.uploads->finish(where, id, rest, std::nullopt, digest, actor));
            });
    return digest.str();
  }

  std::string image_of(const std::string& blob, const std::string& more) const {
    return R"({"schemaVersion":2,"mediaType":")" + std::string(media_type::oci_manifest) +
           R"(","config":{"mediaType":"a/b","digest":")" + blob +
           R"(","size":2},"layers":[],"annotations":{"x":")" + more + R"("}})";
  }

  Result<PushedManifest> put(const std::string& repository, const std::string& bytes,
                             const std::vector<std::string>& tags, const audit::Actor& actor) {
    const auto manifest = Manifest::parse(media_type::oci_manifest, bytes).value();
    std::vector<Tag> others;
    for (std::size_t i = 1; i < tags.size(); ++i) others.push_back(Tag::parse(tags[i]).value());
    ManifestPush push{name(repository),
                      Tag::parse(tags[0]).value(),
                      others,
                      manifest,
                      bytes,
                      DigestAlgorithm::sha256,
                      actor};
    return sync_wait(fixture_.registry->put_manifest(push));
  }

  std::string push_image(const std::string& repository, const std::string& blob,
                         const std::vector<std::string>& tags, const std::string& more = "") {
    const std::string bytes = image_of(blob, more);
    const std::string digest = Digest::of(DigestAlgorithm::sha256, bytes).str();
    Values changes{{{Key::Kind::manifest, repository, digest}, digest}};
    for (const auto& tag : tags) changes[{Key::Kind::tag, repository, tag}] = digest;
    perform(changes, true, [&](const audit::Actor& actor) { return put(repository, bytes, tags, actor); });
    return digest;
  }

  // The tag is immutable and has another digest: all that this leaves is its record.
  void push_refused(const std::string& repository, const std::string& blob, const std::string& tag) {
    perform({}, true, [&](const audit::Actor& actor) -> Result<void> {
      const auto pushed = put(repository, image_of(blob, "another"), {tag, "of-a-refused-push"}, actor);
      if (pushed || pushed.error().code() != Errc::refused_by_policy)
        return Error(Errc::io, "the push to " + tag + " was to be refused");
      return {};
    });
  }

  void remove_tag(const std::string& repository, const std::string& tag) {
    perform({{{Key::Kind::tag, repository, tag}, ""}}, true, [&](const audit::Actor& actor) {
      return sync_wait(fixture_.registry->delete_manifest(name(repository), Tag::parse(tag).value(), actor));
    });
  }

  // With the tags on it.
  void remove_image(const std::string& repository, const std::string& digest) {
    Values changes{{{Key::Kind::manifest, repository, digest}, ""}};
    for (const std::string tag : {"latest", "v4", "v9", "v14", "v19"}) {
      const auto has = sync_wait(fixture_.registry->manifest(name(repository), Tag::parse(tag).value()));
      if (has && has->digest.str() == digest) changes[{Key::Kind::tag, repository, tag}] = "";
    }
    perform(changes, true, [&](const audit::Actor& actor) {
      return sync_wait(
          fixture_.registry->delete_manifest(name(repository), Digest::parse(digest).value(), actor));
    });
  }

  void mount(const std::string& from, const std::string& to, const std::string& blob) {
    perform({{{Key::Kind::blob, to, blob}, blob}}, true, [&](const audit::Actor& actor) -> Result<void> {
      const BlobMount mount{name(to), Digest::parse(blob).value(), name(from), actor};
      const auto mounted = sync_wait(fixture_.registry->mount_blob(mount));
      if (!mounted) return mounted.error();
      return *mounted ? Result<void>() : Error(Errc::io, "not mounted");
    });
  }

  // Acknowledged chunks of an upload that nobody finishes.
  void begin_upload(const std::string& repository, unsigned round) {
    const auto where = name(repository);
    const auto id = fixture_.uploads->start(where, fixture_.actor, DigestAlgorithm::sha256).value();
    for (unsigned chunk = 1; chunk <= 2; ++chunk) {
      const std::size_t size = 300 + round;
      perform({{{Key::Kind::upload, repository, id.str()}, std::to_string(chunk * size)}}, false,
              [&](const audit::Actor&) {
                TextSource source(std::string(size, 'u'));
                return sync_wait(fixture_.uploads->append(where, id, source, std::nullopt, fixture_.actor));
              });
    }
  }

  RegistryFixture& fixture_;
  RecordedDisk& disk_;
  std::vector<Operation>& operations_;
  std::mutex& mutex_;
  const unsigned number_;
  std::mt19937_64 random_;
};

struct Load {
  std::vector<DiskStep> steps;
  std::vector<Operation> operations;
};

Load make_load(unsigned clients, unsigned rounds) {
  Load load;
  const TestDirectory directory;
  RecordedDisk disk(directory.path);
  {
    RegistryPlace place{directory.path, &disk.layer(), {}};
    place.database.vfs = disk.vfs();
    place.database.checkpoint_pages = 40;  // several while it runs
    RegistryFixture fixture(ReferenceMode::strict, {}, place);
    std::mutex mutex;
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < clients; ++number) {
      threads.emplace_back(
          [&, number] { Pusher(fixture, disk, load.operations, mutex, number).work(rounds); });
    }
    for (auto& thread : threads) thread.join();
  }
  load.steps = disk.record();
  return load;
}

// --- what must be there

// What was acknowledged and what was under way after some steps.
class Expected {
 public:
  explicit Expected(const std::vector<Operation>& operations) : operations_(operations) {}

  void take(std::uint64_t mark) {
    const Operation& operation = operations_[mark / 2];
    if (mark % 2 == 0) {
      under_way.insert(&operation);
      return;
    }
    under_way.erase(&operation);
    for (const auto& [key, value] : operation.changes) values[key] = value;
    if (operation.recorded) recorded.insert(operation.request);
  }

  Values values;
  std::set<const Operation*> under_way;
  std::set<std::string> recorded;

 private:
  const std::vector<Operation>& operations_;
};

std::string read_blob(RegistryFixture& fixture, const std::string& repository, const std::string& digest) {
  const Digest wanted = Digest::parse(digest).value();
  const auto blob = fixture.registry->blob(name(repository), wanted);
  if (!blob && (blob.error().code() == Errc::blob_unknown || blob.error().code() == Errc::name_unknown))
    return "";
  if (!blob) return "unreadable: " + std::string(blob.error().message());
  std::string content(static_cast<std::size_t>(blob->size), '\0');
  const auto got = blob->reader->read_at(0, std::as_writable_bytes(std::span(content)));
  if (!got || *got != content.size()) return "short";
  return Digest::of(wanted.algorithm(), content).str();
}

std::string observe(RegistryFixture& fixture, const Key& key) {
  if (key.kind == Key::Kind::blob) return read_blob(fixture, key.repository, key.name);
  if (key.kind == Key::Kind::upload) {
    const auto id = UploadId::parse(key.name).value();
    const auto offset = sync_wait(fixture.uploads->offset(name(key.repository), id, fixture.actor));
    if (offset) return std::to_string(*offset);
    return offset.error().code() == Errc::upload_unknown ? "" : std::string(offset.error().message());
  }
  const Reference reference = key.kind == Key::Kind::tag ? Reference(Tag::parse(key.name).value())
                                                         : Reference(Digest::parse(key.name).value());
  const auto manifest = sync_wait(fixture.registry->manifest(name(key.repository), reference));
  if (manifest) return Digest::of(DigestAlgorithm::sha256, manifest->bytes).str();
  const auto code = manifest.error().code();
  return code == Errc::manifest_unknown || code == Errc::name_unknown
             ? ""
             : std::string(manifest.error().message());
}

// Opens what a crash left, as a restart does, and says what is wrong with it.
class Inspection {
 public:
  Inspection(const std::string& directory, bool killed) : killed_(killed) {
    if (auto opened = sql::open_sqlite(directory + "/stele.db"); !opened) {
      wrong_.emplace_back(opened.error().message());
      return;
    }
    RegistryPlace place;
    place.path = directory;
    fixture_.emplace(ReferenceMode::strict, UploadsSettings(), place);
  }

  std::vector<std::string> run(const Expected& expected) {
    if (!fixture_) return std::move(wrong_);
    look_at_catalog();
    look_at_acknowledged(expected);
    look_at_under_way(expected);
    look_at_tags();
    look_at_records(expected);
    look_at_debris();
    return std::move(wrong_);
  }

 private:
  template <class Row>
  void rows(const std::string& query, Row row) {
    const auto done = fixture_->database->read([&](sql::Session& session) -> Result<void> {
      auto found = session.query(query);
      while (found.next()) row(found);
      return {};
    });
    if (!done) wrong_.push_back(query + ": " + std::string(done.error().message()));
  }

  void look_at_catalog() {
    rows("PRAGMA integrity_check", [&](auto& row) {
      if (row.text(0) != "ok") wrong_.push_back("integrity_check: " + std::string(row.text(0)));
    });
    rows("PRAGMA foreign_key_check",
         [&](auto& row) { wrong_.push_back("foreign_key_check: " + std::string(row.text(0))); });
  }

  const std::string& found(const Key& key) {
    const auto [place, first] = found_.try_emplace(key);
    if (first) place->second = observe(*fixture_, key);
    return place->second;
  }

  static std::string value(const Values& values, const Key& key) {
    const auto at = values.find(key);
    return at == values.end() ? "" : at->second;
  }

  void look_at_acknowledged(const Expected& expected) {
    std::set<Key> changing;
    for (const Operation* operation : expected.under_way) {
      for (const auto& [key, after] : operation->changes) changing.insert(key);
    }
    for (const auto& [key, wanted] : expected.values) {
      // A chunk's acknowledgement survives a kill, not a power cut: then the upload begins again.
      if (changing.contains(key) || (key.kind == Key::Kind::upload && !killed_)) continue;
      if (found(key) != wanted)
        wrong_.push_back(key.str() + " is '" + found(key) + "', acknowledged was '" + wanted + "'");
    }
  }

  // All of it or nothing.
  void look_at_under_way(const Expected& expected) {
    for (const Operation* operation : expected.under_way) {
      bool before = true, after = true;
      for (const auto& [key, next] : operation->changes) {
        before &= found(key) == value(expected.values, key);
        after &= found(key) == next;
      }
      const bool upload =
          !operation->changes.empty() && operation->changes.begin()->first.kind == Key::Kind::upload;
      if (!before && !after && !upload) wrong_.push_back(operation->request + " is there in part");
    }
  }

  // I2: what each tag needs is there.
  void look_at_tags() {
    std::vector<std::pair<std::string, std::string>> needs;
    rows(
        "SELECT r.name, f.digest FROM tags t JOIN repositories r ON r.id = t.repository_id "
        "JOIN manifest_references f ON f.manifest_id = t.manifest_id",
        [&](auto& row) { needs.emplace_back(row.text(0), row.text(1)); });
    for (const auto& [repository, digest] : needs) {
      if (found({Key::Kind::blob, repository, digest}) != digest)
        wrong_.push_back("a tag of " + repository + " needs " + digest.substr(0, 20) + ", which is '" +
                         found({Key::Kind::blob, repository, digest}) + "'");
    }
    rows("SELECT name FROM tags WHERE name = 'of-a-refused-push'",
         [&](auto&) { wrong_.push_back("a refused push left a tag"); });
  }

  // I4.
  void look_at_records(const Expected& expected) {
    std::set<std::string> requests;
    rows("SELECT DISTINCT request_id FROM events", [&](auto& row) { requests.emplace(row.text(0)); });
    for (const auto& request : expected.recorded) {
      if (!requests.contains(request)) wrong_.push_back(request + " has no record");
    }
  }

  void look_at_debris() {
    const auto swept = sync_wait(gc::sweep(fixture_->context(), *fixture_->uploads, {.grace_seconds = 0}));
    if (!swept) return wrong_.push_back("the sweep failed: " + std::string(swept.error().message()));
    if (swept->failed + swept->withheld + swept->foreign.size() > 0)
      wrong_.push_back("the sweep left something");
    std::int64_t live = 0;
    rows("SELECT count(*) FROM blobs", [&](auto& row) { live = row.integer(0); });
    if (static_cast<std::int64_t>(fixture_->files("blobs")) != live)
      wrong_.push_back(std::to_string(fixture_->files("blobs")) + " files for " + std::to_string(live) +
                       " blobs");
  }

  const bool killed_;
  std::optional<RegistryFixture> fixture_;
  std::map<Key, std::string> found_;
  std::vector<std::string> wrong_;
};

struct Outcome {
  std::size_t states = 0;
  std::size_t wrong = 0;
  std::string first;
};

// About `wanted` states, spread evenly over the record: after each step what a kill leaves, what a power cut
// leaves when nothing unsynced survives, and what it leaves when some of it does.
Outcome replay(const Load& load, std::size_t wanted, std::size_t stop_at_wrong) {
  const auto steps = static_cast<std::size_t>(std::count_if(
      load.steps.begin(), load.steps.end(), [](auto& step) { return step.kind != DiskStep::Kind::mark; }));
  const std::size_t variants = std::max<std::size_t>(4, (wanted + steps - 1) / steps);
  const TestDirectory directory;
  DiskReplay disk;
  Expected expected(load.operations);
  Outcome outcome;
  std::size_t candidate = 0;
  for (std::size_t number = 0; number < load.steps.size() && outcome.wrong < stop_at_wrong; ++number) {
    const DiskStep& step = load.steps[number];
    if (step.kind == DiskStep::Kind::mark) {
      expected.take(step.offset);
      continue;
    }
    disk.take(step);
    for (std::size_t variant = 0; variant < variants; ++variant, ++candidate) {
      if (candidate * wanted / (steps * variants) == (candidate + 1) * wanted / (steps * variants)) continue;
      std::optional<std::uint32_t> seed;
      if (variant > 0)
        seed = variant == 1 ? 0 : static_cast<std::uint32_t>(number * variants + variant) * 2654435761u;
      const std::string left = directory.path + "/left";
      disk.leave(left, seed);
      const auto wrong = Inspection(left, !seed).run(expected);
      ++outcome.states;
      if (wrong.empty()) continue;
      if (outcome.wrong++ == 0)
        outcome.first = "after step " + std::to_string(number) + ", variant " + std::to_string(variant) +
                        ": " + wrong.front();
    }
  }
  return outcome;
}

std::size_t states_wanted(std::size_t otherwise) {
  const char* text = std::getenv("STELE_CRASH_STATES");
  return text ? std::strtoul(text, nullptr, 10) : otherwise;
}

TEST_CASE("power cut: every moment under load, what was synced and some of what was not (I1, I2, I4)") {
  const Load load = make_load(3, 20);
  const Outcome outcome = replay(load, states_wanted(1000 / test_every()), 10);
  std::cout << "power cut: " << outcome.states << " states of " << load.steps.size() << " steps and "
            << load.operations.size() << " requests, " << outcome.wrong << " wrong\n";
  INFO(outcome.first);
  CHECK(outcome.wrong == 0);
  CHECK(outcome.states >= states_wanted(1000 / test_every()) * 9 / 10);
}

// The same record without the syncs that I1 rests on, as a program that forgot them would leave it: a replay
// that finds nothing wrong then finds nothing at all.
TEST_CASE("power cut: a forgotten sync is found") {
  const Load load = make_load(2, 8);
  const auto forgotten = [&](const std::function<bool(const DiskStep&)>& forget) {
    Load less = load;
    std::erase_if(less.steps, forget);
    return replay(less, 2000, 1);
  };
  using Kind = DiskStep::Kind;
  const auto sync_of = [](Kind kind, std::string part) {
    return [kind, part](const DiskStep& step) {
      return step.kind == kind && step.path.find(part) != std::string::npos;
    };
  };
  CHECK(forgotten(sync_of(Kind::sync, "uploads/")).wrong > 0);  // of a blob's bytes
  if (test_every() > 1) {
    std::cout << "power cut: one of five forgotten syncs was tried (TEST_EVERY)\n";
    return;
  }
  CHECK(forgotten(sync_of(Kind::sync_directory, "blobs/sha256/")).wrong > 0);  // of its name
  CHECK(forgotten([](const DiskStep& step) {                                   // of its directory's name
          return step.kind == Kind::sync_directory && step.path == "blobs/sha256";
        })
            .wrong > 0);
  CHECK(forgotten(sync_of(Kind::sync, "stele.db-wal")).wrong > 0);  // of a commit
  CHECK(forgotten([](const DiskStep& step) {                        // of a checkpoint
          return step.kind == Kind::sync && step.path == "stele.db";
        })
            .wrong > 0);
}

}  // namespace
}  // namespace stele::power_cut_test
