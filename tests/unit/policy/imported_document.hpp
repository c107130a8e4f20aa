#pragma once
// What is imported from a document, for tests.

#include <string>
#include <string_view>

#include "policy/import/import.hpp"
#include "policy/lifecycle_rules.hpp"
#include "policy/load.hpp"
#include "tests/support/catch.hpp"

namespace stele::policy::import_test {

// The policy made from a document that is good.
class Made {
 public:
  Made(ImportSource source, std::string_view document, std::string_view under = {})
      : imported_(import_policy(source, document, "document.json", under)),
        loaded_(load_policy(imported_.policy, "policy.yaml")) {
    INFO(imported_.problems.to_string());
    INFO(imported_.policy);
    REQUIRE(imported_.problems.empty());
    REQUIRE(loaded_.policy != nullptr);
    // Each rule decides something.
    CHECK(loaded_.warnings.to_string().find("never") == std::string::npos);
  }

  std::string says(std::string_view repository, std::string_view tag) const {
    const TagRule& rule = *loaded_.policy->tag_rule(repository, tag).rule;
    return std::string(to_string(rule.mutability)) + (rule.may_delete ? ", delete" : ", no delete");
  }

  // Whether a difference is listed, in the result and in the file.
  bool lists(std::string_view subject, std::string_view part) const {
    for (const Difference& difference : imported_.differences) {
      if (difference.subject == subject && difference.what.find(part) != std::string::npos)
        return imported_.policy.find("# - " + difference.subject + ": " + difference.what + "\n") !=
               std::string::npos;
    }
    return false;
  }

  // The lifecycle rules, in one line each for a rule and an entry.
  std::string rules() const {
    const std::string& text = imported_.policy;
    std::string shown;
    for (const Lifecycle::Rule& rule : loaded_.policy->lifecycle()->rules()) {
      shown += rule.name + " " + repositories_in(text, rule.name) + "\n";
      for (const auto& entry : rule.keep) shown += "  keep " + describe(entry.selects) + "\n";
      for (const auto& entry : rule.expire) shown += "  expire " + describe(entry.selects) + "\n";
    }
    return shown;
  }

  std::size_t differences() const { return imported_.differences.size(); }

 private:
  // As the file writes them, without quotes and commas.
  static std::string repositories_in(const std::string& text, const std::string& rule) {
    const std::size_t name = text.find("- name: " + rule + "\n", text.find("lifecycle_rules:"));
    const std::size_t from = text.find('[', name), to = text.find(']', from);
    std::string list;
    for (const char c : text.substr(from, to + 1 - from)) {
      if (c != '"' && c != '\'' && c != ',') list += c;
    }
    return list;
  }

  Imported imported_;
  Loaded loaded_;
};

inline std::string complaint(ImportSource source, std::string_view document, std::string_view under = {}) {
  const Imported imported = import_policy(source, document, "document.json", under);
  CHECK(imported.policy.empty());
  return imported.problems.to_string();
}

}  // namespace stele::policy::import_test
