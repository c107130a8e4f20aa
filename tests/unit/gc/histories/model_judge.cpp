// What lifecycle is to do with a repository.

#include <algorithm>
#include <tuple>

#include "tests/unit/gc/histories/model.hpp"

namespace stele::histories_test {
namespace {

bool begins_with_any(const std::string& text, const std::vector<std::string>& heads) {
  return std::any_of(heads.begin(), heads.end(), [&](const auto& head) { return text.starts_with(head); });
}

// One repository while it is judged.
class Judging {
 public:
  Judging(const Model& model, const std::string& name, const ModelRepository& repository)
      : model_(model), name_(name), repository_(repository) {
    for (const auto& [content, manifest] : repository_.manifests) {
      for (const std::size_t upper : find_above(content)) {
        above_[content].insert(upper);
        below_[upper].insert(content);
      }
    }
  }

  Verdicts verdicts() {
    if (!model_.rules || !model_.rules->apply_to(name_)) return {};
    expire_tags();
    keep_last();
    find_going();
    for (const auto& [tag, binding] : repository_.tags) {
      if (follows(tag) && verdicts_.going.contains(*signed_by(tag)) && !is_blocked_name(tag))
        verdicts_.tags.insert(tag);
    }
    for (const std::string& tag : verdicts_.tags)
      verdicts_.items.emplace(tag, contents()[repository_.tags.at(tag).content].digest.str());
    // What goes with its last tag has an item of its own, too.
    for (const std::size_t manifest : verdicts_.going)
      verdicts_.items.emplace("", contents()[manifest].digest.str());
    verdicts_.exceeds = verdicts_.going.size() * 100 >
                        repository_.manifests.size() * static_cast<std::size_t>(model_.rules->most_percent);
    return std::move(verdicts_);
  }

  // What lists it, what it refers to, what its signature tags sign: as far as it is here.
  const std::set<std::size_t>& above(std::size_t content) const { return edges(above_, content); }
  const std::set<std::size_t>& below(std::size_t content) const { return edges(below_, content); }

  Seconds last_used(std::size_t content) const {
    const auto tags = tags_of(content);
    Seconds latest = std::max(last_pull(content), tags.empty() ? pushed_untagged(content)
                                                               : repository_.manifests.at(content).pushed);
    for (const std::string& tag : tags) latest = std::max(latest, repository_.tags.at(tag).pushed);
    return latest;
  }

 private:
  using Edges = std::map<std::size_t, std::set<std::size_t>>;
  static const std::set<std::size_t>& edges(const Edges& edges, std::size_t content) {
    static const std::set<std::size_t> none;
    const auto found = edges.find(content);
    return found == edges.end() ? none : found->second;
  }
  std::set<std::size_t> find_above(std::size_t content) const {
    std::set<std::size_t> found;
    for (const auto& [other, manifest] : repository_.manifests) {
      if (lists(other, content)) found.insert(other);
    }
    const auto subject = contents()[content].subject;
    if (subject && repository_.manifests.contains(*subject)) found.insert(*subject);
    for (const std::string& tag : tags_of(content)) {
      if (follows(tag)) found.insert(*signed_by(tag));
    }
    return found;
  }

  // A signature that is kept and goes with what it signs.
  bool follows(const std::string& tag) const {
    const auto of = signed_by(tag);
    return of && repository_.manifests.contains(*of);
  }
  static bool is_orphan_or_follows(const std::string& tag) { return signed_by(tag).has_value(); }

  std::set<std::string> tags_of(std::size_t content) const { return model_.tags_of(name_, content); }

  bool is_blocked(std::size_t content) const {
    std::set<std::size_t> seen{content};
    std::vector<std::size_t> open{content};
    while (!open.empty()) {
      const std::size_t next = open.back();
      open.pop_back();
      for (const auto& [id, hold] : model_.holds) {
        if (hold.repository != name_) continue;
        if (hold.content ? *hold.content == next : hold.tag.empty()) return true;
      }
      for (const auto& [cluster, uses] : model_.in_use) {
        if (uses.contains({name_, next})) return true;
      }
      for (const std::size_t lower : below(next)) {
        if (seen.insert(lower).second) open.push_back(lower);
      }
    }
    return false;
  }
  // By its tag rule, or by a hold on the name.
  bool is_blocked_name(const std::string& tag) const {
    if (tag.starts_with("1.")) return true;
    return std::any_of(model_.holds.begin(), model_.holds.end(), [&](const auto& hold) {
      return hold.second.repository == name_ && hold.second.tag == tag;
    });
  }
  bool is_protected(const std::string& tag, std::size_t content) const {
    return is_blocked_name(tag) || is_blocked(content);
  }

