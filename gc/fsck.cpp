#include "gc/fsck.hpp"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>

#include "gc/fsck_sections.hpp"
#include "gc/write_now.hpp"
#include "storage/catalog/quarantine.hpp"

namespace stele::gc {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t page = 500;
constexpr std::size_t confirmed_at_once = 50;
constexpr int niceness = 10;
constexpr std::uint64_t plausible_damage = 100;

struct Said {
  std::string_view name;
  std::string_view explanation;
};

// In the order of Problem.
constexpr std::array<Said, problem_count> said = {{
    {"tag_damaged", "the tag's row does not agree with its checksum; push the tag again"},
    {"tag_without_manifest", "the tag points to a manifest that is not there; push the tag again"},
    {"manifest_damaged",
     "the stored manifest is not what its digest says, and is not served; delete it by its digest and push "
     "it "
     "again, or restore a snapshot"},
    {"reference_missing", "a manifest needs content that its repository does not have; push it again"},
    {"reference_unrecorded",
     "what a manifest needs is not recorded, and the collector might take it; --repair records it"},
    {"trash_damaged", "a manifest in the trash is not what its digest says; it cannot be restored"},
    {"row_without_owner", "a row about something that is not there; --repair removes what holds no content"},
    {"link_forgotten",
     "a repository's link to a blob that nothing needs and nobody will look at; --repair queues its review"},
    {"blob_forgotten", "a blob that no repository has and nobody will look at; --repair queues its review"},
    {"removal_forgotten", "a blob whose removal began and will not end; --repair queues its review"},
    {"usage_wrong", "what `stele usage` says of a repository is not what it holds; --repair counts it anew"},
    {"blob_damaged",
     "a blob without a file, or with one of another length; --repair puts it into quarantine, pushing it "
     "again "
     "mends it"},
    {"blob_quarantined", "a blob that is in quarantine; push it again"},
    {"file_without_row", "a file that a crash left; --repair and the daily sweep remove it"},
}};

}  // namespace

std::string_view to_string(Problem problem) {
  return said.at(static_cast<std::size_t>(problem)).name;
}

std::string_view explanation(Problem problem) {
  return said.at(static_cast<std::size_t>(problem)).explanation;
}

std::uint64_t FsckReport::problems() const {
  std::uint64_t sum = 0;
  for (const Class& one : classes) sum += one.found;
  return sum;
}

std::uint64_t FsckReport::repaired() const {
  std::uint64_t sum = 0;
  for (const Class& one : classes) sum += one.repaired;
  return sum;
}

// One check, on its thread.
struct Fsck::Run {
  Fsck& fsck;
  const bool repair;
  const audit::Actor& actor;

  bool stopping() const {
    const std::lock_guard lock(fsck.mutex_);
    return fsck.stopping_;
  }

  void doing(std::string_view what) const {
    const std::lock_guard lock(fsck.mutex_);
    fsck.report_.doing = what;
  }

  void count(std::int64_t rows, std::uint64_t files) const {
    const std::lock_guard lock(fsck.mutex_);
    fsck.report_.rows += static_cast<std::uint64_t>(rows);
    fsck.report_.files += files;
  }

  void found(Problem problem, const std::string& name, bool repaired) const {
    const std::lock_guard lock(fsck.mutex_);
    FsckReport::Class& into = fsck.report_.classes.at(static_cast<std::size_t>(problem));
    ++into.found;
    if (repaired) ++into.repaired;
    if (into.names.size() < FsckReport::most_names) into.names.push_back(name);
  }

  // As long as what was done took: at most half of the disk and of the writer is ours.
  void rest_since(std::chrono::steady_clock::time_point begun) const {
    if (!fsck.settings_.rest) return;
    const auto took = std::chrono::steady_clock::now() - begun;
    std::unique_lock lock(fsck.mutex_);
    fsck.changed_.wait_for(lock, took, [&] { return fsck.stopping_; });
  }

