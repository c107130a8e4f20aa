#include "policy/rules.hpp"

#include <re2/re2.h>
#include <re2/set.h>

#include <map>
#include <mutex>
#include <stdexcept>

#include "base/digest.hpp"
#include "policy/lifecycle_rules.hpp"
#include "policy/pattern.hpp"
#include "policy/quotas.hpp"

namespace stele::policy {
namespace {

RE2::Options set_options() {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(64 << 20);
  return options;
}

// All patterns of one kind in one automaton: a text is read once, however many rules there are.
class PatternSet {
 public:
  // A list of patterns as numbers.
  struct List {
    std::vector<int> positives;
    std::vector<int> negatives;
  };
  // The patterns that a text matches, by number.
  using Matched = std::vector<char>;

  List add(const std::vector<std::string>& patterns) {
    List list;
    for (const std::string& pattern : patterns) {
      const bool negative = pattern.starts_with('!');
      (negative ? list.negatives : list.positives).push_back(number(pattern.substr(negative ? 1 : 0)));
    }
    return list;
  }

  void finish() {
    if (!set_.Compile()) throw std::invalid_argument("the patterns of the policy need too much memory");
  }

  Matched match(std::string_view text) const {
    Matched matched(texts_.size(), 0);
    if (texts_.empty()) return matched;
    std::vector<int> numbers;
    RE2::Set::ErrorInfo error{};
    if (set_.Match(re2::StringPiece(text.data(), text.size()), &numbers, &error)) {
      for (const int found : numbers) matched[static_cast<std::size_t>(found)] = 1;
    } else if (error.kind != RE2::Set::kNoError) {
      // The automaton ran out of memory: one pattern after the other needs none (I8).
      for (std::size_t i = 0; i < texts_.size(); ++i) matched[i] = alone_[i].matches(text);
    }
    return matched;
  }

  // The first positive pattern of the list that matches, when no negative does; -1 otherwise.
  static int first(const List& list, const Matched& matched) {
    for (const int number : list.negatives) {
      if (matched[static_cast<std::size_t>(number)]) return -1;
    }
    for (const int number : list.positives) {
      if (matched[static_cast<std::size_t>(number)]) return number;
    }
    return -1;
  }

  // The first positive and the first negative pattern that match; -1: none.
  struct Sides {
    int positive = -1;
    int negative = -1;
    bool matches() const { return positive >= 0 && negative < 0; }
  };
  static Sides sides(const List& list, const Matched& matched) {
    const auto find = [&](const std::vector<int>& numbers) {
      for (const int number : numbers) {
        if (matched[static_cast<std::size_t>(number)]) return number;
      }
      return -1;
    };
    return {find(list.positives), find(list.negatives)};
  }

  std::string_view text(int number) const { return texts_[static_cast<std::size_t>(number)]; }

 private:
  int number(const std::string& pattern) {
    const auto known = numbers_.find(pattern);
    if (known != numbers_.end()) return known->second;
    const auto regex = pattern_to_regex(pattern);
    auto alone = PatternList::compile({pattern});
    if (!regex || !alone)
      throw std::invalid_argument(regex ? alone.error().message() : regex.error().message());
    std::string error;
    const int added = set_.Add(*regex, &error);
    if (added < 0) throw std::invalid_argument("pattern " + pattern + ": " + error);
    numbers_.emplace(pattern, added);
    texts_.push_back(pattern);
    alone_.push_back(std::move(*alone));
    return added;
  }

  RE2::Set set_{set_options(), RE2::ANCHOR_BOTH};
  std::map<std::string, int> numbers_;
  std::vector<std::string> texts_;
  std::vector<PatternList> alone_;
};

}  // namespace

struct Policy::Index {
  PatternSet repositories;
  PatternSet tags;
  struct Entry {
    PatternSet::List repositories;
    PatternSet::List tags;
  };
  std::vector<Entry> entries;

  // A rule that speaks of a repository, and through which of its patterns.
  struct Applicable {
    std::size_t rule;
    int pattern;
  };
  using ApplicableRules = std::shared_ptr<const std::vector<Applicable>>;

  // A thousand rules are mostly about other repositories than the one that is pushed to just now: which of
  // them speak of it is found out once. For as long as the policy lives, since both never change.
  ApplicableRules rules_of(std::string_view repository) const {
    const std::lock_guard lock(mutex);
    const auto known = applicable.find(repository);
    if (known != applicable.end()) return known->second;
    if (applicable.size() >= most_remembered) applicable.clear();
    auto found = std::make_shared<std::vector<Applicable>>();
    const auto matched = repositories.match(repository);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const int pattern = PatternSet::first(entries[i].repositories, matched);
      if (pattern >= 0) found->push_back({i, pattern});
    }
    applicable.emplace(repository, found);
    return found;
  }

  static constexpr std::size_t most_remembered = 256;
  mutable std::mutex mutex;
  mutable std::map<std::string, ApplicableRules, std::less<>> applicable;

  struct PullEntry {
    PatternList principals;
    PatternList repositories;
  };
  std::vector<PullEntry> pulls;
};

namespace {

Rules with_every_section(Rules rules) {
  if (!rules.lifecycle)
    rules.lifecycle = std::make_shared<const Lifecycle>(LifecycleSettings{}, std::vector<LifecycleRule>{});
  if (!rules.quotas) rules.quotas = std::make_shared<const Quotas>(std::vector<Quota>{});
  return rules;
}

}  // namespace

std::string_view to_string(Mutability mutability) {
  switch (mutability) {
    case Mutability::free:
      return "mutable";
    case Mutability::immutable:
      return "immutable";
    case Mutability::forward_only:
      return "forward-only";
    case Mutability::append_only:
      return "append-only";
  }
  return "unknown";
}

