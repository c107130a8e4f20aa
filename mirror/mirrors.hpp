#pragma once
// Pull-through mirroring: what an upstream has and this registry not yet is fetched when somebody asks for
// it, once however many ask, verified, and from then on served from here.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "http/growing_file.hpp"
#include "mirror/gather.hpp"
#include "mirror/names.hpp"
#include "mirror/settings.hpp"
#include "mirror/statistics.hpp"
#include "mirror/updates.hpp"
#include "registry/registry.hpp"

namespace stele::mirror {

// What a reference of a mirrored repository means now.
struct KnownManifest {
  Digest digest;
  bool stored = true;      // false: only its description is known, which is enough for HEAD
  bool bound = true;       // here, to the tag that was asked for; if not, only `digest` leads to it
  std::string media_type;  // when it is not stored
  std::uint64_t size = 0;
  std::string
      warning;  // the value of a Warning field, when upstream could not be compared with; mostly empty
  bool fetched = false;  // for this answer; false: it was here
  bool stale = false;    // it could not be compared with upstream although that was due
};

// A list of upstream's.
struct Listing {
  struct Entry {
    std::string text;           // a tag, or a descriptor as JSON
    std::string artifact_type;  // of a referrer, if its descriptor says it
  };
  Listing() = default;
  Listing(std::vector<Entry> all, std::string why) : entries(std::move(all)), warning(std::move(why)) {}
  std::vector<Entry> entries;
  std::string warning;  // as above: upstream could not be asked, this is what it said before
};

// Thread-safe. Calls that return a Task continue on the caller's executor.
class Mirrors {
 public:
  // What a mirror works with; all of it outlives the mirrors.
  static Result<std::unique_ptr<Mirrors>> open(const std::vector<Settings>& settings,
                                               const RegistryContext& context, Registry& registry,
                                               std::uint64_t manifest_bytes);
  ~Mirrors();
  Mirrors(const Mirrors&) = delete;
  Mirrors& operator=(const Mirrors&) = delete;

  const Names& names() const;
  // Whether a repository of this name is or was here. Whoever may pull neither it nor the default mirror's
  // must not learn it from an answer.
  Result<bool> is_ours(const RepositoryName& asked) const;

  // Which repository of which mirror a request for `asked` means; empty: none, it is this registry's own. A
  // name that names no mirror is the default mirror's, unless a repository of that name is or was here.
  Result<std::optional<Place>> place(const RepositoryName& asked, std::optional<std::size_t> in_path,
                                     std::optional<std::string_view> ns);

  // Brings what the reference means into the registry, if it is not there: by digest without asking anybody
  // when it is here, by tag after comparing with upstream when that is due. `description`: for HEAD, which
  // fetches nothing that it can do without. manifest_unknown, forbidden, too_many_requests, unavailable,
  // refused_by_policy.
  Task<Result<KnownManifest>> manifest(Place place, Reference reference, bool description);

  // The blob as it arrives; for what the registry does not have. blob_unknown and as above.
  Task<Result<std::shared_ptr<http::GrowingFile>>> blob(Place place, Digest digest);
  // Its size, without fetching it.
  Task<Result<std::uint64_t>> blob_size(Place place, Digest digest);

  // Brings everything that the image takes into the registry and waits for it: manifests one after the other,
  // at most most_arriving blobs at once. What is here already costs no request, but a tag, and referrers, one
  // each when their time is over. Nothing is given up half: what has come stays, and the next call goes on
  // from there. manifest_unknown, blob_unknown: upstream does not have all of it (nor, offline, is it here);
  // the message and the detail `missing` say what. parameter_invalid: more than most_manifests or most_blobs.
  // Otherwise as manifest(), at the first failure.
  Task<Result<Gathered>> gather(Place place, Reference reference, Wanted wanted);
  static constexpr std::size_t most_manifests = 10'000;
  static constexpr std::size_t most_blobs = 50'000;
  static constexpr std::size_t most_arriving = 4;

  // Upstream's own list, up to 20 pages and 4 MiB, as it was at most tag_ttl ago. not_found and the errors of
  // manifest(): upstream could not be asked and nothing is known from before.
  Task<Result<Listing>> tags(Place place);
  // The same of a manifest's referrers, or of its fallback tag where upstream has no such list. Empty only
  // when upstream says so.
  Task<Result<Listing>> referrers(Place place, Digest subject);

  // A page of the tags for which upstream names something else than what is held here on purpose (`tags:
  // pin`, `quarantine`), of at most `limit` tags after `last`. Upstream is asked by HEAD for those that were
  // not compared within tag_ttl, one after the other, and not while it limits or does not answer. Manifests
  // that it names are fetched by digest. not_found: no such mirror; corrupt.
  Task<Result<UpdatePage>> updates(std::string mirror, std::optional<catalog::MirroredTagName> last,
                                   std::int64_t limit);
  // Moves a held tag to what upstream names, once that is here and verified, with an event.
  // refused_by_policy: upstream names another digest, or the tag's rule forbids it; manifest_unknown: nothing
  // is held; not_found: no such mirror; parameter_invalid: not of this mirror; and as manifest().
  Task<Result<ApprovalDone>> approve(ApprovalRequest asked);

  // The value of a Warning field: what is answered may be old, for this reason (RFC 7234, 5.5).
  static std::string stale_warning(const Error& why);

  // What was answered without asking here: a blob that is in the registry.
  void note_hit(const Place& place);
  // So much of a repository's content went to a client; of other repositories than mirrored ones nothing is
  // noted.
  void note_served(std::string_view repository, std::uint64_t bytes);
  void note_evicted(std::size_t mirror, std::uint64_t manifests, std::uint64_t bytes);
  // In the order of the configuration.
  std::vector<MirrorStatus> status() const;

  // Whether upstream still has it: one HEAD. An error: that cannot be known now. No request of a client's.
  enum class UpstreamCopy : std::uint8_t { there, gone };
  Task<Result<UpstreamCopy>> still_upstream(Place place, Reference reference);

  // Requests that are held by `wait` get their answer, now and from now on: a stop has begun.
  void stop_waiting();
  // Ends every fetch, now and from now on: for a stop. Whoever streams is reset.
  void abort();

 private:
  struct Impl;
  explicit Mirrors(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace stele::mirror
