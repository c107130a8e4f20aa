#pragma once
// What upstreams said of the tags of mirrored repositories. Conventions: catalog.hpp. The tags themselves, as
// this registry has them, are in `tags`: a row here is no binding.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/catalog/catalog.hpp"

namespace stele::catalog {

struct MirroredTag {
  Digest digest;
  std::string media_type;
  std::uint64_t size;    // of the manifest
  std::string upstream;  // "https://registry-1.docker.io"
  Timestamp learned_at;  // since when it has said this digest: another one in between begins anew
  Timestamp compared_at;
};

// corrupt: the row's checksum does not agree.
Result<std::optional<MirroredTag>> find_mirrored_tag(Session&, const RepositoryName&, const Tag&);
// Inserts or replaces; `learned_at` stays when the digest does.
void put_mirrored_tag(Tx&, const RepositoryName&, const Tag&, const MirroredTag&);
void forget_mirrored_tag(Tx&, const RepositoryName&, const Tag&);
// The tags that were said to name this digest, at most `limit`.
std::vector<Tag> mirrored_tags_of(Session&, const RepositoryName&, const Digest&, std::int64_t limit);

struct MirroredTagName {
  RepositoryName repository;
  Tag tag;
};
// Those of all repositories below this prefix (that of a mirror), by repository and tag, after `last`.
std::vector<MirroredTagName> list_mirrored_tags(Session&, std::string_view prefix,
                                                const std::optional<MirroredTagName>& last,
                                                std::int64_t limit);

}  // namespace stele::catalog
