#pragma once
// The judge's sentences, slowly: on names and sets, every question asked anew, and from a supposed set of
// what goes removed what contradicts them until nothing does.
// Long: one class of short sentences, to be read beside those of the guide; each asks others.

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "policy/decide.hpp"
#include "tests/unit/policy/lifecycle_world.hpp"

namespace stele::policy {

using Names = std::set<std::string>;

inline bool matches(const std::vector<std::string>& patterns, const std::string& text) {
  static std::map<std::vector<std::string>, PatternList> known;
  auto place = known.find(patterns);
  if (place == known.end()) place = known.emplace(patterns, PatternList::compile(patterns).value()).first;
  return place->second.matches(text);
}

class Model {
 public:
  Model(const World& world, const LifecycleSettings& settings, const std::vector<LifecycleRule>& rules)
      : world_(world), settings_(settings) {
    for (const LifecycleRule& rule : rules) {
      if (!matches(rule.repositories, world.repository)) continue;
      keeps_.insert(keeps_.end(), rule.keep.begin(), rule.keep.end());
      expires_.insert(expires_.end(), rule.expire.begin(), rule.expire.end());
    }
    judge();
  }

  Names expired_tags, blocked_tags;           // of all tags
  Names going;                                // manifests
  Names blocked_manifests;                    // untagged ones with this verdict
  std::map<std::string, std::int64_t> freed;  // by item; an untagged manifest's is "@name"

  bool is_hit(const std::string& manifest) const {
    const WorldManifest& m = the(manifest);
    if (tags_of(manifest).empty()) return hits_untagged(m) && !keeps_untagged(m) && !is_blocked(manifest);
    bool judged = false;
    for (const WorldTag* tag : tags_of(manifest)) {
      if (follows(*tag)) continue;
      judged = true;
      if (!expired_tags.contains(tag->name)) return false;
    }
    return judged;
  }

  Names above(const std::string& manifest) const {
    Names result;
    for (const WorldManifest& m : world_.manifests) {
      if (std::count(m.entries.begin(), m.entries.end(), manifest)) result.insert(m.name);
    }
    if (is_here(the(manifest).subject)) result.insert(the(manifest).subject);
    for (const WorldTag* tag : tags_of(manifest)) {
      if (follows(*tag)) result.insert(tag->signs);
    }
    return result;
  }

  Timestamp last_used(const std::string& name) const {
    const WorldManifest& m = the(name);
    Timestamp latest = std::max(m.pushed_at, last_pull(name));
    if (tags_of(name).empty()) latest = std::max(latest, m.untagged_at);
    for (const WorldTag* tag : tags_of(name)) latest = std::max(latest, tag->pushed_at);
    return latest;
  }

 private:
  static bool follows(const WorldTag& tag) { return !tag.signs.empty() && tag.signs != "?"; }
  static bool is_orphan(const WorldTag& tag) { return tag.signs == "?"; }
  bool is_here(const std::string& name) const { return world_.row(name) != no_row; }
  const WorldManifest& the(const std::string& name) const {
    return world_.manifests[static_cast<std::size_t>(world_.row(name))];
  }
  const WorldTag& the_tag(const std::string& name) const {
    return *std::find_if(world_.tags.begin(), world_.tags.end(),
                         [&](const WorldTag& t) { return t.name == name; });
  }
  std::vector<const WorldTag*> tags_of(const std::string& manifest) const {
    std::vector<const WorldTag*> result;
    for (const WorldTag& tag : world_.tags) {
      if (tag.manifest == manifest) result.push_back(&tag);
    }
    return result;
  }

  Names below_as_entries(const std::string& name) const {
    Names all{name};
    for (std::size_t before = 0; before != all.size();) {
      before = all.size();
      for (const std::string& one : Names(all)) all.insert(the(one).entries.begin(), the(one).entries.end());
    }
    return all;
  }
  Timestamp last_pull(const std::string& name) const {
    Timestamp latest = never;
    for (const std::string& one : below_as_entries(name)) latest = std::max(latest, the(one).pulled_at);
    return latest;
  }
  std::uint64_t size(const Names& manifests) const {
    Names blobs;
    std::int64_t sum = 0;
    for (const std::string& one : manifests) {
      sum += the(one).bytes;
      blobs.insert(the(one).blobs.begin(), the(one).blobs.end());
    }
    for (const std::string& blob : blobs) sum += world_.blobs.at(blob).bytes;
    return static_cast<std::uint64_t>(sum);
  }
  bool is_blocked(const std::string& name) const {
    Names checked{name};
    for (std::size_t before = 0; before != checked.size();) {
      before = checked.size();
      for (const std::string& one : Names(checked)) {
        for (const WorldManifest& m : world_.manifests) {
          if (above(m.name).contains(one)) checked.insert(m.name);
        }
      }
    }
    return std::any_of(checked.begin(), checked.end(),
                       [&](const auto& one) { return the(one).blocker.has_value(); });
  }