  Seconds last_pull(std::size_t content) const {
    Seconds latest = repository_.manifests.at(content).pulled;
    for (const std::size_t entry : contents()[content].entries) {
      if (repository_.manifests.contains(entry)) latest = std::max(latest, last_pull(entry));
    }
    return latest;
  }
  Seconds pushed_untagged(std::size_t content) const {
    const ModelManifest& manifest = repository_.manifests.at(content);
    return std::max(manifest.pushed, manifest.untagged);
  }
  bool is_recorded(Seconds window) const { return model_.now - model_.pulls_since >= window; }

  bool filters(const Entry& entry, bool keeping, std::size_t content, Seconds pushed) const {
    if (entry.older_than && model_.now - pushed < *entry.older_than) return false;
    if (entry.not_pulled_for) {
      if (model_.now - last_used(content) < *entry.not_pulled_for) return false;
      if (!is_recorded(*entry.not_pulled_for)) return false;
    }
    if (!entry.pulled_within) return true;
    const Seconds pulled = last_pull(content);
    if (pulled != unknown_time && model_.now - pulled <= *entry.pulled_within) return true;
    return keeping && !is_recorded(*entry.pulled_within);
  }

  bool selects(const Entry& entry, bool keeping, const std::string& tag, const Binding& binding) const {
    if (follows(tag) || entry.untagged) return false;
    if (!keeping && is_orphan_or_follows(tag) && entry.tags.empty() && !entry.everything_else) return false;
    if (entry.newest_pushed > 0 && (is_orphan_or_follows(tag) || is_protected(tag, binding.content)))
      return false;
    if (!entry.tags.empty() && !begins_with_any(tag, entry.tags)) return false;
    return filters(entry, keeping, binding.content, binding.pushed);
  }

  std::set<std::string> kept_by(const Entry& entry) const {
    std::vector<std::tuple<Seconds, std::int64_t, std::string>>
        passing;  // newest first, the later bound first
    for (const auto& [tag, binding] : repository_.tags) {
      if (selects(entry, true, tag, binding)) passing.emplace_back(binding.pushed, binding.place, tag);
    }
    std::sort(passing.rbegin(), passing.rend());
    std::set<std::size_t> newest;
    std::set<std::string> kept;
    for (const auto& [pushed, place, tag] : passing) {
      const std::size_t content = repository_.tags.at(tag).content;
      if (entry.newest_pushed == 0 || newest.size() < entry.newest_pushed) newest.insert(content);
      if (newest.contains(content)) kept.insert(tag);
    }
    return kept;
  }

  void expire_tags() {
    std::set<std::string> kept;
    for (const Entry& entry : model_.rules->keep) kept.merge(kept_by(entry));
    for (const auto& [tag, binding] : repository_.tags) {
      const bool hit = std::any_of(model_.rules->expire.begin(), model_.rules->expire.end(),
                                   [&](const Entry& entry) { return selects(entry, false, tag, binding); });
      if (hit && !kept.contains(tag) && !is_protected(tag, binding.content)) verdicts_.tags.insert(tag);
    }
  }

  // At least so many images keep a tag: the newest of those that would go stay. An image is as new as its
  // newest tag, and of two pushed at the same moment the one bound later is newer.
  void keep_last() {
    struct Image {
      std::pair<Seconds, std::int64_t> newest;  // of its tags
      std::size_t content;
      auto operator<=>(const Image&) const = default;
    };
    std::vector<Image> leaving;
    std::size_t staying = 0;
    for (const auto& [content, manifest] : repository_.manifests) {
      Image image{{unknown_time, 0}, content};
      bool stays = false;
      for (const std::string& tag : tags_of(content)) {
        if (is_orphan_or_follows(tag)) continue;
        stays = stays || !verdicts_.tags.contains(tag);
        const Binding& binding = repository_.tags.at(tag);
        image.newest = std::max(image.newest, {binding.pushed, binding.place});
      }
      if (stays) ++staying;
      if (!stays && image.newest.first != unknown_time) leaving.push_back(image);
    }
    std::sort(leaving.rbegin(), leaving.rend());
    for (std::size_t i = 0; i < leaving.size() && staying < model_.rules->keep_last; ++i, ++staying) {
      for (const std::string& tag : tags_of(leaving[i].content)) {
        if (!is_orphan_or_follows(tag)) verdicts_.tags.erase(tag);
      }
    }
  }

