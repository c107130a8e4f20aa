#pragma once
// Internal to the judge: the sentences of a plan. Each names the entry or what forbids, and the next step.

#include <string>
#include <unordered_map>
#include <vector>

#include "policy/judge/leaders.hpp"

namespace stele::policy {

// Sentences, each kept once.
class Sentences {
 public:
  std::uint32_t add(std::string sentence);
  std::vector<std::string> take() { return std::move(all_); }

 private:
  std::vector<std::string> all_;
  std::unordered_map<std::string, std::uint32_t> known_;
};

class Reasons {
 public:
  // `tag_stays`, by tag: the verdict is not expire.
  Reasons(const Snapshot& snapshot, const Graph& graph, const Facts& facts, const Reachability& reachability,
          const std::vector<char>& tag_stays)
      : snapshot_(snapshot),
        graph_(graph),
        facts_(facts),
        reachability_(reachability),
        tag_stays_(tag_stays) {}

  std::string kept(const Lifecycle::Entry& by) const;
  // "rule ci would remove it, but …": the tag's own blocker, or that of the manifest.
  std::string blocked(const Lifecycle::Entry& by, RowIndex tag, RowIndex manifest) const;
  std::string last_image(const Lifecycle::Entry& by) const;
  std::string expired(const Lifecycle::Entry& by, RowIndex tag, RowIndex manifest) const;
  // An untagged manifest that an entry hits and that another keeps: "entry of index latest, which stays".
  std::string reached(RowIndex manifest) const;
  // `leader`: how to call the item that leads.
  std::string led(const Departure&, const std::string& leader) const;
  // An @signature tag whose digest stays; whose digest goes though the tag may not; which goes with it.
  std::string signature_kept(RowIndex tag) const;
  std::string signature_blocked(RowIndex tag) const;
  std::string signature_gone(const std::string& leader) const;

 private:
  std::string name_of(RowIndex manifest, const char* kind) const;
  std::string forbidden(RowIndex blocker) const;

  const Snapshot& snapshot_;
  const Graph& graph_;
  const Facts& facts_;
  const Reachability& reachability_;
  const std::vector<char>& tag_stays_;
};

}  // namespace stele::policy
