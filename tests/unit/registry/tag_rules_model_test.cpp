// Tags under their rules: a random history against a small model (I3).

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <thread>

#include "registry/repositories.hpp"
#include "registry/tag_rules.hpp"
#include "tests/support/faulty_vfs.hpp"
#include "tests/support/injecting_file_layer.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::tag_rules_model_test {
namespace {

using namespace rules_test;
using Rules = RulesFixture;

struct Image {
  std::string bytes;
  std::vector<std::string> layers;
  int version;  // 0: it does not say
};

const std::vector<Image>& images() {
  static const std::vector<Image> all{{image({"l1"}, "1.0.0"), {"l1"}, 100},
                                      {image({"l1", "l2"}, "1.1.0"), {"l1", "l2"}, 110},
                                      {image({"l2"}, "0.9.0"), {"l2"}, 90},
                                      {image({"l1", "l2", "l3"}), {"l1", "l2", "l3"}, 0}};
  return all;
}

enum class Kind { free, immutable, forward, append };
struct ModelRule {
  Kind kind;
  bool may_delete;
};

// What the documentation says, without looking at how it is done.
class Model {
 public:
  explicit Model(std::map<std::string, ModelRule> rules) : rules_(std::move(rules)) {}

  void use(std::map<std::string, ModelRule> rules) {
    rules_ = std::move(rules);
    for (auto it = removed_.begin(); it != removed_.end();) {
      it = it->second.kind == rule(it->first).kind ? std::next(it) : removed_.erase(it);
    }
    for (auto it = bound_.begin(); it != bound_.end();) {
      it = rule(it->first).kind == Kind::immutable ? std::next(it) : bound_.erase(it);
    }
    for (const auto& [name, image] : tags_) {
      if (rule(name).kind == Kind::immutable) bound_.emplace(name, image);
    }
  }
  bool push(int image, const std::vector<std::string>& names) {
    for (const auto& name : names) {
      if (!allows(name, image)) return false;
    }
    for (const auto& name : names) {
      tags_[name] = image;
      removed_.erase(name);
      if (rule(name).kind == Kind::immutable) bound_.emplace(name, image);
    }
    return true;
  }
  bool remove(const std::string& name) {
    const auto found = tags_.find(name);
    if (found == tags_.end() || !rule(name).may_delete) return false;
    if (rule(name).kind != Kind::free)
      removed_.insert_or_assign(name, Removed{rule(name).kind, found->second});
    tags_.erase(found);
    return true;
  }
  bool remove_image(int image) {
    std::vector<std::string> on_it;
    for (const auto& [name, target] : tags_) {
      if (target == image) on_it.push_back(name);
    }
    for (const auto& name : on_it) {
      if (!rule(name).may_delete) return false;
    }
    for (const auto& name : on_it) remove(name);
    return true;
  }
  const std::map<std::string, int>& tags() const { return tags_; }
  // I3 on its own: what each immutable name was bound to when its rule first applied.
  const std::map<std::string, int>& bound() const { return bound_; }