  static std::int64_t age(Timestamp t) {
    return t == never ? std::numeric_limits<std::int64_t>::max() : world_now.microseconds - t.microseconds;
  }
  static std::int64_t micro(std::int64_t seconds) { return seconds * 1'000'000; }
  bool recorded(std::int64_t seconds) const {
    return world_.pulls_since && age(*world_.pulls_since) >= micro(seconds);
  }

  bool filters(const LifecycleEntry& e, bool keep, const WorldManifest& m, Timestamp pushed) const {
    for (const std::string& pattern : e.also_tagged) {
      bool has = false;
      for (const WorldTag* tag : tags_of(m.name)) has = has || matches({pattern}, tag->name);
      if (!has) return false;
    }
    const bool is_dated = pushed != never;
    if (!is_dated && !keep && (e.older_than || e.pushed_within)) return false;
    if (is_dated && e.older_than && !(age(pushed) >= micro(*e.older_than))) return false;
    if (is_dated && e.pushed_within && !(age(pushed) <= micro(*e.pushed_within))) return false;
    if (e.not_pulled_for) {
      bool all_dated = !tags_of(m.name).empty() || pushed_untagged(m) != never;
      for (const WorldTag* tag : tags_of(m.name)) all_dated = all_dated && tag->pushed_at != never;
      if (!keep && !all_dated) return false;
      if (age(last_used(m.name)) < micro(*e.not_pulled_for)) return false;
      if (!recorded(*e.not_pulled_for)) return false;
    }
    if (e.pulled_within) {
      const Timestamp pulled = last_pull(m.name);
      const bool yes = pulled != never && age(pulled) <= micro(*e.pulled_within);
      if (!yes && (recorded(*e.pulled_within) || !keep)) return false;
    }
    if (!e.artifact_types.empty()) {
      if (m.artifact_type ? !matches(e.artifact_types, *m.artifact_type) : !keep) return false;
    }
    for (const LabelSelector& label : e.labels) {
      if (!m.labels) {
        if (!keep) return false;
      } else if (!m.labels->contains(label.key) || !matches(label.patterns, m.labels->at(label.key))) {
        return false;
      }
    }
    return !e.larger_than || size(below_as_entries(m.name)) > *e.larger_than;
  }

  // Judged by this entry, ranks and budgets aside.
  bool selects(const LifecycleEntry& e, bool keep, const WorldTag& tag) const {
    if (follows(tag) || e.untagged) return false;
    if (!keep && is_orphan(tag) && e.tags.empty() && !e.everything_else) return false;
    if (e.ranks() && (is_orphan(tag) || is_protected(tag))) return false;
    if (!e.tags.empty() && !matches(e.tags, tag.name)) return false;
    return filters(e, keep, the(tag.manifest), tag.pushed_at);
  }
  bool is_protected(const WorldTag& tag) const { return tag.blocker || is_blocked(tag.manifest); }

  // The digests that are better than all but fewer than `count` others.
  Names best(const std::vector<const WorldTag*>& tags, std::uint32_t count,
             const std::function<bool(const WorldTag&, const WorldTag&)>& newer) const {
    Names result;
    while (result.size() < count) {
      const WorldTag* first = nullptr;
      for (const WorldTag* tag : tags) {
        if (!result.contains(tag->manifest) && (!first || newer(*tag, *first))) first = tag;
      }
      if (!first) break;
      result.insert(first->manifest);
    }
    return result;
  }

