#include "registry/policies.hpp"

namespace stele {
namespace {

constexpr std::int64_t names_per_step = 1000;

// Names that the new policy decides differently are free from now on, each with its record (I3).
void release_names(sql::Tx& tx, const policy::Policy& policy, const audit::Actor& actor, Timestamp now) {
  std::string repository, tag;
  for (;;) {
    const auto names = catalog::list_removed_names(tx, repository, tag, names_per_step);
    if (names.empty()) return;
    for (const catalog::RemovedNameKey& name : names) {
      const policy::Match match = policy.tag_rule(name.repository.str(), name.tag.str());
      if (name.mutability == policy::to_string(match.rule->mutability)) continue;
      catalog::delete_removed_name(tx, name.repository, name.tag);
      audit::append(tx,
                    audit::Event{"name.released", name.repository.str(), name.tag.str(), name.digest,
                                 std::nullopt, match.rule->name},
                    actor, now);
    }
    repository = names.back().repository.str();
    tag = names.back().tag.str();
  }
}

}  // namespace

Task<Result<void>> Policies::adopt(std::shared_ptr<const policy::Policy> policy, audit::Actor actor) const {
  const auto last = parts_.database.read(
      [](sql::Session& session) -> Result<std::string> { return catalog::last_policy_hash(session); });
  if (!last) co_return last.error();
  if (*last == policy->hash()) {
    parts_.policy.replace(std::move(policy));
    co_return Result<void>();
  }
  auto pending = parts_.writer.write({"policy"}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = parts_.clock.now();
    catalog::insert_policy(tx, policy->hash(), policy->source(), now, actor.principal.name());
    audit::append(tx, audit::Event{"policy.load", {}, {}, std::nullopt, std::nullopt, {}, policy->hash()},
                  actor, now);
    release_names(tx, *policy, actor, now);
    // Here and not after the commit: the next closure must not decide a name that was just released by the
    // rules that had bound it. When nothing comes of the commit, the old rules are back before anybody else
    // writes.
    const auto before = parts_.policy.decide_by(policy);
    tx.on_end([&live = parts_.policy, policy, before](bool committed) {
      if (committed) {
        live.replace(policy);
      } else {
        live.decide_by(before);
      }
    });
    return {};
  });
  co_return co_await pending;
}

Result<std::vector<catalog::PolicyVersion>> Policies::versions(std::int64_t limit) const {
  return parts_.database.read([&](sql::Session& session) -> Result<std::vector<catalog::PolicyVersion>> {
    return catalog::list_policies(session, limit);
  });
}

Result<TagExplanation> Policies::explain(const RepositoryName& repository, const Tag& tag) const {
  auto policy = parts_.policy.current();
  const policy::Match match = policy->tag_rule(repository.str(), tag.str());
  TagExplanation explanation{std::move(policy), match,        std::nullopt,
                             std::nullopt,      std::nullopt, std::nullopt};
  auto known = parts_.database.read([&](sql::Session& session) -> Result<void> {
    for (const auto& version : catalog::list_policies(session, 1)) explanation.loaded = version.loaded_at;
    explanation.released = catalog::last_name_release(session, repository, tag);
    if (const auto id = catalog::find_repository(session, repository)) {
      const auto bound = catalog::find_tag(session, *id, repository, tag);
      if (!bound) return bound.error();
      if (*bound) {
        explanation.binding =
            policy::Binding{(*bound)->digest, false, (*bound)->pushed_by, (*bound)->pushed_at};
        explanation.lock =
            catalog::lock_on_tag(session, repository, tag, (*bound)->digest, parts_.release_clock.now());
        return {};
      }
    }
    const auto removed = catalog::find_removed_name(session, repository, tag);
    if (!removed) return removed.error();
    if (*removed && (*removed)->mutability == policy::to_string(match.rule->mutability)) {
      explanation.binding =
          policy::Binding{(*removed)->digest, true, (*removed)->pushed_by, (*removed)->pushed_at};
    }
    return {};
  });
  if (!known) return known.error();
  return explanation;
}

}  // namespace stele
