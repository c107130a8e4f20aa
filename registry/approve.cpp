#include "registry/ruled_write.hpp"
#include "registry/tag_moves.hpp"
#include "registry/unknown.hpp"

namespace stele {

Task<Result<ApprovedTag>> TagMoves::approve(Approval asked) const {
  context_.leases.take(asked.digest);
  std::optional<ApprovedTag> done;
  const RuledBody body = [&](sql::Tx& tx, Orderings& orderings) -> Result<void> {
    done.reset();
    const auto id = catalog::find_repository(tx, asked.repository);
    if (!id) return unknown_repository(asked.repository);
    const auto bound = catalog::find_tag(tx, *id, asked.repository, asked.tag);
    if (!bound) return bound.error();
    std::optional<Digest> present;
    if (*bound) present = (*bound)->digest;
    const auto manifest = catalog::find_manifest(tx, *id, asked.digest);
    if (!manifest) return unknown_manifest(asked.repository, Reference(asked.digest));
    TagRules rules(tx, context_, *id, asked.repository, asked.actor, orderings);
    auto moved = rules.bind(asked.tag, manifest->id, asked.digest, Cause{"tag.approve", asked.origin});
    if (!moved) return moved;
    done.emplace(ApprovedTag{present, asked.digest});
    return {};
  };
  sql::Keys keys{"digest:" + asked.digest.str(), "tag:" + asked.repository.str() + ":" + asked.tag.str()};
  const Result<void> written =
      co_await write_under_rules(context_, std::move(keys), asked.repository, std::nullopt, body);
  if (!written) co_return written.error();
  co_return std::move(*done);
}

}  // namespace stele
