#include "policy/decide.hpp"

#include "tests/support/catch.hpp"

namespace stele::policy {
namespace {

const Digest a = Digest::of(DigestAlgorithm::sha256, "a");
const Digest b = Digest::of(DigestAlgorithm::sha256, "b");
const Binding present{a, false, "ci", Timestamp{1'800'000'000'000'000}};
const TagName name{"prod/app", "1.4.2"};

TagRule rule(Mutability mutability, bool may_delete = false, ForwardBy by = ForwardBy::version) {
  TagRule made;
  made.name = "releases";
  made.mutability = mutability;
  made.may_delete = may_delete;
  made.forward_by = by;
  return made;
}

std::string detail(const Error& error, const std::string& key) {
  for (const auto& member : error.details()) {
    if (member.key == key) return member.value;
  }
  return {};
}

const Facts nothing_named{std::vector<std::string>(), {}, {}};

Facts with_content(std::vector<std::string> lines) {
  return {{}, std::move(lines), {}};
}

Facts with_ordering(Ordering ordering) {
  return {{}, {}, std::move(ordering)};
}

// Allowed: nothing.
std::optional<Error> refusal_of(const Move& move, const Facts& of_present, const Facts& of_offered) {
  const Decision decision = decide(move, of_present, of_offered);
  REQUIRE(decision.needs() == nullptr);
  CHECK(decision.allowed() == (decision.refusal() == nullptr));
  if (!decision.refusal()) return std::nullopt;
  return *decision.refusal();
}

TEST_CASE("policy: no rule decides before it knows what it compares, and asks for all of it at once (I8)") {
  const Facts named{std::vector<std::string>{a.str()}, {}, {}}, content = with_content({"x"}),
                                                                ordering = with_ordering({"1", ""});
  const auto check = [&](Mutability mutability, Fact fact, bool of_present, const Facts& known) {
    const TagRule chosen = rule(mutability);
    const Move move{name, {&chosen, "", ""}, present, b};
    const auto needs_of = [&](const Facts& one, const Facts& other) {
      const Decision decision = decide(move, one, other);
      CHECK_FALSE(decision.allowed());
      CHECK(decision.refusal() == nullptr);
      REQUIRE(decision.needs() != nullptr);
      CHECK(decision.needs()->fact == fact);
      return std::pair(decision.needs()->of_present, decision.needs()->of_offered);
    };
    CHECK(needs_of({}, {}) == std::pair(of_present, true));
    CHECK(needs_of(known, {}) == std::pair(false, true));
    if (of_present) CHECK(needs_of({}, known) == std::pair(true, false));
    CHECK(decide(move, known, known).needs() == nullptr);
    // The same digest is no move, and nothing has to be known of it.
    CHECK(decide({name, {&chosen, "", ""}, present, a}, {}, {}).allowed());
  };
  check(Mutability::immutable, Fact::digests, false, named);
  check(Mutability::append_only, Fact::content, true, content);
  check(Mutability::forward_only, Fact::ordering, true, ordering);
  const TagRule moves = rule(Mutability::free);
  CHECK(decide({name, {&moves, "", ""}, present, b}, {}, {}).allowed());
}

TEST_CASE("policy: going back on purpose passes forward-only, and no other rule") {
  const auto outcome = [](Mutability mutability) {
    const TagRule chosen = rule(mutability);
    return decide({name, {&chosen, "", ""}, present, b, true}, {}, {}).allowed();
  };
  CHECK(outcome(Mutability::forward_only));
  CHECK_FALSE(outcome(Mutability::immutable));
  CHECK_FALSE(outcome(Mutability::append_only));
}

TEST_CASE("policy: the refusal of an index over its own platform says what the tool must do") {
  const TagRule releases = rule(Mutability::immutable);
  const auto refusal =
      refusal_of({name, {&releases, "", ""}, present, b}, {}, {std::vector<std::string>{a.str()}, {}, {}});
  REQUIRE(refusal.has_value());
  CHECK(refusal->message().find("an index that contains it") != std::string::npos);
  CHECK(detail(*refusal, "reason") == "TAG_IMMUTABLE");
}

TEST_CASE("policy: an immutable name refuses another digest, in the words of docs/policy.md") {
  const TagRule releases = rule(Mutability::immutable);
  const Match match{&releases, "**", "@semver"};
  CHECK_FALSE(refusal_of({name, match, present, a}, {}, {}).has_value());
  const auto refusal = refusal_of({name, match, present, b}, {}, nothing_named);
  REQUIRE(refusal.has_value());
  CHECK(refusal->code() == Errc::refused_by_policy);
  CHECK(refusal->message() ==
        "tag \"1.4.2\" in prod/app cannot be overwritten because the tag is immutable (rule releases); it "
        "points to " +
            a.str() + ", you pushed " + b.str() + "; push a new tag");
  CHECK(refusal->brief() == "tag 1.4.2 is immutable");
  CHECK(detail(*refusal, "reason") == "TAG_IMMUTABLE");
  CHECK(detail(*refusal, "in_other_words") == "The repository has enabled tag immutability");
  CHECK(detail(*refusal, "rule") == "releases");
  CHECK(detail(*refusal, "tag") == "1.4.2");
  CHECK(detail(*refusal, "existing") == a.str());
  CHECK(detail(*refusal, "offered") == b.str());
  CHECK(detail(*refusal, "pushed_by") == "ci");
  CHECK(detail(*refusal, "pushed_at") == "2027-01-15T08:00:00.000Z");
  Binding removed = present;
  removed.removed = true;
  CHECK(refusal_of({name, match, removed, b}, {}, nothing_named)
            ->message()
            .find("was deleted and stays bound to " + a.str()) != std::string::npos);
}

TEST_CASE("policy: removal") {
  const TagRule denied = rule(Mutability::immutable, false);
  const TagRule allowed = rule(Mutability::immutable, true);
  CHECK_FALSE(decide_removal(name, {&allowed, "", ""}, present).has_value());
  const auto refusal = decide_removal(name, {&denied, "", ""}, present);
  REQUIRE(refusal.has_value());
  CHECK(refusal->message().find("may not be deleted (rule releases)") != std::string::npos);
  CHECK(detail(*refusal, "reason") == "TAG_DELETE_DENIED");
}

TEST_CASE("policy: append-only names what would be lost") {
  const TagRule signatures = rule(Mutability::append_only);
  const Match match{&signatures, "", ""};
  const Facts old = with_content({a.str(), "x", "y"}), none = with_content({});
  CHECK_FALSE(refusal_of({name, match, present, b}, old, old).has_value());
  CHECK_FALSE(refusal_of({name, match, present, a}, old, none).has_value());
  const auto refusal = refusal_of({name, match, present, b}, old, none);
  REQUIRE(refusal.has_value());
  CHECK(refusal->message().find("which lacks " + a.str() + " and 2 more of it") != std::string::npos);
}

TEST_CASE("policy: versions compare as Semantic Versioning says") {
  // Section 11, in ascending order.
  const std::vector<std::string> ascending{"1.0.0-alpha",
                                           "1.0.0-alpha.1",
                                           "1.0.0-alpha.beta",
                                           "1.0.0-beta",
                                           "1.0.0-beta.2",
                                           "1.0.0-beta.11",
                                           "1.0.0-rc.1",
                                           "1.0.0",
                                           "1.0.1",
                                           "1.2",
                                           "1.10.0",
                                           "2",
                                           "v10.0.0",
                                           "18446744073709551615.0.0"};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) {
      INFO(ascending[i] << " and " << ascending[j]);
      const auto order = compare_versions(ascending[i], ascending[j]);
      REQUIRE(order.has_value());
      CHECK(*order == (i < j ? -1 : i > j ? 1 : 0));
    }
  }
  CHECK(compare_versions("1.0.0+build1", "v1.0.0+build2") == 0);
  CHECK(compare_versions("1", "1.0.0") == 0);
  for (const char* text : {"", "v", "x", "1.", "1..2", "1.2.3.4.5", "1.2.x", "1.0.0-", "1.0.0-a..b", "-1",
                           " 1", "99999999999999999999.0.0", "latest"}) {
    INFO(text);
    CHECK_FALSE(compare_versions(text, "1.0.0").has_value());
  }
}

TEST_CASE("policy: forward-only never goes back") {
  const TagRule by_version = rule(Mutability::forward_only);
  const TagRule by_time = rule(Mutability::forward_only, true, ForwardBy::created);
  const auto decide = [](const TagRule& chosen, const std::string& now, const std::string& then) {
    const bool version = chosen.forward_by == ForwardBy::version;
    const Ordering old = version ? Ordering{now, ""} : Ordering{"", now};
    const Ordering next = version ? Ordering{then, ""} : Ordering{"", then};
    const auto refusal =
        refusal_of({name, {&chosen, "", ""}, present, b}, with_ordering(old), with_ordering(next));
    return refusal ? refusal->message() : std::string();
  };
  CHECK(decide(by_version, "1.4.1", "1.4.2").empty());
  CHECK(decide(by_version, "1.4.2", "1.4.2").empty());
  CHECK(decide(by_version, "1.4.2", "1.4.1").find("whose version 1.4.1 is older than 1.4.2") !=
        std::string::npos);
  // Helm's spelling of build metadata, which orders nothing, and four numbers.
  CHECK(decide(by_version, "109.0.1_up1.0.2", "109.0.1_up1.0.1").empty());
  CHECK_FALSE(decide(by_version, "109.0.1_up1.0.2", "109.0.0_up9.0.0").empty());
  CHECK_FALSE(decide(by_version, "1.4.2+b7", "1.4.2-rc.1_b9").empty());
  CHECK_FALSE(decide(by_version, "1.1.196.439", "1.1.196.438").empty());
  CHECK(decide(by_version, "1.1.196", "1.1.196.1").empty());
  CHECK(decide(by_version, "1.4.2", "").find("has no version to compare with 1.4.2") != std::string::npos);
  CHECK(decide(by_version, "1.4.2", "main").find("has no version") != std::string::npos);
  CHECK(decide(by_version, "", "").empty());
  CHECK(decide(by_version, "main", "0.0.1").empty());
  CHECK(decide(by_time, "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00").empty());
  CHECK(decide(by_time, "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z").find("older than") !=
        std::string::npos);
  CHECK(decide(by_time, "yesterday", "2020-01-01T00:00:00Z").empty());
}

}  // namespace
}  // namespace stele::policy