  Names kept_by(const LifecycleEntry& e) const {
    std::vector<const WorldTag*> passing;
    for (const WorldTag& tag : world_.tags) {
      if (selects(e, true, tag)) passing.push_back(&tag);
    }
    Names result;
    for (const WorldTag* tag : passing) result.insert(tag->name);
    const auto narrow = [&](const auto& stays) {
      std::erase_if(result, [&](const std::string& name) { return !stays(the_tag(name)); });
    };
    if (e.newest_pushed) {
      std::vector<const WorldTag*> dated;
      for (const WorldTag* tag : passing) {
        if (tag->pushed_at != never) dated.push_back(tag);
      }
      const Names chosen = best(dated, *e.newest_pushed, pushed_later);
      narrow([&](const WorldTag& tag) { return tag.pushed_at == never || chosen.contains(tag.manifest); });
    }
    if (e.newest_pulled) {
      std::vector<const WorldTag*> known;
      Names chosen;
      for (const WorldTag* tag : passing) {
        const bool sure = world_.pulls_since && (last_pull(tag->manifest) >= *world_.pulls_since ||
                                                 the(tag->manifest).pushed_at >= *world_.pulls_since);
        if (sure)
          known.push_back(tag);
        else
          chosen.insert(tag->manifest);
      }
      chosen.merge(best(known, *e.newest_pulled, [&](const WorldTag& a, const WorldTag& b) {
        const auto x = last_used(a.manifest), y = last_used(b.manifest);
        return x != y ? x > y : pushed_later(a, b);
      }));
      narrow([&](const WorldTag& tag) { return chosen.contains(tag.manifest); });
    }
    if (e.newest_semver) {
      std::vector<const WorldTag*> versions;
      for (const WorldTag* tag : passing) {
        if (compare_versions(tag->name, tag->name)) versions.push_back(tag);
      }
      const Names chosen = best(versions, *e.newest_semver, [](const WorldTag& a, const WorldTag& b) {
        const int order = *compare_versions(a.name, b.name);
        return order != 0 ? order > 0 : pushed_later(a, b);
      });
      narrow([&](const WorldTag& tag) {
        return compare_versions(tag.name, tag.name) && chosen.contains(tag.manifest);
      });
    }
    return result;
  }

  static bool pushed_later(const WorldTag& a, const WorldTag& b) {
    if (a.pushed_at != b.pushed_at) return a.pushed_at > b.pushed_at;
    return a.sequence != b.sequence ? a.sequence > b.sequence : a.name > b.name;
  }
  static Timestamp pushed_untagged(const WorldManifest& m) { return std::max(m.pushed_at, m.untagged_at); }

  // How many of the untagged ones that pass and hang from nothing are newer; of two as new the later one is.
  bool ranks_untagged(const LifecycleEntry& e, const WorldManifest& m) const {
    if (!above(m.name).empty() || is_blocked(m.name)) return false;
    const auto sure = [&](const WorldManifest& other) {
      return world_.pulls_since &&
             (last_pull(other.name) >= *world_.pulls_since || other.pushed_at >= *world_.pulls_since);
    };
    std::uint32_t pushed_later = 0, used_later = 0;
    for (const WorldManifest& other : world_.manifests) {
      if (!tags_of(other.name).empty() || !above(other.name).empty() || is_blocked(other.name)) continue;
      if (!filters(e, true, other, pushed_untagged(other))) continue;
      const bool later = world_.row(other.name) > world_.row(m.name);
      const auto newer = [&](Timestamp a, Timestamp b) { return a != b ? a > b : later; };
      if (newer(pushed_untagged(other), pushed_untagged(m))) ++pushed_later;
      if (sure(other) && newer(last_used(other.name), last_used(m.name))) ++used_later;
    }
    if (e.newest_pushed && pushed_untagged(m) != never && pushed_later >= *e.newest_pushed) return false;
    return !e.newest_pulled || !sure(m) || used_later < *e.newest_pulled;
  }

  bool keeps_untagged(const WorldManifest& m) const {
    return std::any_of(keeps_.begin(), keeps_.end(), [&](const LifecycleEntry& e) {
      if (!e.tags.empty() || (e.ranks() && !e.untagged)) return false;
      return filters(e, true, m, pushed_untagged(m)) && (!e.ranks() || ranks_untagged(e, m));
    });
  }
  bool hits_untagged(const WorldManifest& m) const {
    return std::any_of(expires_.begin(), expires_.end(), [&](const LifecycleEntry& e) {
      return (e.untagged || e.everything_else) && filters(e, false, m, std::max(m.pushed_at, m.untagged_at));
    });
  }

  Names find_going() const {
    Names all;
    for (const WorldManifest& m : world_.manifests) all.insert(m.name);
    for (bool changed = true; changed;) {
      changed = false;
      for (const std::string& name : Names(all)) {
        if (stays_alone(name) || hangs_from_outside(name, all) || !is_supported(name, all)) {
          all.erase(name);
          changed = true;
        }
      }
    }
    return all;
  }
  bool stays_alone(const std::string& name) const {
    if (is_blocked(name)) return true;
    const auto tags = tags_of(name);
    if (tags.empty()) return keeps_untagged(the(name));
    return std::any_of(tags.begin(), tags.end(), [&](const WorldTag* tag) {
      return follows(*tag) ? tag->blocker.has_value() : !expired_tags.contains(tag->name);
    });
  }
  bool hangs_from_outside(const std::string& name, const Names& all) const {
    const Names uppers = above(name);
    return std::any_of(uppers.begin(), uppers.end(), [&](const auto& upper) { return !all.contains(upper); });
  }
  bool is_supported(const std::string& name, const Names& all) const {
    Names upwards{name};
    for (std::size_t before = 0; before != upwards.size();) {
      before = upwards.size();
      for (const std::string& one : Names(upwards)) {
        for (const std::string& upper : above(one)) {
          if (all.contains(upper)) upwards.insert(upper);
        }
      }
    }
    return std::any_of(upwards.begin(), upwards.end(), [&](const auto& one) { return is_hit(one); });
  }

