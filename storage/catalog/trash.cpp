#include "storage/catalog/trash.hpp"

#include "storage/catalog/pulls.hpp"
#include "storage/catalog/rows.hpp"
#include "storage/catalog/usage.hpp"

namespace stele::catalog {
namespace {

// The columns of an item, of the rows that meet a condition.
std::string items(std::string_view condition) {
  return "SELECT t.id, t.run_id, t.repository_id, r.name, t.digest, t.media_type, t.subject, t.size, "
         "t.created_at, t.created_by, t.pulled_at, t.removed_at, t.erase_after, t.rule, t.reason FROM trash "
         "t "
         "JOIN repositories r ON r.id = t.repository_id WHERE " +
         std::string(condition);
}

TrashItem item_of(const sql::Query& row) {
  TrashItem item{row.integer(0),
                 row.integer(1),
                 RepositoryId(row.integer(2)),
                 parse_column<RepositoryName>(row.text(3), "repositories.name"),
                 parse_column<Digest>(row.text(4), "trash.digest"),
                 row.optional_text(5),
                 std::nullopt,
                 size_column(row, 7),
                 Timestamp{row.integer(8)},
                 std::string(row.text(9)),
                 std::nullopt,
                 Timestamp{row.integer(11)},
                 Timestamp{row.integer(12)},
                 std::string(row.text(13)),
                 std::string(row.text(14))};
  if (!row.is_null(6)) item.subject = parse_column<Digest>(row.text(6), "trash.subject");
  if (!row.is_null(10)) item.pulled_at = Timestamp{row.integer(10)};
  return item;
}

std::vector<TrashItem> all_items(sql::Query rows) {
  std::vector<TrashItem> found;
  while (rows.next()) found.push_back(item_of(rows));
  return found;
}

std::optional<TrashItem> first_item(sql::Query row) {
  if (!row.next()) return std::nullopt;
  return item_of(row);
}

}  // namespace

std::int64_t put_in_trash(Tx& tx, const NewTrash& added) {
  std::int64_t id = 0;
  if (added.manifest) {
    auto inserted = tx.query(
        "INSERT INTO trash (run_id, repository_id, digest, media_type, subject, size, created_at, "
        "created_by, "
        "pulled_at, removed_at, erase_after, rule, reason, checksum, bytes) SELECT $2, m.repository_id, "
        "m.digest, "
        "m.media_type, m.subject, m.size, m.created_at, m.created_by, u.pulled_at, $3, $4, $5, $6, "
        "m.checksum, "
        "m.bytes FROM manifests m LEFT JOIN manifest_use u ON u.manifest_id = m.id WHERE m.id = $1 RETURNING "
        "id",
        number(*added.manifest), added.run, added.removed_at.microseconds, added.erase_after.microseconds,
        added.rule, added.reason);
    if (!inserted.next())
      throw sql::Failure(sql::Failure::Kind::constraint,
                         "a manifest that is not there cannot go to the trash");
    id = inserted.integer(0);
    inserted.next();  // the statement has ended only when it says so
  } else {
    auto inserted = tx.query(
        "INSERT INTO trash (run_id, repository_id, digest, media_type, subject, size, created_at, "
        "created_by, "
        "pulled_at, removed_at, erase_after, rule, reason, checksum, bytes) VALUES ($1, $2, $3, NULL, NULL, "
        "0, $4, "
        "'', NULL, $4, $5, $6, $7, $8, $9) RETURNING id",
        added.run, number(added.repository), added.digest.str(), added.removed_at.microseconds,
        added.erase_after.microseconds, added.rule, added.reason, manifest_checksum(added.digest.str(), ""),
        ByteView());
    inserted.next();
    id = inserted.integer(0);
    inserted.next();
  }
  for (const TrashedTag& tag : added.tags) {
    tx.execute(
        "INSERT INTO trash_tags (trash_id, tag, repository_id, pushed_at, pushed_by) VALUES ($1, $2, $3, $4, "
        "$5)",
        id, tag.tag.str(), number(added.repository), tag.pushed_at.microseconds, tag.pushed_by);
  }
  if (!added.manifest) return id;
  tx.execute(
      "INSERT INTO trash_references (trash_id, digest, repository_id) SELECT $2, digest, repository_id FROM "
      "manifest_references WHERE manifest_id = $1 AND kind <> 'subject' ON CONFLICT (trash_id, digest) DO "
      "NOTHING",
      number(*added.manifest), id);
  count_trash(tx, id);
  forget_manifest(tx, *added.manifest);
  return id;
}

std::optional<TrashItem> find_trash(Session& session, std::int64_t id) {
  return first_item(session.query(items("t.id = $1"), id));
}

Result<std::string> trash_bytes(Session& session, const TrashItem& item) {
  auto row = session.query("SELECT bytes, checksum FROM trash WHERE id = $1", item.id);
  if (row.next()) {
    std::string bytes(as_text(row.bytes(0)));
    if (row.integer(1) == manifest_checksum(item.digest.str(), item.media_type.value_or("")) &&
        Digest::of(item.digest.algorithm(), bytes) == item.digest)
      return bytes;
  }
  return Error(Errc::corrupt, "manifest " + item.digest.str() + " in the trash of " + item.name.str() +
                                  " is damaged: it is not what its checksum or digest says. Push it again, "
                                  "or restore a snapshot of the catalog");
}

std::vector<TrashedTag> trash_tags(Session& session, std::int64_t id) {
  std::vector<TrashedTag> tags;
  auto rows =
      session.query("SELECT tag, pushed_at, pushed_by FROM trash_tags WHERE trash_id = $1 ORDER BY tag", id);
  while (rows.next()) {
    tags.push_back({parse_column<Tag>(rows.text(0), "trash_tags.tag"), Timestamp{rows.integer(1)},
                    std::string(rows.text(2))});
  }
  return tags;
}

std::vector<TrashItem> list_trash(Session& session, const TrashFilter& filter, std::int64_t after,
                                  std::int64_t limit) {
  if (filter.run && filter.repository) {
    return all_items(
        session.query(items("t.run_id = $1 AND t.id > $2 AND t.repository_id = $4 ORDER BY t.id LIMIT $3"),
                      *filter.run, after, limit, number(*filter.repository)));
  }
  if (filter.run) {
    return all_items(session.query(items("t.run_id = $1 AND t.id > $2 ORDER BY t.id LIMIT $3"), *filter.run,
                                   after, limit));
  }
  if (filter.repository) {
    return all_items(session.query(items("t.repository_id = $1 AND t.id > $2 ORDER BY t.id LIMIT $3"),
                                   number(*filter.repository), after, limit));
  }
  return all_items(session.query(items("t.id > $1 ORDER BY t.id LIMIT $2"), after, limit));
}

std::vector<TrashItem> due_trash(Session& session, Timestamp now, std::int64_t limit) {
  return all_items(
      session.query(items("t.erase_after <= $1 ORDER BY t.erase_after LIMIT $2"), now.microseconds, limit));
}

TrashSize trash_size(Session& session, std::int64_t most) {
  TrashSize size;
  auto rows = session.query("SELECT size FROM trash WHERE erase_after <= $1 LIMIT $2", INT64_MAX, most);
  while (rows.next()) {
    const std::int64_t bytes = rows.integer(0);
    if (bytes == 0) continue;  // only tags went
    ++size.manifests;
    size.bytes += bytes;
  }
  return size;
}

std::optional<Digest> trash_needing_blob(Session& session, RepositoryId repository, const Digest& blob) {
  auto row = session.query(
      "SELECT t.digest FROM trash_references f JOIN trash t ON t.id = f.trash_id WHERE f.repository_id = $1 "
      "AND "
      "f.digest = $2 LIMIT 1",
      number(repository), blob.str());
  if (!row.next()) return std::nullopt;
  return parse_column<Digest>(row.text(0), "trash.digest");
}

std::optional<TrashItem> newest_trashed_manifest(Session& session, RepositoryId repository,
                                                 const Digest& digest) {
  return first_item(session.query(
      items("t.repository_id = $1 AND t.digest = $2 AND t.media_type IS NOT NULL ORDER BY t.id DESC LIMIT 1"),
      number(repository), digest.str()));
}

std::vector<TrashItem> trashed_referrers(Session& session, RepositoryId repository, const Digest& subject,
                                         std::int64_t limit) {
  return all_items(session.query(items("t.repository_id = $1 AND t.subject = $2 ORDER BY t.id LIMIT $3"),
                                 number(repository), subject.str(), limit));
}

std::optional<TrashItem> newest_trash_of_tag(Session& session, RepositoryId repository, const Tag& tag) {
  auto row = session.query(
      "SELECT trash_id FROM trash_tags WHERE repository_id = $1 AND tag = $2 ORDER BY trash_id DESC LIMIT 1",
      number(repository), tag.str());
  if (!row.next()) return std::nullopt;
  return find_trash(session, row.integer(0));
}

std::vector<Digest> trashed_above(Session& session, RepositoryId repository, const Digest& digest,
                                  std::int64_t limit) {
  std::vector<Digest> above;
  auto naming = session.query(
      "SELECT t.digest FROM trash_references f JOIN trash t ON t.id = f.trash_id WHERE f.repository_id = $1 "
      "AND f.digest = $2 LIMIT $3",
      number(repository), digest.str(), limit);
  while (naming.next()) above.push_back(parse_column<Digest>(naming.text(0), "trash.digest"));
  auto subjects = session.query(
      "SELECT subject FROM trash WHERE repository_id = $1 AND digest = $2 AND subject IS NOT NULL LIMIT $3",
      number(repository), digest.str(), limit);
  while (subjects.next()) above.push_back(parse_column<Digest>(subjects.text(0), "trash.subject"));
  return above;
}

namespace {

// Its manifest is there again: what is left are names, if it has any.
void keep_names_only(Tx& tx, const TrashItem& item) {
  if (trash_tags(tx, item.id).empty()) return forget_trash(tx, item.id);
  uncount_trash(tx, item.id);
  tx.execute("DELETE FROM trash_references WHERE trash_id = $1", item.id);
  tx.execute(
      "UPDATE trash SET media_type = NULL, subject = NULL, size = 0, created_at = removed_at, created_by = "
      "'', pulled_at = NULL, checksum = $2, bytes = $3 WHERE id = $1",
      item.id, manifest_checksum(item.digest.str(), ""), ByteView());
}

}  // namespace

ManifestId insert_pushed(Tx& tx, RepositoryId repository, const NewManifest& added, Timestamp now,
                         const std::string& actor) {
  auto item = newest_trashed_manifest(tx, repository, added.digest);
  if (!item) return insert_manifest(tx, repository, added, now, actor);
  const ManifestId manifest = insert_manifest(tx, repository, added, item->created_at, item->created_by);
  for (; item; item = newest_trashed_manifest(tx, repository, added.digest)) {
    if (item->pulled_at) raise_pulled_at(tx, manifest, *item->pulled_at);
    keep_names_only(tx, *item);
  }
  note_untagged(tx, manifest, now);
  return manifest;
}

void forget_trash(Tx& tx, std::int64_t id) {
  uncount_trash(tx, id);
  tx.execute("DELETE FROM trash_references WHERE trash_id = $1", id);
  tx.execute("DELETE FROM trash_tags WHERE trash_id = $1", id);
  tx.execute("DELETE FROM trash WHERE id = $1", id);
}

void erase_trash(Tx& tx, std::int64_t id, Timestamp review_after) {
  tx.execute(
      "INSERT INTO reviews (blob_id, repository_id, review_after) SELECT b.id, f.repository_id, $2 FROM "
      "trash_references f JOIN blobs b ON b.digest = f.digest WHERE f.trash_id = $1 ON CONFLICT (blob_id, "
      "repository_id) DO UPDATE SET review_after = excluded.review_after WHERE excluded.review_after > "
      "reviews.review_after",
      id, review_after.microseconds);
  forget_trash(tx, id);
}

void postpone_erasing(Tx& tx, std::int64_t id, Timestamp erase_after) {
  tx.execute("UPDATE trash SET erase_after = $2 WHERE id = $1", id, erase_after.microseconds);
}

}  // namespace stele::catalog
