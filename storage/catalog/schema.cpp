// Long: every released migration stands here as released, in order (tests/unit/storage pins the texts).
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
)sql"},
                                    // The collector. Links that may be idle, by the blob: what an earlier
                                    // version queued by digest alone is replaced by one look at everything.
                                    {4, R"sql(
DROP TABLE review_queue;
CREATE TABLE reviews (
  blob_id       @integer@ NOT NULL REFERENCES blobs (id),
  repository_id @integer@ NOT NULL,         -- whose link may be idle, perhaps gone; 0: the blob itself
  review_after  @integer@ NOT NULL,
  PRIMARY KEY (blob_id, repository_id)
) @clustered@;
CREATE INDEX reviews_by_time ON reviews (review_after);
INSERT INTO reviews (blob_id, repository_id, review_after)
  SELECT blob_id, repository_id, 0 FROM repository_blobs;
INSERT INTO reviews (blob_id, repository_id, review_after)
  SELECT id, 0, 0 FROM blobs WHERE NOT EXISTS (SELECT 1 FROM repository_blobs WHERE blob_id = blobs.id);

-- When each manifest was pulled last. A table of its own: this changes all the time, manifests never.
CREATE TABLE manifest_use (
  manifest_id @integer@ NOT NULL PRIMARY KEY REFERENCES manifests (id),
  pulled_at   @integer@ NOT NULL
) @clustered@;

-- What clusters report that they run.
CREATE TABLE in_use_reports (
  cluster       @name@ NOT NULL PRIMARY KEY,
  reported_at   @integer@ NOT NULL,
  reported_by   @text@ NOT NULL,
  lease_seconds @integer@ NOT NULL,         -- after it the report is stale, and protects all the same
  images        @integer@ NOT NULL,         -- references that were reported
  protected     @integer@ NOT NULL,         -- manifests of this registry among what they name
  unknown       @integer@ NOT NULL          -- references that name nothing here
) @clustered@;
CREATE TABLE in_use (
  cluster    @name@ NOT NULL REFERENCES in_use_reports (cluster),
  repository @name@ NOT NULL,               -- a name: it outlives what it protects
  digest     @text@ NOT NULL,
  seen_since @integer@ NOT NULL,
  PRIMARY KEY (cluster, repository, digest)
) @clustered@;
CREATE INDEX in_use_by_digest ON in_use (repository, digest, cluster);
CREATE TABLE in_use_unknown (
  cluster   @name@ NOT NULL REFERENCES in_use_reports (cluster),
  reference @name@ NOT NULL,                -- the first ones, for people to read
  PRIMARY KEY (cluster, reference)
) @clustered@;
-- A cluster may name an image by nothing but a digest: its own, or its configuration's.
CREATE INDEX manifests_by_digest ON manifests (digest, repository_id);
CREATE INDEX manifest_references_by_config ON manifest_references (digest, manifest_id) WHERE kind = 'config';

-- When a manifest lost its last tag. Means nothing while it has one.
CREATE TABLE untagged_manifests (
  manifest_id @integer@ NOT NULL PRIMARY KEY REFERENCES manifests (id),
  since       @integer@ NOT NULL
) @clustered@;

-- Runs of lifecycle, by schedule or by an administrator who applied a plan.
CREATE TABLE lifecycle_runs (
  id              @sequence@,
  state           @text@ NOT NULL CHECK (state IN ('running', 'waiting', 'done', 'failed', 'interrupted', 'dismissed')),
  started_by      @text@ NOT NULL,          -- 'schedule', or who applied a plan
  policy_hash     @text@ NOT NULL,
  plan_hash       @text@ NOT NULL,          -- empty: no plan was named
  begun_at        @integer@ NOT NULL,
  ended_at        @integer@,
  repositories    @integer@ NOT NULL,       -- judged
  removed         @integer@ NOT NULL,       -- manifests
  untagged        @integer@ NOT NULL,       -- tags removed
  survived        @integer@ NOT NULL,       -- due in the plan, and no longer when their turn came
  blocked         @integer@ NOT NULL,
  bytes           @integer@ NOT NULL,       -- that erasing will free
  message         @text@ NOT NULL           -- for people: what stopped it, what is asked
) @strict@;
CREATE INDEX lifecycle_runs_by_starter ON lifecycle_runs (started_by, id);
CREATE INDEX lifecycle_runs_by_state ON lifecycle_runs (state);
-- Repositories that a run stopped at, with what it would have removed there; gone once somebody decided.
CREATE TABLE lifecycle_waiting (
  run_id     @integer@ NOT NULL REFERENCES lifecycle_runs (id),
  repository @name@ NOT NULL,
  reason     @text@ NOT NULL,
  plan       @bytes@ NOT NULL,              -- JSON
  PRIMARY KEY (run_id, repository)
) @clustered@;

CREATE INDEX lifecycle_waiting_by_repository ON lifecycle_waiting (repository, run_id);

-- What lifecycle removed and can bring back. A row without media_type: only tags went, the manifest stayed.
CREATE TABLE trash (
  id            @sequence@,
  run_id        @integer@ NOT NULL,         -- lifecycle_runs.id
  repository_id @integer@ NOT NULL REFERENCES repositories (id),
  digest        @text@ NOT NULL,
  media_type    @text@,
  subject       @text@,
  size          @integer@ NOT NULL,
  created_at    @integer@ NOT NULL,
  created_by    @text@ NOT NULL,
  pulled_at     @integer@,
  removed_at    @integer@ NOT NULL,
  erase_after   @integer@ NOT NULL,
  rule          @text@ NOT NULL,
  reason        @text@ NOT NULL,
  checksum      @integer@ NOT NULL,         -- of digest, media_type
  bytes         @bytes@ NOT NULL
) @strict@;
CREATE INDEX trash_by_digest ON trash (repository_id, digest, id);
CREATE INDEX trash_by_subject ON trash (repository_id, subject, id) WHERE subject IS NOT NULL;
CREATE INDEX trash_by_repository ON trash (repository_id, id);
CREATE INDEX trash_by_run ON trash (run_id, id);
CREATE INDEX trash_by_time ON trash (erase_after, size);
CREATE TABLE trash_tags (
  trash_id      @integer@ NOT NULL REFERENCES trash (id),
  tag           @name@ NOT NULL,
  repository_id @integer@ NOT NULL REFERENCES repositories (id),
  pushed_at     @integer@ NOT NULL,
  pushed_by     @text@ NOT NULL,
  PRIMARY KEY (trash_id, tag)
) @clustered@;
CREATE INDEX trash_tags_by_name ON trash_tags (repository_id, tag, trash_id);
-- Config, layers and entries of manifests in the trash: their blobs stay for as long as they do.
CREATE TABLE trash_references (
  trash_id      @integer@ NOT NULL REFERENCES trash (id),
  digest        @text@ NOT NULL,
  repository_id @integer@ NOT NULL REFERENCES repositories (id),
  PRIMARY KEY (trash_id, digest)
) @clustered@;
CREATE INDEX trash_references_by_digest ON trash_references (repository_id, digest);

-- Which event took a manifest away, for as long as the catalog lives: an answer to "why is it gone". A
-- repository that was deleted has a row with an empty digest.
CREATE TABLE departures (
  repository @name@ NOT NULL,
  digest     @text@ NOT NULL,
  event      @integer@ NOT NULL,            -- events.sequence
  run_id     @integer@,                     -- lifecycle_runs.id; null: not by lifecycle
  PRIMARY KEY (repository, digest, event)
) @clustered@;
INSERT INTO departures (repository, digest, event)
  SELECT repository, COALESCE(old_digest, ''), sequence FROM events
  WHERE action IN ('manifest.delete', 'repository.delete');
-- The same for tags: their history goes with their repository, its events don't.
CREATE INDEX events_of_removed_tags ON events (repository, tag, sequence)
  WHERE action IN ('tag.delete', 'tag.expire');

-- What each repository holds, kept by every write that changes it (storage/catalog/usage.hpp).
CREATE TABLE repository_usage (
  repository_id   @integer@ NOT NULL PRIMARY KEY REFERENCES repositories (id),
  manifests       @integer@ NOT NULL,
  manifest_bytes  @integer@ NOT NULL,
  blobs           @integer@ NOT NULL,
  blob_bytes      @integer@ NOT NULL,       -- of all blobs that it links
  shared_bytes    @integer@ NOT NULL,       -- of those that other repositories link too
  trash_manifests @integer@ NOT NULL,
  trash_bytes     @integer@ NOT NULL        -- of the manifests in the trash, without blobs
) @clustered@;
INSERT INTO repository_usage
    (repository_id, manifests, manifest_bytes, blobs, blob_bytes, shared_bytes, trash_manifests, trash_bytes)
  SELECT r.id,
    (SELECT COUNT(*) FROM manifests m WHERE m.repository_id = r.id),
    (SELECT CAST(COALESCE(SUM(m.size), 0) AS BIGINT) FROM manifests m WHERE m.repository_id = r.id),
    (SELECT COUNT(*) FROM repository_blobs l WHERE l.repository_id = r.id),
    (SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM repository_blobs l JOIN blobs b ON b.id = l.blob_id
      WHERE l.repository_id = r.id),
    (SELECT CAST(COALESCE(SUM(b.size), 0) AS BIGINT) FROM repository_blobs l JOIN blobs b ON b.id = l.blob_id
      WHERE l.repository_id = r.id AND EXISTS (SELECT 1 FROM repository_blobs o
        WHERE o.blob_id = l.blob_id AND o.repository_id <> r.id)),
    0, 0
  FROM repositories r;

-- Blobs whose bytes were found to be wrong or missing: not served until somebody pushes them again (I6).
CREATE TABLE quarantine (
  blob_id  @integer@ NOT NULL PRIMARY KEY REFERENCES blobs (id),
  found_at @integer@ NOT NULL,
  problem  @text@ NOT NULL
) @clustered@;
)sql"},
                                    // When a tag was pushed again with the digest that it has: the binding
                                    // stays what it was, and its age begins anew.
                                    {5, R"sql(
ALTER TABLE tags ADD COLUMN pushed_again_at @integer@;  -- null: not since it was bound
)sql"},
                                    // What upstreams said of the tags of mirrored repositories.
                                    {6, R"sql(
CREATE TABLE mirrored_tags (
  repository  @name@ NOT NULL,              -- a name: what the tag names may never have been fetched
  tag         @name@ NOT NULL,
  digest      @text@ NOT NULL,
  media_type  @text@ NOT NULL,
  size        @integer@ NOT NULL,           -- of the manifest, in bytes
  upstream    @text@ NOT NULL,              -- that said so: scheme, host and port
  learned_at  @integer@ NOT NULL,           -- when it first said this digest
  compared_at @integer@ NOT NULL,           -- when it last said it
  checksum    @integer@ NOT NULL,           -- of repository, tag, digest
  PRIMARY KEY (repository, tag)
) @clustered@;
CREATE INDEX mirrored_tags_by_digest ON mirrored_tags (repository, digest, tag);
)sql"},
                                    // Robots, and what somebody is known by without a password.
                                    {7, R"sql(
CREATE TABLE robots (
  id          @sequence@,
  name        @name@ NOT NULL UNIQUE,
  description @text@ NOT NULL,
  scopes      @text@ NOT NULL,              -- what it is limited to, one per line: "team/**:pull,push"
  expires_at  @integer@,                    -- null: never
  created_at  @integer@ NOT NULL,
  created_by  @text@ NOT NULL
) @strict@;
CREATE INDEX robots_by_expiry ON robots (expires_at) WHERE expires_at IS NOT NULL;

-- A token that is revoked has no row.
CREATE TABLE login_tokens (
  id           @sequence@,                  -- never given twice: tokens made from it name it
  kind         @text@ NOT NULL CHECK (kind IN ('api', 'refresh')),
  subject      @name@ NOT NULL,             -- the principal
  hash         @text@ UNIQUE,               -- of an api token, as a digest; null: of a refresh token, which is signed
  created_at   @integer@ NOT NULL,
  expires_at   @integer@,                   -- null: when its robot does
  last_used_at @integer@                    -- null: not yet
) @strict@;
CREATE INDEX login_tokens_by_subject ON login_tokens (subject, id);
CREATE INDEX login_tokens_by_expiry ON login_tokens (expires_at) WHERE expires_at IS NOT NULL;
)sql"},
                                    {8, R"sql(
-- When a name was freed that a rule kept, for explanations.
CREATE INDEX events_of_released_names ON events (repository, tag, sequence) WHERE action = 'name.released';
)sql"},
                                    {9, R"sql(
-- Local users: those that this registry itself knows, with the hash of their password.
CREATE TABLE users (
  id                  @sequence@,           -- never given twice: tokens of a user who was removed name it
  name                @name@ NOT NULL UNIQUE,
  password            @text@ NOT NULL,      -- a hash, as auth/password_hash.hpp reads it
  generation          @integer@ NOT NULL,   -- another one: tokens made before are over
  disabled_at         @integer@,            -- null: may log in
  password_changed_at @integer@ NOT NULL,
  created_at          @integer@ NOT NULL,
  created_by          @text@ NOT NULL
) @strict@;
CREATE TABLE user_groups (
  user_id    @integer@ NOT NULL REFERENCES users (id),
  group_name @name@ NOT NULL,
  PRIMARY KEY (user_id, group_name)
) @clustered@;
)sql"},
                                    {10, R"sql(
-- No query asked for them, and each lock and hold wrote to them.
DROP INDEX locks_by_tag;
DROP INDEX holds_by_name;
)sql"},
                                    {11, R"sql(
-- Api tokens that users make for themselves; all null: a robot's secret, or a refresh token.
ALTER TABLE login_tokens ADD COLUMN name @name@;        -- that its user gave it
ALTER TABLE login_tokens ADD COLUMN scopes @text@;      -- what it is limited to, one per line: "team/**:pull"
ALTER TABLE login_tokens ADD COLUMN fingerprint @text@; -- of the user as he was when it was made, as a digest
CREATE UNIQUE INDEX login_tokens_by_name ON login_tokens (subject, name) WHERE name IS NOT NULL;
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

std::string_view migration_script(std::int64_t version) {
  return migrations[version - 1].script;
}

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
