#include "registry/policy_trial.hpp"

#include "policy/decide.hpp"
#include "policy/fixed_shape.hpp"
#include "policy/kept_content.hpp"
#include "registry/ordering.hpp"
#include "storage/catalog/catalog.hpp"

namespace stele {
namespace {

constexpr std::int64_t rows_per_step = 1000;

// The first thing in which the two rules differ; empty when they say the same.
std::string difference(const policy::TagRule& a, const policy::TagRule& b) {
  if (a.mutability != b.mutability) return "mutability";
  if (a.mutability == policy::Mutability::forward_only && a.forward_by != b.forward_by) return "forward_by";
  if (a.may_delete != b.may_delete) return "delete";
  if (a.lifecycle_protects != b.lifecycle_protects) return "lifecycle";
  if (a.lock != b.lock) return "lock";
  return {};
}

class Trial {
 public:
  Trial(const RegistryContext& context, const policy::Policy& present, const policy::Policy& next)
      : context_(context), present_(present), next_(next) {}

  Result<PolicyTrial> run(Timestamp since) {
    if (auto done = look_at_tags(); !done) return done.error();
    if (auto done = look_at_bindings(since); !done) return done.error();
    return std::move(trial_);
  }

 private:
  template <class T, class F>
  Result<T> read(F body) {
    return context_.database.read(body);
  }

  Result<void> look_at_tags() {
    for (std::string repository;;) {
      const auto names =
          read<std::vector<std::string>>([&](sql::Session& session) -> Result<std::vector<std::string>> {
            return catalog::list_repositories(session, repository, rows_per_step);
          });
      if (!names) return names.error();
      if (names->empty()) return {};
      for (const std::string& name : *names) {
        if (auto done = look_at_repository(name); !done) return done;
      }
      repository = names->back();
    }
  }

  Result<void> look_at_repository(const std::string& text) {
    const auto name = RepositoryName::parse(text);
    if (!name) return name.error();
    for (std::string last;;) {
      const auto tags =
          read<std::vector<std::string>>([&](sql::Session& session) -> Result<std::vector<std::string>> {
            const auto id = catalog::find_repository(session, *name);
            if (!id) return std::vector<std::string>();  // removed meanwhile
            return catalog::list_tags(session, *id, last, rows_per_step);
          });
      if (!tags) return tags.error();
      if (tags->empty()) return {};
      for (const std::string& tag : *tags) compare(text, tag);
      last = tags->back();
    }
  }

  void compare(const std::string& repository, const std::string& tag) {
    ++trial_.tags;
    const policy::TagRule& before = *present_.tag_rule(repository, tag).rule;
    const policy::Match match = next_.tag_rule(repository, tag);
    const policy::TagRule& after = *match.rule;
    note_uncovered(repository, tag, match);
    std::string what = difference(before, after);
    if (what.empty()) return;
    if (++trial_.tags_changed > std::int64_t{PolicyTrials::most_listed}) return;
    trial_.changed.push_back({repository, tag, before.name, std::string(policy::to_string(before.mutability)),
                              after.name, std::string(policy::to_string(after.mutability)), std::move(what)});
  }

  void note_uncovered(const std::string& repository, const std::string& tag, const policy::Match& match) {
    const bool named = !match.tag_pattern.empty();
    if (named || match.rule->mutability != policy::Mutability::free) return;
    const std::string_view shape = policy::fixed_shape(tag);
    if (shape.empty() || ++trial_.tags_uncovered > std::int64_t{PolicyTrials::most_listed}) return;
    trial_.uncovered.push_back({repository, tag, std::string(shape)});
  }

  Result<void> look_at_bindings(Timestamp since) {
    for (std::int64_t position = 0;;) {
      const auto page = read<std::vector<catalog::PastBinding>>(
          [&](sql::Session& session) -> Result<std::vector<catalog::PastBinding>> {
            return catalog::list_bindings_since(session, since, position, rows_per_step);
          });
      if (!page) return page.error();
      if (page->empty()) return {};
      for (const catalog::PastBinding& binding : *page) judge(binding);
      position = page->back().position;
    }
  }

  // Each by itself: what it did to the tag as it was then.
  void judge(const catalog::PastBinding& binding) {
    ++trial_.bindings;
    const policy::Match match = next_.tag_rule(binding.repository.str(), binding.tag.str());
    const policy::TagName name{binding.repository.str(), binding.tag.str()};
    if (!binding.previous) return;  // the first one always passes
    const policy::Binding present{*binding.previous, false, "", {}};
    std::optional<Error> refusal;
    if (!binding.current) {
      refusal = policy::decide_removal(name, match, present);
    } else {
      const policy::Move move{name, match, present, *binding.current, binding.action == "tag.rollback"};
      policy::Decision decision = policy::decide(move, {}, {});
      if (const policy::Needs* needs = decision.needs()) {
        const auto old = find_out(needs->fact, binding.repository, *binding.previous);
        const auto next = find_out(needs->fact, binding.repository, *binding.current);
        if (!old || !next) {
          ++trial_.undecided;
          return;
        }
        decision = policy::decide(move, *old, *next);
      }
      if (decision.refusal()) refusal = *decision.refusal();
    }
    if (!refusal) return;
    if (++trial_.bindings_refused > std::int64_t{PolicyTrials::most_listed}) return;
    std::string reason;
    for (const Error::Detail& member : refusal->details()) {
      if (member.key == "reason") reason = member.value;
    }
    trial_.refused.push_back({binding.repository.str(), binding.tag.str(), binding.at, binding.actor,
                              match.rule->name, std::move(reason)});
  }

  // Nothing when the manifest is not there any more, or cannot be read.
  std::optional<policy::Facts> find_out(policy::Fact fact, const RepositoryName& repository,
                                        const Digest& digest) {
    policy::Facts facts;
    if (fact == policy::Fact::digests) {
      facts.digests.emplace();  // nobody reads the words that they are for
      return facts;
    }
    const auto found = read<std::optional<catalog::StoredManifest>>(
        [&](sql::Session& session) -> Result<std::optional<catalog::StoredManifest>> {
          return catalog::manifest_by_digest(session, repository, digest);
        });
    if (!found || !*found) return std::nullopt;
    facts.content = policy::named_content((*found)->bytes);
    if (!facts.content) return std::nullopt;
    if (fact == policy::Fact::content) return facts;
    auto ordering = read_ordering(context_, repository, digest);
    if (!ordering) return std::nullopt;
    facts.ordering = std::move(*ordering);
    (void)read<std::optional<bool>>([&](sql::Session& session) -> Result<std::optional<bool>> {
      const auto id = catalog::find_repository(session, repository);
      const auto manifest = id ? catalog::find_manifest(session, *id, digest) : std::nullopt;
      if (manifest) prefer_tags(session, manifest->id, *facts.ordering);
      return std::optional<bool>(manifest.has_value());
    });
    return facts;
  }

  const RegistryContext& context_;
  const policy::Policy& present_;
  const policy::Policy& next_;
  PolicyTrial trial_;
};

}  // namespace

Task<Result<PolicyTrial>> PolicyTrials::run(std::shared_ptr<const policy::Policy> next,
                                            Timestamp since) const {
  const auto present = context_.policy.current();
  auto pending = thread_.start([&] { return Trial(context_, *present, *next).run(since); });
  co_return co_await pending;
}

}  // namespace stele