  void expire(const WorldTag& tag) { (is_protected(tag) ? blocked_tags : expired_tags).insert(tag.name); }

  void keep_last() {
    Names staying;
    std::vector<const WorldTag*> leaving;
    for (const WorldTag& tag : world_.tags) {
      if (!tag.signs.empty()) continue;
      if (expired_tags.contains(tag.name))
        leaving.push_back(&tag);
      else
        staying.insert(tag.manifest);
    }
    std::erase_if(leaving, [&](const WorldTag* tag) { return staying.contains(tag->manifest); });
    if (staying.size() >= settings_.keep_last) return;
    const auto count = static_cast<std::uint32_t>(settings_.keep_last - staying.size());
    const Names saved = best(leaving, count, pushed_later);  // an image is as new as its newest tag
    for (const WorldTag* tag : leaving) {
      if (!saved.contains(tag->manifest)) continue;
      expired_tags.erase(tag->name);
      blocked_tags.insert(tag->name);
    }
  }

  std::uint64_t remaining() const {
    Names stay;
    const Names gone = find_going();
    for (const WorldManifest& m : world_.manifests) {
      if (!gone.contains(m.name)) stay.insert(m.name);
    }
    return size(stay);
  }

  void judge() {
    Names kept;
    for (const LifecycleEntry& e : keeps_) kept.merge(kept_by(e));
    for (const WorldTag& tag : world_.tags) {
      const bool hit = std::any_of(expires_.begin(), expires_.end(), [&](const LifecycleEntry& e) {
        return !e.size_budget && selects(e, false, tag);
      });
      if (hit && !kept.contains(tag.name)) expire(tag);
    }
    keep_last();
    for (const LifecycleEntry& e : expires_) {
      if (!e.size_budget) continue;
      std::vector<const WorldTag*> order;
      for (const WorldTag& tag : world_.tags) {
        if (tag.pushed_at != never && !kept.contains(tag.name) && !expired_tags.contains(tag.name) &&
            !blocked_tags.contains(tag.name) && selects(e, false, tag))
          order.push_back(&tag);
      }
      std::sort(order.begin(), order.end(),
                [](const WorldTag* a, const WorldTag* b) { return pushed_later(*b, *a); });
      for (const WorldTag* tag : order) {
        if (remaining() <= *e.size_budget) break;
        expire(*tag);
      }
    }
    keep_last();
    going = find_going();
    for (const WorldTag& tag : world_.tags) {
      if (follows(tag) && going.contains(tag.signs))
        (tag.blocker ? blocked_tags : expired_tags).insert(tag.name);
    }
    for (const WorldManifest& m : world_.manifests) {
      if (tags_of(m.name).empty() && hits_untagged(m) && !keeps_untagged(m) && is_blocked(m.name))
        blocked_manifests.insert(m.name);
    }
    count_freed();
  }

  void count_freed() {
    std::vector<std::pair<std::string, std::string>> order;  // item, manifest
    for (const std::string& tag : expired_tags) order.emplace_back(tag, the_tag(tag).manifest);
    for (const WorldManifest& m : world_.manifests) {
      if (tags_of(m.name).empty() && going.contains(m.name)) order.emplace_back("@" + m.name, m.name);
    }
    Names done;
    for (const auto& [item, manifest] : order) {
      if (!going.contains(manifest) || !done.insert(manifest).second) continue;
      freed[item] += the(manifest).bytes;
      for (const std::string& blob : the(manifest).blobs) {
        const bool needed =
            std::any_of(world_.manifests.begin(), world_.manifests.end(), [&](const WorldManifest& m) {
              return !going.contains(m.name) && std::count(m.blobs.begin(), m.blobs.end(), blob);
            });
        if (!needed && !world_.blobs.at(blob).elsewhere && done.insert("blob " + blob).second)
          freed[item] += world_.blobs.at(blob).bytes;
      }
    }
  }

  const World& world_;
  const LifecycleSettings& settings_;
  std::vector<LifecycleEntry> keeps_, expires_;
};

}  // namespace stele::policy