  Result<void> all() const {
    for (const auto& section : catalog_sections(fsck.context_)) {
      doing(section->name());
      if (auto checked = check(*section); !checked) return checked;
    }
    doing("files of blobs");
    if (auto checked = check_blob_files(); !checked) return checked;
    doing("files without a row");
    return check_orphans();
  }

  Result<void> check(const Section& section) const {
    catalog::RowKey at;
    while (!stopping()) {
      const auto begun = std::chrono::steady_clock::now();
      std::vector<Suspicion> suspicions;
      const auto rows = fsck.context_.database.read([&](sql::Session& session) -> Result<std::int64_t> {
        return section.look(session, at, page, suspicions);
      });
      if (!rows) return rows.error();
      if (*rows == 0) return {};
      count(*rows, 0);
      for (std::size_t first = 0; first < suspicions.size(); first += confirmed_at_once) {
        const std::size_t last = std::min(suspicions.size(), first + confirmed_at_once);
        if (auto confirmed = confirm(section, {suspicions.begin() + static_cast<std::ptrdiff_t>(first),
                                               suspicions.begin() + static_cast<std::ptrdiff_t>(last)});
            !confirmed)
          return confirmed;
      }
      rest_since(begun);
    }
    return {};
  }

  // The suspicion as it is now, if it still stands.
  static std::optional<Suspicion> still(const Section& section, sql::Session& session, const Suspicion& was) {
    std::vector<Suspicion> now;
    catalog::RowKey at = was.before;
    section.look(session, at, section.again(), now);
    for (Suspicion& suspicion : now) {
      if (suspicion.problem == was.problem && suspicion.name == was.name) return std::move(suspicion);
    }
    return std::nullopt;
  }

  Result<void> confirm(const Section& section, std::vector<Suspicion> suspicions) const {
    struct Confirmed {
      Problem problem;
      std::string name;
      bool repaired;
    };
    const auto confirmed =
        write_now(fsck.context_.writer, {}, [&](sql::Tx& tx) -> Result<std::vector<Confirmed>> {
          std::vector<Confirmed> standing;
          for (const Suspicion& was : suspicions) {
            const auto now = still(section, tx, was);
            if (!now) continue;
            const bool mends = repair && now->mend;
            if (mends) {
              now->mend(tx);
              record(tx, *now);
            }
            standing.push_back({now->problem, now->name, mends});
          }
          return standing;
        });
    if (!confirmed) return confirmed.error();
    for (const Confirmed& one : *confirmed) found(one.problem, one.name, one.repaired);
    return {};
  }

  void record(sql::Tx& tx, const Suspicion& mended) const {
    const std::string reason = std::string(to_string(mended.problem)) + ": " + mended.name;
    audit::append(tx,
                  audit::Event{"fsck.repair", mended.repository, {}, mended.digest, std::nullopt, {}, reason},
                  actor, fsck.context_.clock.now());
  }

  Result<void> check_blob_files() const {
    std::string position;
    while (!stopping()) {
      const auto begun = std::chrono::steady_clock::now();
      struct Row {
        Digest digest;
        std::uint64_t size;
      };
      std::vector<Row> rows;
      auto read = fsck.context_.database.read([&](sql::Session& session) -> Result<void> {
        for (const Digest& digest : catalog::blobs_after(session, position, page)) {
          if (const auto blob = catalog::find_blob(session, digest)) rows.push_back({digest, blob->size});
        }
        return {};
      });
      if (!read) return read;
      if (rows.empty()) return {};
      position = rows.back().digest.str();
      count(0, rows.size());
      for (const Row& row : rows) {
        const FileFinding found_now =
            look_at_file(fsck.context_.blobs, row.digest, row.size, Thoroughness::size, nullptr);
        if (found_now.kind == FileFinding::Kind::right || fsck.context_.quarantine.holds(row.digest))
          continue;
        if (auto judged = judge(row.digest); !judged) return judged;
      }
      rest_since(begun);
    }
    return {};
  }