std::string_view to_string(LockMode mode) {
  return mode == LockMode::compliance ? "compliance" : "governance";
}

std::string_view to_string(ForwardBy by) {
  return by == ForwardBy::version ? "version" : "created";
}

bool deletes_by_default(Mutability mutability) {
  return mutability == Mutability::free || mutability == Mutability::forward_only;
}

bool protects_by_default(Mutability mutability) {
  return mutability == Mutability::immutable;
}

std::vector<TagRule> built_in_rules() {
  TagRule signatures;
  signatures.name = "signatures";
  signatures.tags = {"@signature"};
  signatures.mutability = Mutability::append_only;
  signatures.may_delete = false;
  // Before the releases, whose pattern matches them too: the second build of a day is another one.
  TagRule snapshots;
  snapshots.name = "snapshots";
  snapshots.tags = {"@snapshot"};
  TagRule releases;
  releases.name = "releases";
  releases.tags = {"@semver", "@sha"};
  releases.mutability = Mutability::immutable;
  releases.may_delete = false;
  releases.lifecycle_protects = true;
  return {signatures, snapshots, releases};
}

TagRule built_in_default() {
  TagRule rule;
  rule.name = "default";
  return rule;
}

Policy::Policy(Rules rules, std::string source)
    : rules_(with_every_section(std::move(rules))),
      source_(std::move(source)),
      hash_(Digest::of(DigestAlgorithm::sha256, source_).str()) {
  auto index = std::make_unique<Index>();
  for (const TagRule& rule : rules_.tag_rules)
    index->entries.push_back({index->repositories.add(rule.repositories), index->tags.add(rule.tags)});
  index->repositories.finish();
  index->tags.finish();
  for (const PullRule& rule : rules_.pull_rules)
    index->pulls.push_back(
        {PatternList::of_checked(rule.principals), PatternList::of_checked(rule.repositories)});
  index_ = std::move(index);
}

Policy::~Policy() = default;

std::shared_ptr<const Policy> Policy::built_in() {
  return std::make_shared<const Policy>(Rules{built_in_rules(), built_in_default(), {}, {}, {}},
                                        std::string());
}

Match Policy::tag_rule(std::string_view repository, std::string_view tag) const {
  const Index::ApplicableRules applicable = index_->rules_of(repository);
  if (applicable->empty()) return {&rules_.otherwise, {}, {}};
  const auto tags = index_->tags.match(tag);
  for (const Index::Applicable& candidate : *applicable) {
    const int by_tag = PatternSet::first(index_->entries[candidate.rule].tags, tags);
    if (by_tag < 0) continue;
    return {&rules_.tag_rules[candidate.rule], index_->repositories.text(candidate.pattern),
            index_->tags.text(by_tag)};
  }
  return {&rules_.otherwise, {}, {}};
}

std::vector<NearMiss> Policy::near_misses(std::string_view repository, std::string_view tag,
                                          std::size_t most) const {
  std::vector<NearMiss> found;
  const auto repositories = index_->repositories.match(repository);
  const auto tags = index_->tags.match(tag);
  const TagRule* const deciding = tag_rule(repository, tag).rule;
  // Nothing when the list matches neither with nor without its exclusions.
  const auto excluded = [](const char* list, const PatternSet& set, const PatternSet::Sides& sides) {
    if (sides.positive < 0 || sides.negative < 0) return std::string();
    return std::string(list) + ": " + std::string(set.text(sides.positive)) + " matches, but !" +
           std::string(set.text(sides.negative)) + " excludes it";
  };
  for (std::size_t i = 0; i < rules_.tag_rules.size() && found.size() < most; ++i) {
    const TagRule& rule = rules_.tag_rules[i];
    const auto by_repository = PatternSet::sides(index_->entries[i].repositories, repositories);
    const auto by_tag = PatternSet::sides(index_->entries[i].tags, tags);
    if (&rule == deciding || by_repository.positive < 0 || by_tag.positive < 0) {
      // Patterns for every tag or every repository say nothing of this one.
      const auto says_something = [](const std::vector<std::string>& patterns) {
        return patterns.front() != "**" && patterns.front() != "*";
      };
      if (&rule != deciding && by_tag.matches() && says_something(rule.tags))
        found.push_back({&rule, "tags: " + std::string(index_->tags.text(by_tag.positive)) +
                                    " matches, but none of its repositories does"});
      if (&rule != deciding && by_repository.matches() && says_something(rule.repositories))
        found.push_back(
            {&rule, "repositories: " + std::string(index_->repositories.text(by_repository.positive)) +
                        " matches, but none of its tags does"});
      continue;
    }
    std::string why = excluded("repositories", index_->repositories, by_repository);
    if (why.empty()) why = excluded("tags", index_->tags, by_tag);
    if (why.empty()) why = "matches too, but rule " + deciding->name + " stands before it";
    found.push_back({&rule, std::move(why)});
  }
  return found;
}

const PullRule* Policy::pull_rule(std::string_view repository, std::string_view principal) const {
  for (std::size_t i = 0; i < rules_.pull_rules.size(); ++i) {
    const Index::PullEntry& entry = index_->pulls[i];
    if (!entry.repositories.matches(repository)) continue;
    if (principal == "anonymous" || entry.principals.matches(principal)) return &rules_.pull_rules[i];
  }
  return nullptr;
}

bool Policy::counts_pulls_of(std::string_view principal, std::string_view agent) const {
  return !rules_.lifecycle->ignores_pulls_by(principal, agent);
}

bool Policy::counts_every_pull() const {
  return rules_.lifecycle->settings().ignore_pulls_by.empty();
}

}  // namespace stele::policy
