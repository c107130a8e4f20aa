#pragma once
// A registry whose tags are moved by all that moves them but a push.

#include <optional>
#include <string>
#include <vector>

#include "registry/repositories.hpp"
#include "registry/tag_history.hpp"
#include "registry/tag_moves.hpp"
#include "tests/unit/registry/rules_fixture.hpp"

namespace stele::rules_test {

inline const std::string one = image({"l1"}, "1.0.0"), two = image({"l1", "l2"}, "1.1.0"),
                         three = image({"l2"}, "0.9.0");

class Moves : public RulesFixture {
 public:
  using RulesFixture::RulesFixture;

  std::string roll_back(const std::string& text, std::optional<Digest> to = std::nullopt,
                        std::optional<Timestamp> at = std::nullopt) {
    return outcome(sync_wait(
        TagMoves(context()).rollback(Rollback{name("a"), tag(text), std::move(to), at, "because", actor})));
  }
  std::string promote(const std::string& reference, const std::string& to,
                      const std::vector<std::string>& tags, const std::string& from = "a") {
    std::vector<Tag> wanted;
    for (const auto& text : tags) wanted.push_back(tag(text));
    auto done = sync_wait(TagMoves(context()).promote(
        Promotion{name(from), Reference::parse(reference).value(), name(to), wanted, actor}));
    if (done) last = *done;
    return outcome(done);
  }
  std::string release(const std::string& text, const std::string& repository = "a",
                      Preconditions conditions = {}) {
    auto done = sync_wait(TagMoves(context()).release(
        Release{name(repository), tag(text), "the wrong branch", actor, std::move(conditions)}));
    if (done) freed = *done;
    return outcome(done);
  }
  std::optional<Released> freed;
  std::string approve(const std::string& text, const Digest& digest) {
    auto done = sync_wait(TagMoves(context()).approve(
        Approval{name("a"), tag(text), digest, "https://upstream.example", actor}));
    if (done) approved = *done;
    return outcome(done);
  }
  std::string remove_repository(const std::string& repository) {
    return outcome(sync_wait(Repositories(context()).remove(name(repository), actor)));
  }
  std::vector<catalog::TagHistoryEntry> history(const std::string& text) {
    auto page = sync_wait(TagHistory(context()).history(name("a"), tag(text), 0, 100));
    REQUIRE(page.has_value());
    return page->entries;
  }
  std::optional<Promoted> last;
  std::optional<ApprovedTag> approved;
};

}  // namespace stele::rules_test
