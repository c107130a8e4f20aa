#include "registry/tag_rules.hpp"

#include <algorithm>

#include "policy/emptying.hpp"
#include "policy/kept_content.hpp"
#include "policy/version.hpp"
#include "registry/ordering.hpp"
#include "registry/protection.hpp"
#include "registry/ruled_write.hpp"

namespace stele {
namespace {

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

// "{}", which stands where there is no content (image specification, manifest.md, "Guidance for an Empty
// Descriptor"); regctl's dummies have it for a layer.
constexpr std::string_view empty_json =
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

bool has_nothing(sql::Session& session, catalog::ManifestId manifest) {
  const auto content = catalog::named_content(session, manifest);
  return std::all_of(content.begin(), content.end(),
                     [](const std::string& digest) { return digest == empty_json; });
}

// A move that leaves nothing under the tag is judged as a removal is.
std::optional<Error> decide_emptying(sql::Session& session, const policy::Move& move,
                                     const RepositoryName& repository, const Tag& tag,
                                     catalog::ManifestId present, catalog::ManifestId offered,
                                     bool deletion) {
  auto row = catalog::hold_on_repository(session, repository);
  if (!row) row = catalog::hold_on_tag(session, repository, tag);
  if (move.match.rule->may_delete && !row && deletion) return std::nullopt;
  if (!has_nothing(session, offered)) return std::nullopt;
  // What has nothing loses nothing.
  if (has_nothing(session, present)) return std::nullopt;
  std::optional<policy::TagHold> hold;
  if (row) hold = policy::TagHold{row->name, row->case_number};
  return policy::decide_emptying(move.name, move.match, move.present, move.offered, hold, deletion);
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

// What a name under a rule is bound to: its tag's manifest, or the one it had when the tag was removed.
struct TagRules::Target {
  policy::Binding binding;
  std::optional<catalog::ManifestId> manifest;  // of a tag that is there
  std::optional<catalog::RemovedName> removed;  // of one that is not
};

Error TagRules::record(Error refusal, const Tag& tag, const std::optional<Digest>& existing,
                       const std::optional<Digest>& offered) {
  record_refusal(tx_, "tag.refused", repository_, tag.str(), existing, offered, refusal, actor_, now_);
  return refusal;
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

Result<policy::Facts> TagRules::find_out(policy::Fact fact, const Digest& digest,
                                         catalog::ManifestId manifest) {
  policy::Facts facts;
  switch (fact) {
    case policy::Fact::digests:
      facts.digests = catalog::named_content(tx_, manifest);
      break;
    case policy::Fact::content: {
      auto lines = content(tx_, repository_, digest);
      if (!lines) return lines.error();
      facts.content = std::move(*lines);
      break;
    }
    case policy::Fact::ordering:
      facts.ordering = ordering_of(digest, manifest);
      break;
  }
  return facts;
}

std::optional<policy::Ordering> TagRules::ordering_of(const Digest& digest, catalog::ManifestId manifest) {
  auto ordering = orderings_.find(digest);
  if (ordering) prefer_tags(tx_, manifest, *ordering);
  return ordering;
}

std::optional<Error> TagRules::decide(const policy::Move& move, const Target& target,
                                      catalog::ManifestId offered) {
  policy::Facts of_present, of_offered;
  if (target.removed) {
    of_present.content = target.removed->content;
    of_present.ordering = policy::Ordering{target.removed->version, target.removed->created};
  }
  policy::Decision decision = policy::decide(move, of_present, of_offered);
  if (const policy::Needs* needs = decision.needs()) {
    const policy::Needs needed = *needs;
    if (needed.of_offered) {
      auto found = find_out(needed.fact, move.offered, offered);
      if (!found) return found.error();
      of_offered = std::move(*found);
    }
    if (needed.of_present) {
      auto found = find_out(needed.fact, move.present.digest, target.manifest.value());
      if (!found) return found.error();
      of_present = std::move(*found);
    }
    decision = policy::decide(move, of_present, of_offered);
  }
  if (decision.allowed()) return std::nullopt;
  if (const Error* refusal = decision.refusal()) return *refusal;
  return Error(Errc::unavailable, "the image's version is still to be read");
}

Result<void> TagRules::bind(const Tag& tag, catalog::ManifestId manifest, const Digest& digest,
                            const Cause& cause) {
  const auto bound = catalog::find_tag(tx_, id_, repository_, tag);
  if (!bound) return bound.error();
  if (*bound && (*bound)->digest == digest) {
    catalog::note_push(tx_, id_, tag, manifest, now_);  // somebody wants it today
    return {};
  }
  const policy::Match match = policy_->tag_rule(repository_.str(), tag.str());
  const auto present = target(tag, *bound, match);
  if (!present) return present.error();
  if (const auto& known = *present) {
    const policy::Move move{{repository_.str(), tag.str()}, match, known->binding, digest, cause.backwards};
    auto refusal = decide(move, *known, manifest);
    if (!refusal && *bound)
      refusal = decide_emptying(tx_, move, repository_, tag, (*bound)->manifest, manifest, deletion_);
    if (refusal && refusal->code() != Errc::refused_by_policy) return *refusal;
    if (refusal) return record(std::move(*refusal), tag, known->binding.digest, digest);
    if (known->removed) catalog::delete_removed_name(tx_, repository_, tag);  // the tag holds it from now on
  }

  std::optional<Digest> previous;
  if (*bound) previous = (*bound)->digest;
  const std::optional<Digest> current = digest;
  const std::string& by = actor_.principal.name();
  catalog::set_tag(tx_, id_, repository_, catalog::TagBinding{tag, manifest, digest, now_, by});
  if (*bound) catalog::note_untagged(tx_, (*bound)->manifest, now_);
  const std::int64_t event = audit::append(tx_,
                                           audit::Event{cause.action, repository_.str(), tag.str(), previous,
                                                        current, match.rule->name, cause.reason},
                                           actor_, now_);
  catalog::append_tag_history(tx_, id_,
                              catalog::TagChange{tag, previous, current, now_, by, event, match.rule->name});
  stamp(tag, digest, *match.rule);
  return {};
}

Result<void> TagRules::bind_all(const std::vector<Tag>& tags, catalog::ManifestId manifest,
                                const Digest& digest, const Cause& cause) {
  for (const bool full : {true, false}) {
    for (const Tag& tag : tags) {
      if (policy::is_full_version(tag.str()) != full) continue;
      if (auto bound = bind(tag, manifest, digest, cause); !bound) return bound;
    }
  }
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
  const policy::Binding present{binding.digest, false, binding.pushed_by, binding.pushed_at};
  if (auto refusal = policy::decide_removal({repository_.str(), tag.str()}, match, present))
    return record(std::move(*refusal), tag, binding.digest, std::nullopt);
  return take_away(tag, binding, match, Departure{"tag.delete", match.rule->name, {}});
}

Result<std::string> TagRules::release(const Tag& tag, const catalog::TagBinding& binding,
                                      std::string_view reason) {
  const policy::Match match = policy_->tag_rule(repository_.str(), tag.str());
  auto gone = take_away(tag, binding, match, Departure{"tag.delete", match.rule->name, reason, true});
  if (!gone) return gone.error();
  return match.rule->name;
}

Result<void> TagRules::remove_expired(const Tag& tag, const catalog::TagBinding& binding,
                                      const Expiry& expiry) {
  const policy::Match match = policy_->tag_rule(repository_.str(), tag.str());
  const policy::Binding present{binding.digest, false, binding.pushed_by, binding.pushed_at};
  if (auto refusal = policy::decide_expiry({repository_.str(), tag.str()}, match, present))
    return record(std::move(*refusal), tag, binding.digest, std::nullopt);
  const std::string reason = "run " + std::to_string(expiry.run) + ": " + std::string(expiry.reason);
  return take_away(tag, binding, match, Departure{"tag.expire", expiry.rule, reason});
}

Result<void> TagRules::take_away(const Tag& tag, const catalog::TagBinding& binding,
                                 const policy::Match& match, const Departure& departure) {
  const Protection protection(tx_, id_, repository_, release_time_);
  if (auto refusal = protection.of_tag(tag, binding.digest))
    return record(std::move(*refusal), tag, binding.digest, std::nullopt);
  if (match.rule->mutability != policy::Mutability::free && !departure.frees_name) {
    policy::Ordering past;
    if (match.rule->mutability == policy::Mutability::forward_only) {
      const auto known = ordering_of(binding.digest, binding.manifest);
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