  bool is_kept_untagged(std::size_t content) const {
    return std::any_of(model_.rules->keep.begin(), model_.rules->keep.end(), [&](const Entry& entry) {
      return entry.tags.empty() && entry.newest_pushed == 0 &&
             filters(entry, true, content, pushed_untagged(content));
    });
  }
  bool is_hit(std::size_t content) const {
    const auto tags = tags_of(content);
    if (tags.empty()) {
      return !is_kept_untagged(content) && !is_blocked(content) &&
             std::any_of(model_.rules->expire.begin(), model_.rules->expire.end(), [&](const Entry& entry) {
               return (entry.untagged || entry.everything_else) &&
                      filters(entry, false, content, pushed_untagged(content));
             });
    }
    bool judged = false;
    for (const std::string& tag : tags) {
      if (follows(tag)) continue;
      judged = true;
      if (!verdicts_.tags.contains(tag)) return false;
    }
    return judged;
  }
  bool stays_alone(std::size_t content) const {
    if (is_blocked(content)) return true;
    const auto tags = tags_of(content);
    if (tags.empty()) return is_kept_untagged(content);
    return std::any_of(tags.begin(), tags.end(), [&](const std::string& tag) {
      return follows(tag) ? is_blocked_name(tag) : !verdicts_.tags.contains(tag);
    });
  }

  std::set<std::size_t> with_all_below(std::set<std::size_t> reached) const {
    std::vector<std::size_t> open(reached.begin(), reached.end());
    while (!open.empty()) {
      const std::size_t next = open.back();
      open.pop_back();
      for (const std::size_t lower : below(next)) {
        if (reached.insert(lower).second) open.push_back(lower);
      }
    }
    return reached;
  }

  void find_going() {
    std::set<std::size_t> hit, stays;
    for (const auto& [content, manifest] : repository_.manifests) {
      if (is_hit(content)) hit.insert(content);
    }
    if (hit.empty()) return;
    const std::set<std::size_t> may_go = with_all_below(hit);
    for (const auto& [content, manifest] : repository_.manifests) {
      if (!may_go.contains(content) || stays_alone(content)) stays.insert(content);
    }
    stays = with_all_below(std::move(stays));
    for (const std::size_t content : may_go) {
      if (!stays.contains(content)) verdicts_.going.insert(content);
    }
  }

  const Model& model_;
  const std::string& name_;
  const ModelRepository& repository_;
  Edges above_, below_;
  Verdicts verdicts_;
};

}  // namespace

Verdicts Model::judge(const std::string& repository) const {
  const auto found = repositories.find(repository);
  if (found == repositories.end()) return {};
  return Judging(*this, repository, found->second).verdicts();
}

Removed Model::carried_out(const std::string& repository, const Verdicts& verdicts,
                           const ApprovedThen* approved) const {
  const auto is_approved = [&](const std::string& tag, std::size_t content) {
    return !approved || approved->items.contains({tag, contents()[content].digest.str()});
  };
  Removed removed;
  const auto found = repositories.find(repository);
  if (found == repositories.end()) return removed;
  const Judging graph(*this, repository, found->second);

  const auto is_used_since = [&](std::size_t content) {
    return approved && (pulls_since > approved->made_at || graph.last_used(content) >= approved->made_at);
  };

  // What somebody looked at or used stays with what it hangs from; what nobody approved stays; and with what
  // stays all that hangs from it.
  std::set<std::size_t> stays;
  std::vector<std::size_t> open;
  const auto stay = [&](std::size_t content) {
    if (verdicts.going.contains(content) && stays.insert(content).second) open.push_back(content);
  };
  for (const std::size_t content : verdicts.going) {
    // A hold reaches through the trash too: what refers to something in it would hang there again.
    if (is_leased(contents()[content].digest) || is_protected_content(repository, content) ||
        is_used_since(content))
      stay(content);
  }
  for (; !open.empty();) {
    const std::size_t next = open.back();
    open.pop_back();
    for (const std::size_t upper : graph.above(next)) stay(upper);
  }
  for (const std::size_t content : verdicts.going) {
    const auto tags = tags_of(repository, content);
    bool whole = !tags.empty() || is_approved("", content);
    for (const std::string& tag : tags) whole = whole && is_approved(tag, content);
    if (!whole) stays.insert(content);
  }
  // A referrer of this very moment counts as one that came after the judging.
  for (const auto& [content, manifest] : found->second.manifests) {
    const auto subject = contents()[content].subject;
    if (manifest.pushed == now && subject && verdicts.going.contains(*subject)) stays.insert(*subject);
  }
  open.assign(stays.begin(), stays.end());
  while (!open.empty()) {
    const std::size_t next = open.back();
    open.pop_back();
    for (const std::size_t lower : graph.below(next)) stay(lower);
  }

  for (const std::size_t content : verdicts.going) {
    if (!stays.contains(content)) removed.manifests[content] = tags_of(repository, content);
  }
  for (const std::string& tag : verdicts.tags) {
    const std::size_t content = found->second.tags.at(tag).content;
    if (!verdicts.going.contains(content) && is_approved(tag, content) && !is_used_since(content))
      removed.names[content].insert(tag);
  }
  return removed;
}

}  // namespace stele::histories_test
