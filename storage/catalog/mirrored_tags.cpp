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

std::vector<MirroredTagName> list_mirrored_tags(Session& session, std::string_view prefix,
                                                const std::optional<MirroredTagName>& last,
                                                std::int64_t limit) {
  // "docker.io0" follows everything that begins with "docker.io/".
  const std::string first = std::string(prefix) + '/';
  const std::string end = std::string(prefix) + static_cast<char>('/' + 1);
  const std::string repository = last ? last->repository.str() : first;
  const std::string tag = last ? last->tag.str() : std::string();
  std::vector<MirroredTagName> names;
  auto rows = session.query(
      "SELECT repository, tag FROM mirrored_tags WHERE (repository, tag) > ($1, $2) AND repository < $3 "
      "ORDER BY repository, tag LIMIT $4",
      repository, tag, end, limit);
  while (rows.next()) {
    names.push_back({parse_column<RepositoryName>(rows.text(0), "mirrored_tags.repository"),
                     parse_column<Tag>(rows.text(1), "mirrored_tags.tag")});
  }
  return names;
}

}  // namespace stele::catalog