  // So much damage is not the blobs': the disk is gone, or the directory is another one.
  bool plausible() const {
    const std::lock_guard lock(fsck.mutex_);
    const std::uint64_t damaged = fsck.report_.of(Problem::blob_damaged).found;
    return damaged < plausible_damage || damaged < fsck.report_.files / 10;
  }

  Result<void> judge(const Digest& digest) const {
    const bool mends = repair && plausible();
    const auto judged = sync_wait(mends ? fsck.blobs_.judge(digest, Thoroughness::size, actor)
                                        : fsck.blobs_.look(digest, Thoroughness::size));
    if (!judged) return judged.error();
    const bool damaged = judged->verdict == Verdict::quarantined;
    if (damaged || judged->verdict == Verdict::unknown)
      found(Problem::blob_damaged, digest.str() + ": " + judged->problem, damaged && mends);
    return {};
  }

  Result<void> check_orphans() const {
    if (stopping()) return {};
    SweepLimits limits;
    limits.grace_seconds = fsck.settings_.grace_seconds;
    limits.report_only = !repair;
    const auto swept = sync_wait(sweep(fsck.context_, fsck.uploads_, limits));
    if (!swept) return swept.error();
    const std::uint64_t removed = repair ? swept->uploads_removed + swept->blobs_removed : 0;
    const std::uint64_t all = swept->uploads_removed + swept->blobs_removed + swept->withheld + swept->failed;
    {
      const std::lock_guard lock(fsck.mutex_);
      FsckReport::Class& into = fsck.report_.classes.at(static_cast<std::size_t>(Problem::file_without_row));
      into.found = all;
      into.repaired = removed;
      into.names = swept->orphans;
    }
    if (removed == 0) return {};
    return write_now(fsck.context_.writer, {}, [&](sql::Tx& tx) -> Result<void> {
      const std::string reason = std::string(to_string(Problem::file_without_row)) + ": " +
                                 std::to_string(removed) + " files of " +
                                 std::to_string(swept->bytes_removed) + " bytes";
      audit::append(tx, audit::Event{"fsck.repair", {}, {}, std::nullopt, std::nullopt, {}, reason}, actor,
                    fsck.context_.clock.now());
      return {};
    });
  }
};

Fsck::Fsck(const RegistryContext& context, Uploads& uploads, FsckSettings settings)
    : context_(context), uploads_(uploads), settings_(settings), blobs_(context, uploads, nullptr) {}

Fsck::~Fsck() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<void> Fsck::start(bool repair, audit::Actor actor) {
  const std::lock_guard lock(mutex_);
  if (report_.state == FsckReport::State::running) {
    return Error(Errc::parameter_invalid, "a check is under way since " + to_string(*report_.begun) +
                                              "; `stele fsck --last` shows how far it is");
  }
  if (thread_.joinable()) thread_.join();  // it has ended but for its last line
  report_ = FsckReport();
  report_.state = FsckReport::State::running;
  report_.repair = repair;
  report_.begun = context_.clock.now();
  thread_ = std::thread([this, repair, actor = std::move(actor)] { run(repair, actor); });
  pthread_setname_np(thread_.native_handle(), "stele-fsck");
  return {};
}

void Fsck::run(bool repair, const audit::Actor& actor) {
  ::setpriority(PRIO_PROCESS, 0, niceness);  // of this thread alone
  const Run check{*this, repair, actor};
  const Result<void> checked = check.all();
  const std::lock_guard lock(mutex_);
  report_.ended = context_.clock.now();
  report_.doing.clear();
  report_.state = checked && !stopping_ ? FsckReport::State::done : FsckReport::State::failed;
  if (!checked)
    report_.message = checked.error().message();
  else if (stopping_)
    report_.message = "the server stopped";
}

FsckReport Fsck::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

}  // namespace stele::gc
