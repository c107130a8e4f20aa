// Leases (registry/leases.hpp): I5.

#include "registry/leases.hpp"

#include "tests/support/registry_fixture.hpp"

namespace stele {
namespace {

TEST_CASE("leases: what was looked at is leased for a day, everything after a start") {
  SettableClock clock;
  Leases leases(clock);
  const Digest digest = Digest::of(DigestAlgorithm::sha256, "x");
  const Digest other = Digest::of(DigestAlgorithm::sha256, "y");
  CHECK(leases.leased(other));
  clock.advance(Leases::default_seconds + 1);
  CHECK_FALSE(leases.leased(other));
  leases.take(digest);
  CHECK(leases.leased(digest));
  CHECK_FALSE(leases.leased(other));
  clock.advance(Leases::default_seconds - 1);
  CHECK(leases.leased(digest));
  clock.advance(2);
  CHECK_FALSE(leases.leased(digest));
}

}  // namespace
}  // namespace stele