 private:
  struct Removed {
    Kind kind;
    int image;
  };
  const ModelRule& rule(const std::string& name) const { return rules_.at(name.substr(0, 1)); }
  bool allows(const std::string& name, int image) const {
    std::optional<int> held;
    if (const auto found = tags_.find(name); found != tags_.end()) {
      held = found->second;
    } else if (const auto past = removed_.find(name); past != removed_.end()) {
      held = past->second.image;
    }
    if (!held || *held == image) return true;
    const Image& old = images()[static_cast<std::size_t>(*held)];
    const Image& next = images()[static_cast<std::size_t>(image)];
    switch (rule(name).kind) {
      case Kind::free:
        return true;
      case Kind::immutable:
        return false;
      case Kind::forward:
        return old.version == 0 || (next.version != 0 && next.version >= old.version);
      case Kind::append:
        return std::all_of(old.layers.begin(), old.layers.end(), [&](const std::string& layer) {
          return std::find(next.layers.begin(), next.layers.end(), layer) != next.layers.end();
        });
    }
    return false;
  }
  std::map<std::string, ModelRule> rules_;  // by the first letter of the tag
  std::map<std::string, int> tags_;
  std::map<std::string, Removed> removed_;
  std::map<std::string, int> bound_;
};

std::string yaml(const std::map<std::string, ModelRule>& rules) {
  std::string text = "tag_rules:\n";
  for (const auto& [letter, rule] : rules) {
    const char* const kind = rule.kind == Kind::free        ? "mutable"
                             : rule.kind == Kind::immutable ? "immutable"
                             : rule.kind == Kind::forward   ? "forward-only"
                                                            : "append-only";
    text += "  - {name: rule-" + letter + ", tags: [\"" + letter + "*\"], mutability: " + kind +
            ", delete: " + (rule.may_delete ? "allow" : "deny") + "}\n";
  }
  return text;
}

TEST_CASE("tag rules: random histories end where the model says (I3)") {
  const char* const chosen = std::getenv("STELE_OPERATIONS");
  const int operations = chosen ? std::atoi(chosen) : 15'000;
  const std::uint64_t seed = test_seed("tag rules");
  std::mt19937_64 random(seed);
  const auto below = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
  const std::vector<std::string> letters{"a", "b", "c"};
  const auto any_rules = [&] {
    std::map<std::string, ModelRule> chosen_rules;
    for (const auto& letter : letters) {
      const int kind = below(5);  // immutable twice as often
      chosen_rules[letter] = {static_cast<Kind>(kind == 4 ? 1 : kind), below(3) > 0};
    }
    return chosen_rules;
  };

  Rules registry;
  const auto first = any_rules();
  registry.use(yaml(first));
  Model model(first);
  std::vector<std::string> names;
  for (const auto& letter : letters) {
    for (int i = 0; i < 4; ++i) names.push_back(letter + std::to_string(i));
  }
  int refused = 0, changes = 0;
  for (int step = 0; step < operations; ++step) {
    INFO("TEST_SEED=" << seed << ", step " << step);
    const int image = below(4);
    const std::string& bytes = images()[static_cast<std::size_t>(image)].bytes;
    const int kind = below(100);
    if (kind < 60) {
      std::vector<std::string> tags{names[static_cast<std::size_t>(below(12))]};
      while (below(3) == 0) tags.push_back(names[static_cast<std::size_t>(below(12))]);
      const std::string said = registry.push(bytes, tags);
      const bool expected = model.push(image, tags);
      if (said.empty() != expected) FAIL("push of image " << image << " to " << tags.front() << ": " << said);
      refused += !expected;
    } else if (kind < 90) {
      const std::string& name = names[static_cast<std::size_t>(below(12))];
      const bool there = model.tags().contains(name);
      const std::string said = registry.remove(name);
      const bool expected = model.remove(name);
      if (said.empty() != expected)
        FAIL("removal of " << name << (there ? "" : " (not there)") << ": " << said);
    } else if (kind < 96) {
      const std::string said = registry.remove(digest_of(bytes).str());
      if (said == "manifest_unknown" || said == "name_unknown") continue;
      if (said.empty() != model.remove_image(image)) FAIL("removal of image " << image << ": " << said);
    } else if (kind < 99) {
      const auto next = any_rules();
      registry.use(yaml(next));
      model.use(next);
      ++changes;
    } else if (below(5) == 0) {
      registry.restart();
    }
    if (step % 16 == 0) {
      for (const auto& name : names) {
        const auto expected = model.tags().find(name);
        const auto found = registry.points_to(name);
        if (found.has_value() != (expected != model.tags().end()))
          FAIL("tag " << name << " is not as the model says");
        if (found) CHECK(*found == digest_of(images()[static_cast<std::size_t>(expected->second)].bytes));
        const auto bound = model.bound().find(name);
        if (found && bound != model.bound().end())
          CHECK(*found == digest_of(images()[static_cast<std::size_t>(bound->second)].bytes));
      }
    }
  }
  CHECK(refused > operations / 100);
  CHECK(changes > operations / 100);
  std::cout << "tag rules: " << operations << " operations of random histories\n";
}

}  // namespace
}  // namespace stele::tag_rules_model_test
