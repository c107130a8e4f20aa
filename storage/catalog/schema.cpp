#include "storage/catalog/schema.hpp"

#include <algorithm>
#include <charconv>

namespace stele::catalog {
namespace {

struct Migration {
  std::int64_t version;
  std::string_view script;
};

// Manifests are read far more often than written: everything but the bytes stands before the bytes, so that a
// row's small columns are read without its overflow pages. Digests are text throughout: what one sees in a
// shell is what one can search for.
constexpr Migration migrations[] = {{1, R"sql(
CREATE TABLE meta (
  key   @text@ NOT NULL PRIMARY KEY,
  value @text@ NOT NULL
) @clustered@;

CREATE TABLE repositories (
  id         @id@,
  name       @name@ NOT NULL UNIQUE,
  created_at @integer@ NOT NULL
) @strict@;

CREATE TABLE manifests (
  id                  @id@,
  repository_id       @integer@ NOT NULL REFERENCES repositories (id),
  digest              @text@ NOT NULL,
  media_type          @text@ NOT NULL,
  artifact_type       @text@ NOT NULL,
  subject             @text@,
  size                @integer@ NOT NULL,
  referrer_descriptor @text@,               -- set when there is a subject
  checksum            @integer@ NOT NULL,   -- of digest, media_type
  created_at          @integer@ NOT NULL,
  created_by          @text@ NOT NULL,
  bytes               @bytes@ NOT NULL,
  UNIQUE (repository_id, digest)
) @strict@;
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject, id) WHERE subject IS NOT NULL;
CREATE INDEX manifests_by_subject_and_type ON manifests (repository_id, subject, artifact_type, id)
  WHERE subject IS NOT NULL;

CREATE TABLE manifest_references (
  manifest_id   @integer@ NOT NULL REFERENCES manifests (id),
  kind          @text@ NOT NULL CHECK (kind IN ('config', 'layer', 'entry', 'subject')),
  digest        @text@ NOT NULL,
  repository_id @integer@ NOT NULL REFERENCES repositories (id),
  PRIMARY KEY (manifest_id, kind, digest)
) @clustered@;
CREATE INDEX manifest_references_by_digest ON manifest_references (repository_id, digest, kind);

CREATE TABLE tags (
  repository_id @integer@ NOT NULL REFERENCES repositories (id),
  name          @name@ NOT NULL,
  manifest_id   @integer@ NOT NULL REFERENCES manifests (id),
  pushed_at     @integer@ NOT NULL,
  pushed_by     @text@ NOT NULL,
  checksum      @integer@ NOT NULL,         -- of repository name, tag, digest
  PRIMARY KEY (repository_id, name)
) @clustered@;
CREATE INDEX tags_by_manifest ON tags (manifest_id, name);

CREATE TABLE tag_history (
  id              @sequence@,
  repository_id   @integer@ NOT NULL REFERENCES repositories (id),
  tag             @name@ NOT NULL,
  previous_digest @text@,                   -- null: the tag was new
  digest          @text@,                   -- null: the tag was deleted
  at              @integer@ NOT NULL,
  actor           @text@ NOT NULL,
  event           @integer@ NOT NULL        -- events.sequence
) @strict@;
CREATE INDEX tag_history_by_tag ON tag_history (repository_id, tag, id);

CREATE TABLE blobs (
  id         @id@,
  digest     @text@ NOT NULL UNIQUE,
  size       @integer@ NOT NULL,
  state      @text@ NOT NULL CHECK (state IN ('live', 'deleting')),
  created_at @integer@ NOT NULL
) @strict@;

CREATE TABLE repository_blobs (
  repository_id @integer@ NOT NULL REFERENCES repositories (id),
  blob_id       @integer@ NOT NULL REFERENCES blobs (id),
  linked_at     @integer@ NOT NULL,
  PRIMARY KEY (repository_id, blob_id)
) @clustered@;
CREATE INDEX repository_blobs_by_blob ON repository_blobs (blob_id, repository_id);

CREATE TABLE uploads (
  id          @text@ NOT NULL PRIMARY KEY,
  repository  @name@ NOT NULL,              -- a name: it may not exist yet
  actor       @text@ NOT NULL,
  byte_offset @integer@ NOT NULL,
  hash_state  @bytes@ NOT NULL,
  started_at  @integer@ NOT NULL,
  updated_at  @integer@ NOT NULL
) @strict@;
CREATE INDEX uploads_by_age ON uploads (updated_at, id);

CREATE TABLE events (
  sequence   @sequence@,
  at         @integer@ NOT NULL,
  actor      @text@ NOT NULL,
  action     @text@ NOT NULL,
  repository @name@ NOT NULL,               -- a name: events outlive what they tell about
  tag        @text@,
  old_digest @text@,
  new_digest @text@,
  request_id @text@ NOT NULL
) @strict@;

CREATE TABLE review_queue (
  id           @id@,
  kind         @text@ NOT NULL,
  digest       @text@ NOT NULL,
  review_after @integer@ NOT NULL,
  UNIQUE (kind, digest)
) @strict@;
CREATE INDEX review_queue_by_time ON review_queue (review_after);
)sql"},
                                    // Rules: through which one a tag was set or refused, the names that
                                    // outlive their tags, and every policy that was ever in force.
                                    {2, R"sql(
ALTER TABLE events ADD COLUMN rule @text@;
ALTER TABLE events ADD COLUMN reason @text@;
ALTER TABLE tag_history ADD COLUMN rule @text@;

CREATE TABLE removed_names (
  repository @name@ NOT NULL,               -- a name: it outlives the repository
  tag        @name@ NOT NULL,
  mutability @text@ NOT NULL CHECK (mutability IN ('immutable', 'forward-only', 'append-only')),
  digest     @text@ NOT NULL,
  pushed_at  @integer@ NOT NULL,
  pushed_by  @text@ NOT NULL,
  content    @text@ NOT NULL,               -- digests that the manifest named, one per line: for append-only
  version    @text@ NOT NULL,               -- for forward-only
  created    @text@ NOT NULL,
  checksum   @integer@ NOT NULL,            -- of repository, tag, digest
  PRIMARY KEY (repository, tag)
) @clustered@;

CREATE TABLE policy_versions (
  sequence  @sequence@,
  hash      @text@ NOT NULL,                -- of source
  source    @text@ NOT NULL,                -- the file's text; empty: the built-in rules
  loaded_at @integer@ NOT NULL,
  loaded_by @text@ NOT NULL
) @strict@;
CREATE INDEX policy_versions_by_hash ON policy_versions (hash);
)sql"},
                                    // What may not go: by a rule's lock, or by a person's hold. Both speak of
                                    // names: they outlive what they protect.
                                    {3, R"sql(
CREATE TABLE locks (
  repository @name@ NOT NULL,
  digest     @text@ NOT NULL,
  tag        @name@ NOT NULL,               -- through which it was stamped
  mode       @text@ NOT NULL CHECK (mode IN ('governance', 'compliance')),
  until      @integer@ NOT NULL,            -- of the release clock
  rule       @text@ NOT NULL,
  stamped_at @integer@ NOT NULL,
  stamped_by @text@ NOT NULL,
  PRIMARY KEY (repository, digest, tag)
) @clustered@;
CREATE INDEX locks_by_tag ON locks (repository, tag, until);
CREATE INDEX locks_by_time ON locks (repository, until);

CREATE TABLE holds (
  id          @sequence@,
  name        @text@ NOT NULL,
  case_number @text@ NOT NULL,
  reason      @text@ NOT NULL,
  repository  @name@ NOT NULL,
  tag         @name@,                       -- null: the manifest, or the whole repository
  digest      @text@,                       -- null: the whole repository
  set_at      @integer@ NOT NULL,
  set_by      @text@ NOT NULL,
  released_at @integer@,                    -- null: it holds
  released_by @text@,
  release_reason @text@
) @strict@;
CREATE INDEX holds_in_force ON holds (repository, digest, tag) WHERE released_at IS NULL;
CREATE INDEX holds_by_tag ON holds (repository, tag) WHERE released_at IS NULL;
CREATE INDEX holds_by_name ON holds (name);
)sql"}};

static_assert(std::size(migrations) == schema_version);

Error refused(std::string message) {
  return Error(Errc::corrupt, std::move(message));
}

// The version of the catalog in this database; 0 when the database is empty.
Result<std::int64_t> installed_version(sql::WriteConnection& connection) {
  const auto tables = connection.tables();
  if (tables.empty()) return 0;
  Error foreign = refused(
      "the database is not a Stele catalog (it has tables, but no schema_version in a table meta); name "
      "another data "
      "directory, or move the file away if it is not needed");
  if (std::find(tables.begin(), tables.end(), marker_table) == tables.end()) return foreign;
  std::string text;
  try {
    auto row = connection.query("SELECT value FROM meta WHERE key = 'schema_version'");
    if (row.next()) text = row.text(0);
  } catch (const sql::Failure& failure) {
    if (failure.kind() == sql::Failure::Kind::other) return foreign;  // somebody else's table of that name
    throw;
  }
  std::int64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size() || version < 1) return foreign;
  return version;
}

Result<void> migrate_in_transaction(sql::WriteConnection& connection) {
  const auto installed = installed_version(connection);
  if (!installed) return installed.error();
  if (*installed > schema_version) {
    return refused("the catalog has schema version " + std::to_string(*installed) +
                   ", this stele knows versions up to " + std::to_string(schema_version) +
                   ": a newer stele has used it. Start that version again, or restore a snapshot from before "
                   "the upgrade "
                   "(the data directory's backups/)");
  }
  if (*installed == schema_version) return {};
  for (const Migration& migration : migrations) {
    if (migration.version > *installed) connection.run_script(migration.script);
  }
  connection.execute(
      "INSERT INTO meta (key, value) VALUES ('schema_version', $1) "
      "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
      std::to_string(schema_version));
  return {};
}

}  // namespace

Result<void> migrate(sql::Database& database) {
  auto& connection = database.writer();
  try {
    // Nothing to write, nothing begun: a catalog on a full disk still serves reads.
    const auto installed = installed_version(connection);
    if (installed && *installed == schema_version) return {};
    connection.begin();
    if (auto migrated = migrate_in_transaction(connection); !migrated) {
      connection.rollback();
      return migrated.error();
    }
    connection.commit();
    database.committed();
    return {};
  } catch (const sql::Failure& failure) {
    connection.rollback();
    return failure.to_error();
  }
}

}  // namespace stele::catalog
