// The judge beside a slow model of the same sentences (judge_model.hpp), on many small repositories.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <set>

#include "policy/decide.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/effort.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/policy/judge_model.hpp"
#include "tests/unit/policy/random_world.hpp"

namespace stele::policy {
namespace {

std::size_t place(RowIndex row) {
  return static_cast<std::size_t>(row);
}

bool is_above_itself(const Model& model, const std::string& name) {
  Names over = model.above(name);
  for (std::size_t size = 0; size != over.size();) {
    size = over.size();
    for (const std::string& one : Names(over)) over.merge(model.above(one));
  }
  return over.contains(name);
}

// The same for what goes: each once, and hanging from what leads.
std::string difference_of_removals(const World& world, const Model& model, const Judgement& plan,
                                   Names& going) {
  const auto manifest_of = [&](RowIndex row) { return world.manifests[place(row)].name; };
  for (const Removal& removal : plan.removals) {
    const std::string name = manifest_of(removal.manifest);
    if (!going.insert(name).second) return name + " goes twice";
    const PlanItem& item = plan.items[place(removal.item)];
    if (item.manifest != removal.manifest || item.verdict != Verdict::expire) return name + ": item";
    const PlanItem& leader = plan.items[place(removal.leader)];
    if (leader.leader != removal.leader) return name + ": leader";
    if (!model.is_hit(manifest_of(leader.manifest))) return name + ": its leader is not hit";
    // From the leader there is a way down to it over what goes.
    Names above{name};
    for (std::size_t size = 0; size != above.size();) {
      size = above.size();
      for (const std::string& one : Names(above)) {
        for (const std::string& upper : model.above(one)) {
          if (model.going.contains(upper)) above.insert(upper);
        }
      }
    }
    if (!above.contains(manifest_of(leader.manifest))) return name + " does not hang from its leader";
    // An untagged one that leads has nothing above it that goes, circles aside.
    if (removal.leader == removal.item && item.tag == no_row) {
      for (const std::string& upper : model.above(name)) {
        Names back{upper};
        for (std::size_t size = 0; size != back.size();) {
          size = back.size();
          for (const std::string& one : Names(back)) back.merge(model.above(one));
        }
        const bool in_circle = std::any_of(
            back.begin(), back.end(), [&](const std::string& one) { return is_above_itself(model, one); });
        if (upper != name && !in_circle) return name + " leads below " + upper;
      }
    }
  }
  return {};
}

// The first sentence that the plan breaks; empty when there is none.
std::string difference(const World& world, const Model& model, const Judgement& plan) {
  const auto manifest_of = [&](RowIndex row) { return world.manifests[place(row)].name; };
  const auto name_of = [&](const PlanItem& item) {
    return item.tag == no_row ? "@" + manifest_of(item.manifest) : world.tags[place(item.tag)].name;
  };
  Names expired, blocked, going;
  std::int64_t sum = 0;
  std::string before;
  for (const PlanItem& item : plan.items) {
    const std::string name = name_of(item);
    if (plan.reason_of(item).empty()) return name + " has no reason";
    if (item.tag != no_row && name <= before) return name + " stands behind " + before;
    if (item.tag != no_row) before = name;
    if (item.last_used != model.last_used(manifest_of(item.manifest))) return name + ": last used";
    if (item.verdict == Verdict::expire) expired.insert(name);
    if (item.verdict == Verdict::blocked) blocked.insert(name);
    const auto freed = model.freed.find(name);
    if (item.frees_bytes != (freed == model.freed.end() ? 0 : freed->second)) return name + ": frees_bytes";
    sum += item.frees_bytes;
    if ((item.leader != no_row) != (item.verdict == Verdict::expire)) return name + ": leader of what stays";
    if (item.leader == no_row) continue;
    const PlanItem& leader = plan.items[place(item.leader)];
    if (&plan.items[place(leader.leader)] != &leader || leader.verdict != Verdict::expire)
      return name + ": its leader does not lead";
    if (leader.rule == no_row || item.rule != leader.rule) return name + ": rule";
  }
  std::set<std::string> expected_expired = model.expired_tags, expected_blocked = model.blocked_tags;
  for (const WorldManifest& m : world.manifests) {
    const bool tagged = std::any_of(world.tags.begin(), world.tags.end(),
                                    [&](const WorldTag& tag) { return tag.manifest == m.name; });
    if (!tagged && model.going.contains(m.name)) expected_expired.insert("@" + m.name);
    if (model.blocked_manifests.contains(m.name)) expected_blocked.insert("@" + m.name);
  }
  const auto listed = [](const Names& names) {
    std::string text;
    for (const std::string& name : names) text += " " + name;
    return text;
  };
  if (expired != expected_expired)
    return "expired" + listed(expired) + " instead of" + listed(expected_expired);
  if (blocked != expected_blocked)
    return "blocked" + listed(blocked) + " instead of" + listed(expected_blocked);

  if (std::string broken = difference_of_removals(world, model, plan, going); !broken.empty()) return broken;
  if (going != model.going) return "going" + listed(going) + " instead of" + listed(model.going);
  if (plan.manifests_expiring != going.size() || plan.manifests != world.manifests.size()) return "counts";
  if (plan.bytes_freed != sum || plan.items_expiring != expired.size() ||
      plan.items_blocked != blocked.size())
    return "sums";
  return {};
}

std::string shown(const World& world, const std::vector<LifecycleRule>& rules) {
  std::string text;
  for (const LifecycleRule& rule : rules) {
    text += rule.name + " in " + rule.repositories.front() + "\n";
    for (const auto& e : rule.keep) text += "  keep " + describe(e) + "\n";
    for (const auto& e : rule.expire) text += "  expire " + describe(e) + "\n";
  }
  text += "pulls since " + (world.pulls_since ? to_string(*world.pulls_since) : "never") + "\n";
  for (const WorldManifest& m : world.manifests) {
    text += m.name + " pushed " + to_string(m.pushed_at) +
            (m.pulled_at == never ? "" : " pulled " + to_string(m.pulled_at)) +
            (m.untagged_at == never ? "" : " untagged " + to_string(m.untagged_at)) +
            (m.subject.empty() ? "" : " subject " + m.subject) + (m.blocker ? " BLOCKED" : "") + " bytes " +
            std::to_string(m.bytes) + " entries";
    for (const auto& e : m.entries) text += " " + e;
    text += " blobs";
    for (const auto& b : m.blobs) text += " " + b;
    text += "\n";
  }
  for (const WorldTag& tag : world.tags)
    text += "tag " + tag.name + " of " + tag.manifest + " pushed " + to_string(tag.pushed_at) + " as " +
            std::to_string(tag.sequence) + (tag.signs.empty() ? "" : " signs " + tag.signs) +
            (tag.blocker ? " BLOCKED" : "") + "\n";
  return text;
}

TEST_CASE("lifecycle: the judge agrees with a slow model on many small repositories (I5, I8)") {
  constexpr int worlds_per_seed = 5;
  std::size_t judged = 0, expired = 0, blocked = 0, led = 0;
  for (const std::uint64_t seed : test_seeds(5000 / test_every())) {
    Random random(seed);
    const std::vector<LifecycleRule> rules = random_rules(random);
    LifecycleSettings settings;
    settings.keep_last = static_cast<std::uint32_t>(random.upto(2));
    const Lifecycle lifecycle(settings, rules);
    for (int i = 0; i < worlds_per_seed; ++i) {
      const World world = random_world(random);
      const Model model(world, settings, rules);
      const Judgement plan = judge(lifecycle, world.snapshot());
      const std::string wrong = difference(world, model, plan);
      if (!wrong.empty()) FAIL("TEST_SEED=" << seed << ": " << wrong << "\n" << shown(world, rules));
      ++judged;
      expired += plan.items_expiring;
      blocked += plan.items_blocked;
      for (const PlanItem& item : plan.items)
        led += item.leader != no_row && &plan.items[place(item.leader)] != &item;
    }
  }
  if (chosen_seed()) return;
  // The cases are worth something: all verdicts occur often.
  CHECK(judged >= 20'000 / test_every());
  CHECK(expired > judged);
  CHECK(blocked > judged / 10);
  CHECK(led > judged / 10);
}

}  // namespace
}  // namespace stele::policy
