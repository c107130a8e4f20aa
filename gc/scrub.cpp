#include "gc/scrub.hpp"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>

#include "gc/write_now.hpp"

namespace stele::gc {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds scrub_idle(1000);
constexpr milliseconds scrub_after_failure(10'000);
constexpr std::chrono::seconds between_stores(10);
constexpr std::int64_t page = 100;
// What a blob costs at least: a small one is a seek and a look at the catalog.
constexpr std::uint64_t least_charge = 64 * 1024;
constexpr int niceness = 19;
constexpr std::int64_t most_repositories = 10;  // named per blob

const audit::Actor scrub{Principal::system(), "scrub"};

// Digests are spread evenly, and sha512 comes after sha256 and is rare.
double part_before(const std::string& position) {
  if (position.empty()) return 0;
  const std::size_t colon = position.find(':');
  if (colon == std::string::npos || position.size() < colon + 5) return 0;
  unsigned first = 0;
  std::from_chars(position.data() + colon + 1, position.data() + colon + 5, first, 16);
  return position.starts_with("sha512") ? 1 : first / 65536.0;
}

}  // namespace

Scrub::Scrub(const RegistryContext& context, Uploads& uploads, BlobSource* source, ScrubSettings settings)
    : context_(context),
      settings_(std::move(settings)),
      pause_(context, "scrub"),
      check_(context, uploads, source,
             [this](std::uint64_t) {
               const std::lock_guard lock(mutex_);
               return !stopping_;
             }),
      quiet_until_(Clock::now() + settings_.quiet) {
  const auto loaded = context_.database.read([&](sql::Session& session) -> Result<void> {
    now_.pass = catalog::find_scrub_progress(session);
    now_.paused = pause_.in(session);
    return {};
  });
  if (!loaded) now_.paused = "since the start: " + loaded.error().message();  // when in doubt, it rests
  now_.running = now_.pass.begun && !now_.pass.finished;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "stele-scrub");
}

Scrub::~Scrub() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Scrub::run() {
  ::setpriority(PRIO_PROCESS, 0, niceness);  // of this thread alone
  std::unique_lock lock(mutex_);
  milliseconds rest(0);
  while (!changed_.wait_for(lock, rest, [&] { return stopping_; })) {
    lock.unlock();
    rest = work();
    lock.lock();
  }
  const catalog::ScrubProgress reached = now_.pass;
  const bool running = now_.running;
  lock.unlock();
  if (running) [[maybe_unused]]
    const Result<void> stored = store(reached);
}

bool Scrub::interrupted() const {
  return stopping_ || now_.paused.has_value();
}

milliseconds Scrub::work() {
  const auto failed = [&](const Error& error) {
    const std::lock_guard lock(mutex_);
    now_.problem = error.message();
    return scrub_after_failure;
  };
  const auto due = begin_if_due();
  if (!due) return failed(due.error());
  {
    const std::lock_guard lock(mutex_);
    if (now_.paused) return scrub_idle;
  }
  if (auto looked = look_at_suspects(); !looked) return failed(looked.error());
  if (!*due) return scrub_idle;
  const auto more = step();
  if (!more) return failed(more.error());
  const std::lock_guard lock(mutex_);
  now_.problem.clear();
  return *more ? milliseconds(0) : scrub_idle;
}

// Whether a pass is under way that may go on now.
Result<bool> Scrub::begin_if_due() {
  catalog::ScrubProgress first;
  {
    const std::lock_guard lock(mutex_);
    first = now_.pass;
  }
  if (!first.since) {
    // What this store has was hashed when it came: the first pass is not urgent.
    first.since = context_.clock.now();
    if (auto stored = store(first); !stored) return stored.error();
    const std::lock_guard lock(mutex_);
    if (!now_.pass.since) now_.pass = first;
  }
  catalog::ScrubProgress begun;
  {
    const std::lock_guard lock(mutex_);
    const bool quiet = !wanted_ && Clock::now() < quiet_until_;
    if (now_.running || quiet || now_.paused || settings_.every_seconds == 0) return now_.running && !quiet;
    const Timestamp last = now_.pass.begun ? *now_.pass.begun : *now_.pass.since;
    const Timestamp now = context_.clock.now();
    if (now < last + settings_.every_seconds * 1'000'000) return false;
    begun = {now_.pass.since, now, std::nullopt, {}};
  }
  if (auto stored = store(begun); !stored) return stored.error();
  const std::lock_guard lock(mutex_);
  if (!now_.running) {
    now_.pass = begun;
    now_.running = true;
  }
  return true;
}

