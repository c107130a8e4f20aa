#include "registry/policies.hpp"

#include "registry/read_on_pool.hpp"

namespace stele {
namespace {

constexpr std::int64_t names_per_page = 500;  // also the most that one write frees

bool is_decided_otherwise(const policy::Policy& policy, const RepositoryName& repository, const Tag& tag,
                          std::string_view mutability) {
  return policy::to_string(policy.tag_rule(repository.str(), tag.str()).rule->mutability) != mutability;
}

}  // namespace

Task<Result<void>> Policies::adopt(std::shared_ptr<const policy::Policy> policy, audit::Actor actor) const {
  // One at a time: what this one frees is free before the next one decides.
  const auto turn = co_await context_.digest_locks.lock("policy");
  const auto last = context_.database.read(
      [](sql::Session& session) -> Result<std::string> { return catalog::last_policy_hash(session); });
  if (!last) co_return last.error();
  if (*last == policy->hash()) {
    context_.policy.replace(policy);
    co_await release_names(*policy, actor);  // what a crash kept from being freed
    co_return Result<void>();
  }
  auto pending = context_.writer.write({"policy"}, [&](sql::Tx& tx) -> Result<void> {
    const Timestamp now = context_.clock.now();
    catalog::insert_policy(tx, policy->hash(), policy->source(), now, actor.principal.name());
    audit::append(tx, audit::Event{"policy.load", {}, {}, std::nullopt, std::nullopt, {}, policy->hash()},
                  actor, now);
    // Here and not after the commit: the next closure must not decide by rules that are no longer in force.
    // When nothing comes of the commit, the old ones are back before anybody else writes.
    const auto before = context_.policy.decide_by(policy);
    tx.on_end([&live = context_.policy, policy, before](bool committed) {
      if (committed) {
        live.replace(policy);
      } else {
        live.decide_by(before);
      }
    });
    return {};
  });
  const Result<void> adopted = co_await pending;
  if (!adopted) co_return adopted;
  co_await release_names(*policy, actor);
  co_return Result<void>();
}

Task<void> Policies::release_names(const policy::Policy& policy, const audit::Actor& actor) const {
  using Names = std::vector<catalog::RemovedNameKey>;
  std::string repository, tag;  // up to which all were looked at
  const auto page = [&](sql::Session& session) -> Result<Names> {
    return catalog::list_removed_names(session, repository, tag, names_per_page);
  };
  for (;;) {
    auto reading = read_on_pool<Names>(context_, page);
    auto names = co_await std::move(reading);
    if (!names || names->empty()) co_return;
    repository = names->back().repository.str();
    tag = names->back().tag.str();
    std::erase_if(*names, [&](const catalog::RemovedNameKey& name) {
      return !is_decided_otherwise(policy, name.repository, name.tag, name.mutability);
    });
    if (names->empty()) continue;
    auto freeing = context_.writer.write({"policy"}, [&](sql::Tx& tx) -> Result<void> {
      for (const catalog::RemovedNameKey& name : *names) free_name(tx, policy, name, actor);
      return {};
    });
    const Result<void> freed = co_await freeing;
    if (!freed) co_return;
  }
}

void Policies::free_name(sql::Tx& tx, const policy::Policy& policy, const catalog::RemovedNameKey& name,
                         const audit::Actor& actor) const {
  // Somebody may have taken it since it was looked for, or given it up anew under this policy.
  const auto kept = catalog::find_removed_name(tx, name.repository, name.tag);
  if (!kept || !*kept || !is_decided_otherwise(policy, name.repository, name.tag, (*kept)->mutability))
    return;
  catalog::delete_removed_name(tx, name.repository, name.tag);
  audit::append(tx,
                audit::Event{"name.released", name.repository.str(), name.tag.str(), (*kept)->digest,
                             std::nullopt, policy.tag_rule(name.repository.str(), name.tag.str()).rule->name},
                actor, context_.clock.now());
}

Result<std::vector<catalog::PolicyVersion>> Policies::versions(std::int64_t limit) const {
  return context_.database.read([&](sql::Session& session) -> Result<std::vector<catalog::PolicyVersion>> {
    return catalog::list_policies(session, limit);
  });
}

Result<TagExplanation> Policies::explain(const RepositoryName& repository, const Tag& tag) const {
  auto policy = context_.policy.current();
  const policy::Match match = policy->tag_rule(repository.str(), tag.str());
  TagExplanation explanation{std::move(policy), match,        std::nullopt,
                             std::nullopt,      std::nullopt, std::nullopt};
  auto known = context_.database.read([&](sql::Session& session) -> Result<void> {
    for (const auto& version : catalog::list_policies(session, 1)) explanation.loaded = version.loaded_at;
    explanation.released = catalog::last_name_release(session, repository, tag);
    if (const auto id = catalog::find_repository(session, repository)) {
      const auto bound = catalog::find_tag(session, *id, repository, tag);
      if (!bound) return bound.error();
      if (*bound) {
        explanation.binding =
            policy::Binding{(*bound)->digest, false, (*bound)->pushed_by, (*bound)->pushed_at};
        explanation.lock =
            catalog::lock_on_tag(session, repository, tag, (*bound)->digest, context_.release_clock.now());
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
