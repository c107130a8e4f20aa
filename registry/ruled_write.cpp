#include "registry/ruled_write.hpp"

#include "base/media_type.hpp"
#include "registry/ordering.hpp"

namespace stele {
namespace {

Error unknown_reference(const RepositoryName& repository, const char* what, const Digest& digest) {
  return Error(Errc::manifest_reference_unknown, std::string("manifest names ") + what + " " + digest.str() +
                                                     ", which " + repository.str() +
                                                     " does not have; push it first")
      .with("digest", digest.str());
}

}  // namespace

Result<void> check_references(const RegistryContext& context, sql::Session& session, catalog::RepositoryId id,
                              const RepositoryName& repository, const Manifest& manifest) {
  if (context.references.mode(repository) == ReferenceMode::sparse) return {};
  const auto has_blob = [&](const Digest& digest) {
    return catalog::repository_has_blob(session, id, digest) && !context.quarantine.holds(digest);
  };
  if (manifest.config() && !has_blob(manifest.config()->digest)) {
    return unknown_reference(repository, "the config", manifest.config()->digest);
  }
  std::vector<Descriptor> layers = manifest.layers();
  std::erase_if(layers, [](const auto& layer) { return media_type::is_nondistributable(layer.media_type); });
  for (const Digest& layer : digests_of(layers)) {
    if (!has_blob(layer)) return unknown_reference(repository, "the layer", layer);
  }
  for (const Digest& entry : digests_of(manifest.entries())) {
    // buildkit's cache export lists layers: an entry may be a blob.
    if (catalog::find_manifest(session, id, entry) || has_blob(entry)) continue;
    return unknown_reference(repository, "the entry", entry);
  }
  return {};
}

Task<Result<void>> write_under_rules(const RegistryContext& context, sql::Keys keys,
                                     const RepositoryName& repository, std::optional<OfferedManifest> offered,
                                     const RuledBody& body) {
  constexpr int most_attempts = 10;  // each fails only because somebody else moved the tag meanwhile
  Orderings orderings;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    auto pending = context.writer.write(keys, [&](sql::Tx& tx) -> Result<void> {
      orderings.forget_unread();
      Result<void> done = body(tx, orderings);
      if (orderings.unread().empty()) return done;
      // It is decided again, with what is unread: then comes the record of what is refused, once (I4).
      tx.on_refusal({});
      if (done) return Error(Errc::unavailable, "the images' versions are still to be read");
      return done;
    });
    const Result<void> written = co_await pending;
    const std::vector<Digest> unread = orderings.unread();
    if (unread.empty()) co_return written;
    auto reading = context.db.start([&]() -> Result<void> {
      for (const Digest& wanted : unread) {
        const bool at_hand = offered && offered->digest == wanted;
        auto read = at_hand ? read_ordering(context, offered->repository, offered->bytes)
                            : read_ordering(context, repository, wanted);
        if (!read) return read.error();
        orderings.put(wanted, std::move(*read));
      }
      return {};
    });
    const Result<void> known = co_await reading;
    if (!known) co_return known;
  }
  co_return Error(Errc::unavailable, "the tag is moved faster than its rule can be decided; try again");
}

}  // namespace stele
