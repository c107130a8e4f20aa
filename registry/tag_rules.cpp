#include "registry/tag_rules.hpp"

#include <algorithm>

#include "policy/emptying.hpp"
#include "policy/kept_content.hpp"
#include "registry/protection.hpp"
#include "registry/ruled_write.hpp"

namespace stele {
namespace {

bool lists(const std::vector<std::string>& digests, const Digest& digest) {
  return std::binary_search(digests.begin(), digests.end(), digest.str());
}

std::string detail_of(const Error& error, std::string_view key) {
  for (const Error::Detail& member : error.details()) {
    if (member.key == key) return member.value;
  }
  return {};
}

// What append-only compares; corrupt when the manifest cannot be read (I8).
Result<std::vector<std::string>> content(sql::Session& session, const RepositoryName& repository,
                                         const Digest& digest) {
  const auto stored = catalog::manifest_by_digest(session, repository, digest);
  if (!stored) return stored.error();
  std::optional<std::vector<std::string>> lines;
  if (*stored) lines = policy::named_content((*stored)->bytes);
  if (lines) return std::move(*lines);
  return Error(Errc::corrupt, "the manifest " + digest.str() + " in " + repository.str() +
                                  " cannot be read, so that nobody can tell what a tag on it would lose");
}

struct Binding {
  const Tag& tag;
  catalog::ManifestId manifest;
  const Digest& digest;
};

// A move that leaves nothing under the tag is judged as a removal is.
std::optional<Error> decide_emptying(sql::Session& session, const policy::TagName& name,
                                     const policy::Match& match, const policy::Held& held,
                                     const RepositoryName& repository, catalog::ManifestId present,
                                     const Binding& next) {
  auto row = catalog::hold_on_repository(session, repository);
  if (!row) row = catalog::hold_on_tag(session, repository, next.tag);
  if (match.rule->may_delete && !row) return std::nullopt;
  if (!catalog::named_content(session, next.manifest).empty()) return std::nullopt;
  // What has nothing loses nothing.
  if (catalog::named_content(session, present).empty()) return std::nullopt;
  std::optional<policy::TagHold> hold;
  if (row) hold = policy::TagHold{row->name, row->case_number};
  return policy::decide_emptying(name, match, held, next.digest, hold);
}

}  // namespace

void record_refusal(sql::Tx& tx, std::string action, const RepositoryName& repository, std::string tag,
                    const std::optional<Digest>& existing, const std::optional<Digest>& offered,
                    const Error& error, const audit::Actor& actor, Timestamp now) {
  tx.on_refusal([action = std::move(action), repository = repository.str(), tag = std::move(tag), existing,
                 offered, rule = detail_of(error, "rule"), reason = detail_of(error, "reason"), actor,
                 now](sql::Tx& after) {
    audit::append(after, audit::Event{action, repository, tag, existing, offered, rule, reason}, actor, now);
  });
}

// What a name under a rule holds: its tag's manifest, or the one it had when the tag was removed.
struct TagRules::Target {
  policy::Held held;
  std::optional<catalog::ManifestId> manifest;  // of a tag that is there
  std::optional<catalog::RemovedName> removed;  // of one that is not
};

Error TagRules::record(Error refusal, const Tag& tag, const std::optional<Digest>& existing,
                       const std::optional<Digest>& offered, const policy::Match&) {
  record_refusal(tx_, "tag.refused", repository_, tag.str(), existing, offered, refusal, actor_, now_);
  return refusal;
}

const policy::Ordering* TagRules::ordering(const Digest& digest) {
  const auto found = orderings_.find(digest.str());
  if (found != orderings_.end()) return &found->second;
  missing_.push_back(digest);
  return nullptr;
}

Result<std::optional<TagRules::Target>> TagRules::target(const Tag& tag,
                                                         const std::optional<catalog::TagBinding>& bound,
                                                         const policy::Match& match) {
  if (bound) {
    Target present{{bound->digest, false, bound->pushed_by, bound->pushed_at}, bound->manifest, std::nullopt};
    return std::optional<Target>(std::move(present));
  }
  auto removed = catalog::find_removed_name(tx_, repository_, tag);
  if (!removed) return removed.error();
  if (!*removed) return std::optional<Target>();
  if ((*removed)->mutability != policy::to_string(match.rule->mutability)) {
    // The rule under which the name was bound decides it no longer: it is free, and that is written down
    // (I3).
    catalog::delete_removed_name(tx_, repository_, tag);
    audit::append(tx_,
                  audit::Event{"name.released", repository_.str(), tag.str(), (*removed)->digest,
                               std::nullopt, match.rule->name},
                  actor_, now_);
    return std::optional<Target>();
  }
  Target past{
      {(*removed)->digest, true, (*removed)->pushed_by, (*removed)->pushed_at}, std::nullopt, **removed};
  return std::optional<Target>(std::move(past));
}

std::optional<Error> TagRules::decide(const policy::TagName& name, const policy::Match& match,
                                      const Target& target, catalog::ManifestId manifest,
                                      const Digest& offered, const Road& road) {
  switch (match.rule->mutability) {
    case policy::Mutability::free:
      return std::nullopt;
    case policy::Mutability::immutable:
      if (target.held.digest == offered) return std::nullopt;
      // Older versions of buildx push each platform under the tag before the index.
      if (lists(catalog::named_content(tx_, manifest), target.held.digest)) {
        return policy::refuse_move(name, match, target.held, offered, "TAG_IMMUTABLE",
                                   ", an index that contains it: a tool that pushes each platform under the "
                                   "tag before the index must push the platforms by digest");
      }
      return policy::decide_immutable(name, match, target.held, offered);
    case policy::Mutability::append_only: {
      if (target.held.digest == offered) return std::nullopt;
      const Result<std::vector<std::string>> next = content(tx_, repository_, offered);
      if (!next) return next.error();
      if (target.removed) {
        return policy::decide_append_only(name, match, target.held, offered,
                                          policy::lost_content(target.removed->content, *next));
      }
      const Result<std::vector<std::string>> old = content(tx_, repository_, target.held.digest);
      if (!old) return old.error();
      return policy::decide_append_only(name, match, target.held, offered, policy::lost_content(*old, *next));
    }
    case policy::Mutability::forward_only: {
      if (target.held.digest == offered || road.backwards) return std::nullopt;
      const policy::Ordering* next = ordering(offered);
      policy::Ordering past;
      const policy::Ordering* present = &past;
      if (target.removed) {
        past = {target.removed->version, target.removed->created};
      } else {
        present = ordering(target.held.digest);
      }
      if (!next || !present) return Error(Errc::unavailable, "the image's version is still to be read");
      return policy::decide_forward_only(name, match, target.held, offered, *present, *next);
    }
  }
  return Error(Errc::internal, "a rule that nobody knows");  // I8
}

Result<void> TagRules::bind(const Tag& tag, catalog::ManifestId manifest, const Digest& digest,
                            const Road& road) {
  const auto bound = catalog::find_tag(tx_, id_, repository_, tag);
  if (!bound) return bound.error();
  if (*bound && (*bound)->digest == digest) {
    catalog::note_push(tx_, id_, tag, manifest, now_);  // somebody wants it today
    return {};
  }
  const policy::Match match = policy_->tag_rule(repository_.str(), tag.str());
  const auto held = target(tag, *bound, match);
  if (!held) return held.error();
  if (*held) {
    const std::size_t missing_before = missing_.size();
    const policy::TagName name{repository_.str(), tag.str()};
    auto refusal = decide(name, match, **held, manifest, digest, road);
    if (missing_.size() > missing_before) return *refusal;
    if (!refusal && *bound) {
      const Binding next{tag, manifest, digest};
      refusal = decide_emptying(tx_, name, match, (*held)->held, repository_, (*bound)->manifest, next);
    }
    if (refusal && refusal->code() != Errc::refused_by_policy) return *refusal;
    if (refusal) return record(std::move(*refusal), tag, (*held)->held.digest, digest, match);
    if ((*held)->held.removed)
      catalog::delete_removed_name(tx_, repository_, tag);  // the tag holds it from now on
  }

  std::optional<Digest> previous;
  if (*bound) previous = (*bound)->digest;
  const std::optional<Digest> current = digest;
  const std::string& by = actor_.principal.name();
  catalog::set_tag(tx_, id_, repository_, catalog::TagBinding{tag, manifest, digest, now_, by});
  if (*bound) catalog::note_untagged(tx_, (*bound)->manifest, now_);
  const std::int64_t event = audit::append(tx_,
                                           audit::Event{road.action, repository_.str(), tag.str(), previous,
                                                        current, match.rule->name, road.reason},
                                           actor_, now_);
  catalog::append_tag_history(tx_, id_,
                              catalog::TagChange{tag, previous, current, now_, by, event, match.rule->name});
  stamp(tag, digest, *match.rule);
  return {};
}

void TagRules::stamp(const Tag& tag, const Digest& digest, const policy::TagRule& rule) {
  if (!rule.lock) return;
  // From the later of the two clocks: never too short.
  const Timestamp until = std::max(now_, release_time_) + rule.lock->seconds * 1'000'000;
  catalog::put_lock(
      tx_, catalog::LockRow{repository_, digest, tag, std::string(policy::to_string(rule.lock->mode)), until,
                            rule.name, now_, actor_.principal.name()});
  audit::append(tx_,
                audit::Event{"lock.stamp", repository_.str(), tag.str(), std::nullopt, digest, rule.name,
                             to_string(until)},
                actor_, now_);
}

Result<void> TagRules::remove(const Tag& tag, const catalog::TagBinding& binding) {
  const policy::Match match = policy_->tag_rule(repository_.str(), tag.str());
  const policy::Held held{binding.digest, false, binding.pushed_by, binding.pushed_at};
  if (auto refusal = policy::decide_removal({repository_.str(), tag.str()}, match, held))
    return record(std::move(*refusal), tag, binding.digest, std::nullopt, match);
  return take_away(tag, binding, match, Departure{"tag.delete", match.rule->name, {}});
}

Result<void> TagRules::remove_expired(const Tag& tag, const catalog::TagBinding& binding,
                                      const Expiry& expiry) {
  const policy::Match match = policy_->tag_rule(repository_.str(), tag.str());
  const policy::Held held{binding.digest, false, binding.pushed_by, binding.pushed_at};
  if (auto refusal = policy::decide_expiry({repository_.str(), tag.str()}, match, held))
    return record(std::move(*refusal), tag, binding.digest, std::nullopt, match);
  const std::string reason = "run " + std::to_string(expiry.run) + ": " + std::string(expiry.reason);
  return take_away(tag, binding, match, Departure{"tag.expire", expiry.rule, reason});
}

Result<void> TagRules::take_away(const Tag& tag, const catalog::TagBinding& binding,
                                 const policy::Match& match, const Departure& departure) {
  const Protection protection(tx_, id_, repository_, release_time_);
  if (auto refusal = protection.of_tag(tag, binding.digest))
    return record(std::move(*refusal), tag, binding.digest, std::nullopt, match);
  if (match.rule->mutability != policy::Mutability::free) {
    policy::Ordering past;
    if (match.rule->mutability == policy::Mutability::forward_only) {
      const policy::Ordering* known = ordering(binding.digest);
      if (!known) return Error(Errc::unavailable, "the image's version is still to be read");
      past = *known;
    }
    // Only the rule under which it was removed asks for what it compares: under another one the name is free.
    std::vector<std::string> named;
    if (match.rule->mutability == policy::Mutability::append_only) {
      // Of a damaged manifest its digests are still known; it can be removed, and its name stays bound by
      // them.
      auto read = content(tx_, repository_, binding.digest);
      named = read ? std::move(*read) : catalog::named_content(tx_, binding.manifest);
    }
    catalog::put_removed_name(
        tx_, repository_, tag,
        catalog::RemovedName{std::string(policy::to_string(match.rule->mutability)), binding.digest,
                             binding.pushed_at, binding.pushed_by, named, past.version, past.created});
  }
  catalog::delete_tag(tx_, id_, tag);
  catalog::note_untagged(tx_, binding.manifest, now_);
  const std::optional<Digest> previous = binding.digest;
  const std::optional<Digest> nothing;
  const std::int64_t event = audit::append(tx_,
                                           audit::Event{departure.action, repository_.str(), tag.str(),
                                                        previous, nothing, departure.rule, departure.reason},
                                           actor_, now_);
  catalog::append_tag_history(
      tx_, id_,
      catalog::TagChange{tag, previous, nothing, now_, actor_.principal.name(), event, departure.rule});
  return {};
}

}  // namespace stele