Result<void> Scrub::look_at_suspects() {
  for (const Digest& digest : context_.quarantine.take_suspects()) {
    {
      const std::lock_guard lock(mutex_);
      if (interrupted()) return {};
    }
    if (auto judged = judge(digest); !judged) return judged.error();
  }
  return {};
}

Result<bool> Scrub::step() {
  std::string position;
  {
    const std::lock_guard lock(mutex_);
    position = now_.pass.position;
  }
  const auto digests = context_.database.read([&](sql::Session& session) -> Result<std::vector<Digest>> {
    return catalog::blobs_after(session, position, page);
  });
  if (!digests) return digests.error();
  for (const Digest& digest : *digests) {
    const auto whole = check(digest);
    if (!whole) return whole.error();
    if (!*whole) return true;
    catalog::ScrubProgress reached;
    {
      const std::lock_guard lock(mutex_);
      now_.pass.position = digest.str();
      ++now_.pass.blobs;
      ++now_.total.blobs;
      reached = now_.pass;
    }
    if (Clock::now() >= stored_ + between_stores) {
      if (auto stored = store(reached); !stored) return stored.error();
    }
  }
  catalog::ScrubProgress reached;
  const bool more = !digests->empty();
  {
    const std::lock_guard lock(mutex_);
    reached = now_.pass;
  }
  if (more) return true;
  reached.finished = context_.clock.now();
  if (auto stored = store(reached); !stored) return stored.error();
  const std::lock_guard lock(mutex_);
  now_.pass = reached;
  now_.running = false;
  wanted_ = false;
  return false;
}

// False: it was interrupted, and the blob is looked at anew.
Result<bool> Scrub::check(const Digest& digest) {
  const auto row =
      context_.database.read([&](sql::Session& session) -> Result<std::optional<catalog::BlobInfo>> {
        return catalog::find_blob(session, digest);
      });
  if (!row) return row.error();
  if (!*row || (*row)->state != catalog::BlobState::live) return true;
  std::uint64_t read = 0;
  const FileFinding found =
      look_at_file(context_.blobs, digest, (*row)->size, Thoroughness::content, [&](std::uint64_t bytes) {
        read += bytes;
        return pace(bytes);
      });
  if (found.kind == FileFinding::Kind::stopped) return false;
  {
    const std::lock_guard lock(mutex_);
    now_.pass.bytes += read;
    now_.total.bytes += read;
  }
  if (read < least_charge && !pace(least_charge - read)) return false;
  if (found.kind == FileFinding::Kind::right && !context_.quarantine.holds(digest)) return true;
  return judge(digest);
}

// False: it was stopped.
Result<bool> Scrub::judge(const Digest& digest) {
  const auto judged = sync_wait(check_.judge(digest, Thoroughness::content, scrub));
  if (!judged) return judged.error();
  bool repaired = judged->verdict == Verdict::released;
  if (judged->verdict == Verdict::stopped) return false;
  if (judged->verdict == Verdict::unknown) {
    alarm("blob " + digest.str() + " cannot be looked at: " + judged->problem);
    const std::lock_guard lock(mutex_);
    ++now_.total.failed;
    return true;
  }
  if (judged->verdict == Verdict::quarantined) {
    {
      const std::lock_guard lock(mutex_);
      ++now_.pass.damaged;
      ++now_.total.damaged;
    }
    alarm("blob " + digest.str() + " is damaged (" + judged->problem +
          ") and in quarantine: it is not served until somebody pushes it again; `stele quarantine list` "
          "lists all");
    stop_if_implausible();
  }
  if (judged->verdict == Verdict::quarantined || judged->verdict == Verdict::known) {
    const auto fetched = sync_wait(check_.repair(digest, scrub));
    repaired = fetched && *fetched;
    if (!fetched) {
      alarm("blob " + digest.str() +
            " could not be fetched again from its upstream: " + fetched.error().message());
    }
  }
  if (!repaired) return true;
  alarm("blob " + digest.str() + " is mended: its right bytes are back");
  const std::lock_guard lock(mutex_);
  ++now_.pass.repaired;
  ++now_.total.repaired;
  return true;
}

