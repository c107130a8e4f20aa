#pragma once
// The append-only record of every mutation and of every refusal by policy (I4): one row in the mutation's own
// transaction, or in the one whose savepoint the refusal rolled back.

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/digest.hpp"
#include "base/principal.hpp"
#include "storage/sql/writer.hpp"

namespace stele::audit {

// Who asked, and through which request. A value; belongs to one request.
struct Actor {
  Principal principal = Principal::system();
  std::string request_id;
};

struct Event {
  // The names, by what they are about:
  // blob.: collect, delete, mount, push, quarantine, refused, repaired, unlink
  // clock.confirm, fsck.repair, policy.load
  // collection.: pause, resume; scrub.: pause, resume, start
  // hold.: release, set
  // in-use.: remove, report
  // lifecycle.: begin, dismiss, end
  // lock.: extend, refused, release, stamp
  // manifest.: delete, expire, promote, push, refused, restore
  // name.released
  // repository.: delete, refused
  // robot.: create, remove, renew, revoke
  // tag.: approve, delete, expire, promote, refused, restore, retag, rollback, set
  // token.: create, revoke
  // trash.: erase, refused
  // user.: create, disable, enable, groups, password, remove
  std::string_view action;
  std::string_view repository;
  std::string_view tag;  // empty: none
  std::optional<Digest> old_digest;
  std::optional<Digest> new_digest;
  std::string_view rule = {};    // of the policy that allowed or refused it; empty: none
  std::string_view reason = {};  // of a refusal: "TAG_IMMUTABLE"; of a policy: its hash
};

// Appends; the event's sequence number (strictly increasing, without gaps among committed events' order).
std::int64_t append(sql::Tx&, const Event&, const Actor&, Timestamp now);

}  // namespace stele::audit
