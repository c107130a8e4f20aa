// I7, exhaustively: every system call of every operation fails in every way, alone, from then on, and
// together with each of the calls that follow the failure.

#include <cstdio>
#include <cstring>

#include "tests/support/effort.hpp"
#include "tests/support/injecting_file_layer.hpp"
#include "tests/unit/storage/fs_scenarios.hpp"

namespace stele::fs {
namespace {

using namespace stele::suites;
using namespace scenarios;

// What the caller must be told, from the first call that failed.
Errc expected_code(const Operation& failure) {
  if (is_sync(failure.call)) return Errc::read_only;
  return failure.error == ENOSPC || failure.error == EDQUOT ? Errc::no_space : Errc::io;
}

// I1: the bytes that were acknowledged before the fault can still be read, whatever became of the operation.
void check_nothing_lost(World& world) {
  CHECK(read_blob(world.store(), world.kept_digest) == kept);
  if (const auto upload = world.store().open_upload(world.upload)) {
    CHECK((read_all(**upload).substr(0, acknowledged.size()) == acknowledged));
  } else if (const auto blob = world.store().open(sha256(acknowledged))) {
    CHECK((read_all(**blob) == acknowledged));
  }
}

// Once every session is discarded nothing is left but whole blobs.
void check_no_debris(World& world) {
  world.writer.reset();
  for (const auto& id : uploads_of(world.store())) CHECK(ok(world.store().discard(*UploadId::parse(id))));
  CHECK(uploads_of(world.store()).empty());
  for (const auto& name : blobs_of(world.store())) {
    const Digest digest = *Digest::parse(name);
    CHECK((sha256(read_blob(world.store(), digest)) == digest));
  }
}

void check_read_only(World& world) {
  CHECK_FALSE(world.fixture.latch().reason().empty());
  const auto refused = world.store().create(UploadId::random());
  CHECK(code_of(refused) == Errc::read_only);
  CHECK(refused.error().message().find(world.fixture.latch().reason()) != std::string::npos);
}

// Goes on after the fault as a caller would: on the same store, and with the same writer unless that says it
// cannot.
void repeat(World& world, const Scenario& scenario, const std::vector<Operation>& record) {
  const bool cut_failed = std::any_of(record.begin(), record.end(), [](const Operation& operation) {
    return operation.call == Call::ftruncate && operation.injected;
  });
  auto again = scenario.run(world);
  if (!again && cut_failed && world.writer) {
    CHECK(again.error().code() == Errc::io);
    const UploadId& id = world.steps ? world.fresh : world.upload;
    auto resumed = world.store().resume(id, world.writer->size());
    REQUIRE(ok(resumed));
    world.writer = std::move(*resumed);
    again = scenario.run(world);
  }
  REQUIRE(ok(again));
  scenario.verify(world);
}

struct Tally {
  unsigned cases = 0;
  unsigned failed = 0;  // in which the operation reported an error
  unsigned latched = 0;
  unsigned lists = 0;  // of calls, of which each test_every()-th fails
};

// Runs the operation with these faults; what it did.
std::vector<Operation> check(const Scenario& scenario, const std::vector<Fault>& faults, Tally& tally) {
  World world;
  scenario.arrange(world);
  const std::size_t before = world.layer.operations();
  for (const auto& fault : faults) world.layer.inject(fault);
  const auto result = scenario.run(world);
  world.layer.clear_faults();
  const auto record = world.layer.record_since(before);

  ++tally.cases;
  const auto failure =
      std::find_if(record.begin(), record.end(), [](const auto& operation) { return operation.injected; });
  const bool latched = std::any_of(record.begin(), record.end(), [](const auto& operation) {
    return operation.injected && is_sync(operation.call);
  });
  REQUIRE(result.has_value() == (failure == record.end()));
  CHECK(world.fixture.latch().closed() == latched);
  if (failure == record.end()) {
    scenario.verify(world);
  } else {
    ++tally.failed;
    CHECK(to_string(result.error().code()) == to_string(expected_code(*failure)));
  }
  check_nothing_lost(world);

  if (latched) {
    ++tally.latched;
    check_read_only(world);
    world.writer.reset();
    world.fixture.restart();
    check_nothing_lost(world);
  } else if (failure != record.end()) {
    repeat(world, scenario, record);
  }
  check_no_debris(world);
  CHECK(read_blob(world.store(), world.kept_digest) == kept);
  return record;
}

std::string describe(const Scenario& scenario, const std::vector<Fault>& faults) {
  std::string text = scenario.name;
  for (const auto& fault : faults) {
    text +=
        "; " + std::string(fault.call ? to_string(*fault.call) : "call") + " " + std::to_string(fault.nth);
    if (fault.half) text += " is short, then";
    text += fault.error ? std::string(" ") + ::strerrorname_np(fault.error) : " goes on";
    if (fault.from_then_on) text += " from then on";
  }
  return text;
}

std::vector<Operation> check_described(const Scenario& scenario, const std::vector<Fault>& faults,
                                       Tally& tally) {
  INFO(describe(scenario, faults));
  return check(scenario, faults, tally);
}

// The n-th call of each kind, for every n.
void check_each_call(const Scenario& scenario, const std::vector<Operation>& clean, Tally& tally) {
  for (std::size_t kind = 0; kind < call_names.size(); ++kind) {
    const Call call = static_cast<Call>(kind);
    const auto count = static_cast<unsigned>(std::count_if(
        clean.begin(), clean.end(), [&](const Operation& operation) { return operation.call == call; }));
    for (unsigned nth = test_first(tally.lists++); nth <= count; nth += test_every()) {
      for (const bool half : {false, true}) {
        if (half && call != Call::write && call != Call::pread) continue;
        if (half) check_described(scenario, {{.call = call, .nth = nth, .error = 0, .half = true}}, tally);
        for (const int error : {ENOSPC, EDQUOT, EIO}) {
          for (const bool from_then_on : {false, true}) {
            check_described(
                scenario,
                {{.call = call, .nth = nth, .error = error, .from_then_on = from_then_on, .half = half}},
                tally);
          }
        }
      }
    }
  }
}

// The n-th call of all, then each call that the store makes because of it; and a disk on which nothing works
// any more.
void check_second_faults(const Scenario& scenario, const std::vector<Operation>& clean, Tally& tally) {
  for (unsigned nth = test_first(tally.lists++); nth <= clean.size(); nth += test_every()) {
    for (const int error : {ENOSPC, EIO}) {
      const Fault first{.nth = nth, .error = error};
      const auto record = check_described(scenario, {first}, tally);
      for (auto next = nth + 1; next <= record.size(); ++next) {
        check_described(scenario, {first, {.nth = next, .error = EIO}}, tally);
      }
      check_described(scenario, {{.nth = nth, .error = error, .from_then_on = true}}, tally);
    }
  }
}

TEST_CASE("fs: every call of every operation fails in every way (I1, I7)") {
  Tally total;
  for (const auto& scenario : all_of_them()) {
    Tally tally;
    const auto clean = check_described(scenario, {}, tally);
    check_each_call(scenario, clean, tally);
    check_second_faults(scenario, clean, tally);
    std::printf("fs faults: %-26s %2zu calls, %4u cases, %4u refused, %3u latched\n", scenario.name,
                clean.size(), tally.cases, tally.failed, tally.latched);
    total.cases += tally.cases;
    total.failed += tally.failed;
    total.latched += tally.latched;
  }
  std::printf("fs faults: %u cases, %u refused, %u latched\n", total.cases, total.failed, total.latched);
}

TEST_CASE("fs: a writer that could not cut its file back is of no more use") {
  World world;
  world.layer.inject({.call = Call::write, .error = ENOSPC, .half = true});
  world.layer.inject({.call = Call::ftruncate, .error = EIO});
  CHECK(code_of(world.writer->append(as_bytes(chunk))) == Errc::no_space);
  world.layer.clear_faults();
  CHECK(world.writer->size() == acknowledged.size());
  CHECK(code_of(world.writer->append(as_bytes("more"))) == Errc::io);
  CHECK(code_of(world.writer->sync()) == Errc::io);
  CHECK_FALSE(world.fixture.latch().closed());
  const auto resumed = world.store().resume(world.upload, acknowledged.size());
  REQUIRE(ok(resumed));
  CHECK(upload_content(world, world.upload) == acknowledged);
}

TEST_CASE("fs: interrupted calls are made again") {
  World world;
  for (const Call call :
       {Call::open, Call::write, Call::fdatasync, Call::fsync, Call::pread, Call::statvfs}) {
    world.layer.inject({.call = call, .error = EINTR});
  }
  const Digest digest = push(world.store(), "hello");
  CHECK(read_blob(world.store(), digest) == "hello");
  CHECK(ok(world.store().space()));
  CHECK_FALSE(world.fixture.latch().closed());
}

TEST_CASE("fs: after one failed sync nothing of another thread's is acknowledged") {
  World world;
  const auto other = begin(world.store(), world.fresh, "other");
  world.layer.inject({.call = Call::fdatasync, .error = EIO});
  REQUIRE(ok(world.writer->append(as_bytes("more"))));
  CHECK(code_of(world.writer->sync()) == Errc::read_only);
  CHECK(code_of(other->sync()) == Errc::read_only);
  CHECK(code_of(world.store().publish(world.upload, sha256(acknowledged))) == Errc::read_only);
}

}  // namespace
}  // namespace stele::fs