void Scrub::stop_if_implausible() {
  std::string reason;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t damaged = now_.total.damaged - excused_;
    if (now_.paused || damaged <= settings_.plausible_damage || damaged <= now_.total.blobs / 10) return;
    reason = std::to_string(damaged) +
             " damaged blobs: look at the disk, and whether this is the right data directory";
  }
  alarm("the scrub pauses itself after " + reason + "; `stele scrub resume` lets it go on");
  const Result<void> paused = sync_wait(pause_.begin(reason, scrub));
  const auto why = pause_.now();
  const std::lock_guard lock(mutex_);
  now_.paused = paused && why && *why ? **why : reason;
}

bool Scrub::pace(std::uint64_t bytes) {
  const auto took =
      std::chrono::duration<double>(static_cast<double>(bytes) / static_cast<double>(settings_.rate));
  // What was not used is not saved up.
  paced_ =
      std::max(paced_, Clock::now() - milliseconds(100)) + std::chrono::duration_cast<Clock::duration>(took);
  std::unique_lock lock(mutex_);
  return !changed_.wait_until(lock, paced_, [&] { return interrupted(); });
}

Result<void> Scrub::store(const catalog::ScrubProgress& progress) {
  stored_ = Clock::now();
  return write_now(context_.writer, {"scrub"}, [&](sql::Tx& tx) -> Result<void> {
    catalog::store_scrub_progress(tx, progress);
    return {};
  });
}

void Scrub::alarm(const std::string& line) const {
  if (settings_.alarm) settings_.alarm(line);
}

ScrubStatus Scrub::status() const {
  const std::lock_guard lock(mutex_);
  ScrubStatus status = now_;
  status.done = status.running ? part_before(status.pass.position) : 0;
  status.quarantined = context_.quarantine.size();
  const auto last = status.pass.begun ? status.pass.begun : status.pass.since;
  if (settings_.every_seconds > 0 && last) status.next = *last + settings_.every_seconds * 1'000'000;
  return status;
}

Result<std::vector<QuarantinedBlob>> Scrub::quarantined(const std::string& after, std::int64_t limit) const {
  return context_.database.read([&](sql::Session& session) -> Result<std::vector<QuarantinedBlob>> {
    std::vector<QuarantinedBlob> blobs;
    for (catalog::QuarantinedBlob& row : catalog::list_quarantine(session, after, limit)) {
      auto repositories = catalog::repositories_with_blob(session, row.digest, most_repositories);
      blobs.push_back({std::move(row), std::move(repositories)});
    }
    return blobs;
  });
}

Task<Result<void>> Scrub::start(audit::Actor actor) {
  auto pending = context_.writer.write({"scrub"}, [&](sql::Tx& tx) -> Result<catalog::ScrubProgress> {
    if (const auto why = pause_.in(tx))
      return Error(Errc::parameter_invalid, "scrub is paused " + *why + "; resume it first");
    catalog::ScrubProgress pass = catalog::find_scrub_progress(tx);
    if (pass.begun && !pass.finished)
      return Error(Errc::parameter_invalid, "a pass is under way since " + to_string(*pass.begun));
    const Timestamp now = context_.clock.now();
    pass = {pass.since ? pass.since : now, now, std::nullopt, {}};
    catalog::store_scrub_progress(tx, pass);
    audit::append(tx, audit::Event{"scrub.start", {}, {}, std::nullopt, std::nullopt}, actor, now);
    return pass;
  });
  const auto begun = co_await pending;
  if (!begun) co_return begun.error();
  {
    const std::lock_guard lock(mutex_);
    now_.pass = *begun;
    now_.running = true;
    wanted_ = true;
  }
  changed_.notify_all();
  co_return Result<void>();
}

Task<Result<void>> Scrub::pause(std::string reason, audit::Actor actor) {
  const Result<void> paused = co_await pause_.begin(std::move(reason), std::move(actor));
  if (!paused) co_return paused;
  const auto why = pause_.now();
  {
    const std::lock_guard lock(mutex_);
    now_.paused = why && *why ? **why : std::string("by an administrator");
  }
  changed_.notify_all();
  co_return Result<void>();
}

Task<Result<void>> Scrub::resume(audit::Actor actor) {
  const Result<void> resumed = co_await pause_.end(std::move(actor));
  if (!resumed) co_return resumed;
  const std::lock_guard lock(mutex_);
  now_.paused.reset();
  excused_ = now_.total.damaged;  // somebody has looked at it
  wanted_ = now_.running;
  co_return Result<void>();
}

}  // namespace stele::gc
