#include "storage/catalog/mirrored_tags.hpp"

#include "storage/catalog/rows.hpp"

namespace stele::catalog {

Result<std::optional<MirroredTag>> find_mirrored_tag(Session& session, const RepositoryName& repository,
                                                     const Tag& tag) {
  auto row = session.query(
      "SELECT digest, media_type, size, upstream, learned_at, compared_at, checksum FROM mirrored_tags WHERE "
      "repository = $1 AND tag = $2",
      repository.str(), tag.str());
  if (!row.next()) return std::optional<MirroredTag>();
  if (row.integer(6) != tag_checksum(repository.str(), tag.str(), row.text(0))) {
    return Error(Errc::corrupt, "what is stored of the upstream's tag " + tag.str() + " of " +
                                    repository.str() + " does not agree with its checksum");
  }
  return std::optional<MirroredTag>(MirroredTag{
      parse_column<Digest>(row.text(0), "mirrored_tags.digest"), std::string(row.text(1)),
      size_column(row, 2), std::string(row.text(3)), Timestamp{row.integer(4)}, Timestamp{row.integer(5)}});
}

void put_mirrored_tag(Tx& tx, const RepositoryName& repository, const Tag& tag, const MirroredTag& said) {
  tx.execute(
      "INSERT INTO mirrored_tags (repository, tag, digest, media_type, size, upstream, learned_at, "
      "compared_at, checksum) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (repository, tag) DO "
      "UPDATE SET learned_at = CASE WHEN mirrored_tags.digest = excluded.digest THEN "
      "mirrored_tags.learned_at "
      "ELSE excluded.learned_at END, digest = excluded.digest, media_type = excluded.media_type, size = "
      "excluded.size, upstream = excluded.upstream, compared_at = excluded.compared_at, checksum = "
      "excluded.checksum",
      repository.str(), tag.str(), said.digest.str(), said.media_type, static_cast<std::int64_t>(said.size),
      said.upstream, said.learned_at.microseconds, said.compared_at.microseconds,
      tag_checksum(repository.str(), tag.str(), said.digest.str()));
}

void forget_mirrored_tag(Tx& tx, const RepositoryName& repository, const Tag& tag) {
  tx.execute("DELETE FROM mirrored_tags WHERE repository = $1 AND tag = $2", repository.str(), tag.str());
}

std::vector<Tag> mirrored_tags_of(Session& session, const RepositoryName& repository, const Digest& digest,
                                  std::int64_t limit) {
  std::vector<Tag> tags;
  for (const std::string& text : text_rows(session.query(
           "SELECT tag FROM mirrored_tags WHERE repository = $1 AND digest = $2 ORDER BY tag LIMIT $3",
           repository.str(), digest.str(), limit)))
    tags.push_back(parse_column<Tag>(text, "mirrored_tags.tag"));
  return tags;
}

}  // namespace stele::catalog
