#pragma once
// A registry under lifecycle whose leases last for minutes, and what is in its catalog and its store, read
// without touching anything.

#include <string>
#include <utility>

#include "tests/unit/gc/histories/model.hpp"
#include "tests/unit/gc/lifecycle_fixture.hpp"

namespace stele::histories_test {

// Times are multiples of this, so that nothing happens between: pulls are recorded to ten minutes.
inline constexpr Seconds step_seconds = 600;
inline constexpr Seconds lease_seconds = 1500;

// What the catalog says, as texts.
struct Listing {
  std::map<std::pair<std::string, std::string>, Seconds> manifests;  // (repository, digest): pushed
  std::map<std::pair<std::string, std::string>, std::pair<std::string, Seconds>>
      tags;                                                                // (repository, tag): digest, bound
  std::map<std::pair<std::string, std::string>, Seconds> tag_pushes;       // (repository, tag): pushed last
  std::map<std::pair<std::string, std::string>, std::int64_t> tag_places;  // the same: the last binding's id
  std::set<std::pair<std::string, std::string>> links;                     // (repository, digest) of blobs
  std::map<std::string, std::string> blobs;                                // digest: state
  std::map<std::int64_t, std::pair<std::string, std::string>> trash;       // id: (repository, digest)
};

class World : public lifecycle_test::LifecycleFixture {
 public:
  World() : LifecycleFixture("", {.lease_seconds = lease_seconds}) {
    // The fixture has let a lease pass, and a second.
    pass(step_seconds - now() % step_seconds);
    flush();
  }

  Seconds now() const { return clock.now().microseconds / 1'000'000; }
  // Pulls were recorded from the opening on, which was before the lease that has passed.
  Seconds opened_at() {
    const auto since = database->read([](sql::Session& session) -> Result<std::optional<Timestamp>> {
      return catalog::stored_pulls_since(session);
    });
    REQUIRE((since.has_value() && since->has_value()));
    return (**since).microseconds / 1'000'000;
  }
  void flush() { REQUIRE(pulls->flush().has_value()); }

  Listing listing() {
    const auto read = database->read([](sql::Session& session) -> Result<Listing> {
      Listing found;
      constexpr std::int64_t second = 1'000'000;
      auto manifests = session.query(
          "SELECT r.name, m.digest, m.created_at FROM manifests m JOIN repositories r ON r.id = "
          "m.repository_id");
      while (manifests.next())
        found.manifests[{std::string(manifests.text(0)), std::string(manifests.text(1))}] =
            manifests.integer(2) / second;
      auto tags = session.query(
          "SELECT r.name, t.name, m.digest, t.pushed_at, COALESCE(t.pushed_again_at, t.pushed_at), "
          "(SELECT max(h.id) FROM tag_history h WHERE h.repository_id = t.repository_id AND h.tag = t.name) "
          "FROM tags "
          "t JOIN repositories r ON r.id = "
          "t.repository_id LEFT JOIN manifests m ON m.id = t.manifest_id");
      while (tags.next()) {
        const std::pair key{std::string(tags.text(0)), std::string(tags.text(1))};
        found.tags[key] = {tags.is_null(2) ? "nothing" : std::string(tags.text(2)), tags.integer(3) / second};
        found.tag_pushes[key] = tags.integer(4) / second;
        found.tag_places[key] = tags.integer(5);
      }
      auto links = session.query(
          "SELECT r.name, b.digest FROM repository_blobs l JOIN repositories r ON r.id = l.repository_id "
          "JOIN blobs b ON b.id = l.blob_id");
      while (links.next()) found.links.emplace(links.text(0), links.text(1));
      auto stored = session.query("SELECT digest, state FROM blobs");
      while (stored.next()) found.blobs.emplace(stored.text(0), stored.text(1));
      auto trash = session.query(
          "SELECT t.id, r.name, t.digest FROM trash t JOIN repositories r ON r.id = "
          "t.repository_id");
      while (trash.next())
        found.trash[trash.integer(0)] = {std::string(trash.text(1)), std::string(trash.text(2))};
      return found;
    });
    REQUIRE(read.has_value());
    return *read;
  }

  // The digests of the files in the store.
  std::set<std::string> blob_files() {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path + "/blobs")) {
      if (entry.is_regular_file()) found.insert("sha256:" + entry.path().filename().string());
    }
    return found;
  }

  bool is_linked(const std::string& repository, const std::string& digest) {
    return count(
               "repository_blobs l JOIN repositories r ON r.id = l.repository_id JOIN blobs b ON b.id = "
               "l.blob_id WHERE r.name = '" +
               repository + "' AND b.digest = '" + digest + "'") == 1;
  }

  Result<PushedManifest> put_content(const std::string& repository, std::size_t content,
                                     const std::string& to) {
    const Content& pushed = contents()[content];
    const auto manifest = Manifest::parse(
        pushed.entries.empty() ? media_type::oci_manifest : media_type::oci_index, pushed.bytes);
    REQUIRE(manifest.has_value());
    const Reference reference = to.empty() ? Reference(pushed.digest) : Reference(lifecycle_test::tag(to));
    return sync_wait(registry->put_manifest(ManifestPush{lifecycle_test::name(repository),
                                                         reference,
                                                         {},
                                                         *manifest,
                                                         pushed.bytes,
                                                         DigestAlgorithm::sha256,
                                                         actor}));
  }
};

}  // namespace stele::histories_test
