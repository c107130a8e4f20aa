#include "storage/catalog/quarantine.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "storage/catalog/meta.hpp"
#include "storage/catalog/rows.hpp"

namespace stele::catalog {
namespace {

constexpr std::string_view progress_key = "scrub_progress";

std::optional<Timestamp> time_of(std::int64_t microseconds) {
  if (microseconds == 0) return std::nullopt;
  return Timestamp{microseconds};
}

std::int64_t microseconds(const std::optional<Timestamp>& time) {
  return time ? time->microseconds : 0;
}

}  // namespace

std::vector<QuarantinedBlob> list_quarantine(Session& session, const std::string& last, std::int64_t limit) {
  std::vector<QuarantinedBlob> found;
  // By digest through the blobs' own index would look at every blob: there are few of these, and they are
  // sorted here.
  auto rows = session.query(
      "SELECT b.digest, b.size, q.found_at, q.problem FROM quarantine q JOIN blobs b ON b.id = q.blob_id "
      "WHERE q.blob_id >= 0");
  while (rows.next()) {
    if (rows.text(0) <= last) continue;
    found.push_back({parse_column<Digest>(rows.text(0), "blobs.digest"), size_column(rows, 1),
                     Timestamp{rows.integer(2)}, std::string(rows.text(3))});
  }
  std::sort(found.begin(), found.end(), [](const QuarantinedBlob& one, const QuarantinedBlob& other) {
    return one.digest < other.digest;
  });
  if (limit >= 0 && std::cmp_greater(found.size(), limit))
    found.erase(found.begin() + static_cast<std::ptrdiff_t>(limit), found.end());
  return found;
}

bool put_in_quarantine(Tx& tx, const Digest& digest, Timestamp found_at, const std::string& problem) {
  return tx.execute(
             "INSERT INTO quarantine (blob_id, found_at, problem) SELECT id, $2, $3 FROM blobs WHERE digest "
             "= $1 ON CONFLICT (blob_id) DO NOTHING",
             digest.str(), found_at.microseconds, problem) > 0;
}

bool end_quarantine(Tx& tx, const Digest& digest, std::uint64_t size) {
  const bool ended =
      tx.execute("DELETE FROM quarantine WHERE blob_id = (SELECT id FROM blobs WHERE digest = $1)",
                 digest.str()) > 0;
  // The row's size may have been what was wrong.
  if (ended)
    tx.execute("UPDATE blobs SET size = $2 WHERE digest = $1 AND size <> $2", digest.str(),
               static_cast<std::int64_t>(size));
  return ended;
}

std::vector<Digest> blobs_after(Session& session, const std::string& last, std::int64_t limit) {
  std::vector<Digest> digests;
  auto rows = session.query(
      "SELECT digest FROM blobs WHERE digest > $1 AND state = 'live' ORDER BY digest LIMIT $2", last, limit);
  while (rows.next()) digests.push_back(parse_column<Digest>(rows.text(0), "blobs.digest"));
  return digests;
}

ScrubProgress find_scrub_progress(Session& session) {
  ScrubProgress progress;
  const auto text = find_meta(session, progress_key);
  if (!text) return progress;
  std::istringstream in(*text);
  std::int64_t since = 0, begun = 0, finished = 0;
  in >> since >> begun >> finished >> progress.blobs >> progress.bytes >> progress.damaged >>
      progress.repaired;
  if (!in) throw sql::Failure(sql::Failure::Kind::corrupt, "meta has an impossible scrub_progress");
  in >> progress.position;
  progress.since = time_of(since);
  progress.begun = time_of(begun);
  progress.finished = time_of(finished);
  return progress;
}

void store_scrub_progress(Tx& tx, const ScrubProgress& progress) {
  std::ostringstream text;
  text << microseconds(progress.since) << ' ' << microseconds(progress.begun) << ' '
       << microseconds(progress.finished) << ' ' << progress.blobs << ' ' << progress.bytes << ' '
       << progress.damaged << ' ' << progress.repaired << ' ' << progress.position;
  put_meta(tx, progress_key, text.str());
}

}  // namespace stele::catalog
