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

class Run {
 public:
  Run(const RegistryParts& parts, const policy::Policy& present, const policy::Policy& next)
      : parts_(parts), present_(present), next_(next) {}

  Result<PolicyTrial> run(Timestamp since) {
    if (auto done = look_at_tags(); !done) return done.error();
    if (auto done = look_at_bindings(since); !done) return done.error();
    return std::move(trial_);
  }

 private:
  template <class T, class F>
  Result<T> read(F body) {
    return parts_.database.read(body);
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
    std::optional<Error> refusal;
    if (!binding.previous) return;  // the first one always passes
    const policy::Held held{*binding.previous, false, "", {}};
    if (!binding.current) {
      refusal = policy::decide_removal(name, match, held);
    } else if (match.rule->mutability == policy::Mutability::immutable) {
      refusal = policy::decide_immutable(name, match, held, *binding.current);
    } else if (match.rule->mutability == policy::Mutability::forward_only) {
      if (binding.action == "tag.rollback") return;
      if (!both_there(binding)) return;
      const auto previous = read_ordering(parts_, binding.repository, *binding.previous);
      const auto current = read_ordering(parts_, binding.repository, *binding.current);
      if (!previous || !current) {
        ++trial_.undecided;
        return;
      }
      refusal = policy::decide_forward_only(name, match, held, *binding.current, *previous, *current);
    } else if (match.rule->mutability == policy::Mutability::append_only) {
      const auto old = content(binding, *binding.previous), next = content(binding, *binding.current);
      if (!old || !next) {
        ++trial_.undecided;
        return;
      }
      refusal =
          policy::decide_append_only(name, match, held, *binding.current, policy::lost_content(*old, *next));
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

  // What the manifest names; nothing when it is not there any more.
  std::optional<std::vector<std::string>> content(const catalog::PastBinding& binding, const Digest& digest) {
    const auto found = read<std::optional<catalog::StoredManifest>>(
        [&](sql::Session& session) -> Result<std::optional<catalog::StoredManifest>> {
          return catalog::manifest_by_digest(session, binding.repository, digest);
        });
    if (!found || !*found) return std::nullopt;
    return policy::named_content((*found)->bytes);
  }

  bool both_there(const catalog::PastBinding& binding) {
    if (content(binding, *binding.previous) && content(binding, *binding.current)) return true;
    ++trial_.undecided;
    return false;
  }

  const RegistryParts& parts_;
  const policy::Policy& present_;
  const policy::Policy& next_;
  PolicyTrial trial_;
};

}  // namespace

Task<Result<PolicyTrial>> PolicyTrials::run(std::shared_ptr<const policy::Policy> next,
                                            Timestamp since) const {
  const auto present = parts_.policy.current();
  auto pending = thread_.start([&] { return Run(parts_, *present, *next).run(since); });
  co_return co_await pending;
}

}  // namespace stele
