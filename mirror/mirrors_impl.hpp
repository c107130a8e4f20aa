#pragma once
// Internal to mirror/: the state of all mirrors.

#include <set>

#include "mirror/blob_flight.hpp"
#include "mirror/mirrors.hpp"
#include "mirror/tag_state.hpp"

namespace stele::mirror {

struct Mirrors::Impl {
  Impl(const RegistryContext& registry_context, Registry& the_registry, Names mirror_names,
       std::uint64_t largest_manifest)
      : context(registry_context),
        registry(the_registry),
        names(std::move(mirror_names)),
        manifest_bytes(largest_manifest) {}
  ~Impl() { abort(); }
  void abort() {
    fetcher.abort_all();
    thread.end_sleeps();
  }

  // As the catalog has it.
  Result<TagState> tag_state(const Place&, const Tag&) const;
  Result<bool> has_manifest(const RepositoryName&, const Digest&) const;
  // The answer that the state gives, without asking anybody; empty: upstream has to be asked.
  std::optional<KnownManifest> answer(const TagState&, bool description, std::string warning = {}) const;
  bool pins(const Place& place) const { return upstream(place).settings().tags == Settings::Tags::pin; }
  // Whether tags may stay behind upstream's here.
  bool may_keep(const Place& place) const {
    return pins(place) || upstream(place).settings().quarantine.count() > 0;
  }
  // Whether upstream said so at most tag_ttl ago.
  bool compared_lately(const Place&, const Tag&, const TagState&) const;
  bool is_fresh(const Place&, const Tag&, const TagState&) const;
  bool must_bind(const Place&, const Tag&, const TagState&) const;

  // What the tag means now, bound here; counts no request.
  Task<Result<KnownManifest>> current(Place place, Tag tag);
  Task<Result<KnownManifest>> resolve(Place place, Tag tag, bool description);
  Task<Result<catalog::MirroredTag>> ask_for_tag(Place place, Tag tag, bool patient);
  Task<Result<void>> bring(Place place, Digest digest, bool patient);
  Task<Result<void>> store_manifest(Place place, Digest digest, std::string content_type, std::string bytes);
  Result<std::vector<Tag>> tags_for(const Place&, const Digest&) const;
  Task<Result<void>> remember(Place place, Tag tag, catalog::MirroredTag said);
  // Binds the tag to a manifest that is here.
  Task<Result<void>> bind(Place place, Tag tag, Digest digest);
  Task<Result<void>> fetch_manifest(Place place, Digest digest, bool patient);
  Task<Result<std::string>> read_manifest(Place place, http::Fetched& fetched);

  Task<Result<std::shared_ptr<http::GrowingFile>>> begin_blob(Place place, Digest digest);
  // A blob that is not here, begun by this call or before it; `joined`: by another one.
  Task<Result<std::shared_ptr<http::GrowingFile>>> arriving(Place place, Digest digest, bool& joined);
  // Once it is in the registry, or cannot get there.
  Task<Result<void>> landed(Place place, Digest digest, std::shared_ptr<http::GrowingFile> file);
  Task<void> pump_blob(std::string key, std::shared_ptr<BlobFlight> flight, FetchSlots::Slot slot);
  Task<Result<std::uint64_t>> ask_for_size(Place place, Digest digest);

  class Gathering;  // gather.cpp
  Task<Result<Gathered>> gather(Place place, Reference reference, Wanted wanted);
  Result<std::size_t> index_of(std::string_view mirror) const;
  Result<std::optional<ManifestText>> text_of(const Place&, const Digest&) const;
  Task<Result<ManifestText>> fetch_text(Place place, Digest digest);
  Task<Result<std::vector<ImageChange>>> difference(Place place, Digest held, Digest now);
  Task<Result<TagUpdate>> describe_update(Place place, Tag tag, TagState state, std::string gone);
  enum class Looked { done, enough };  // enough: this page asks no more, the tag is for the next one
  Task<Result<Looked>> look_at(Place place, Tag tag, UpdatePage& page);
  Task<Result<UpdatePage>> updates_page(std::size_t mirror, std::optional<catalog::MirroredTagName> last,
                                        std::int64_t limit);
  Task<Result<ApprovalDone>> approve(Place place, ApprovalRequest asked);

  Task<Result<Listing>> list(Place place, std::optional<Digest> subject);
  Task<Result<Listing>> renew_list(Place place, std::optional<Digest> subject, std::string key);
  Task<Result<std::vector<Listing::Entry>>> fetch_list(Place place, std::string path, bool tags);
  Task<Result<std::vector<Listing::Entry>>> fetch_referrers(Place place, Digest subject);
  std::optional<Listing> kept_list(const std::string& key, bool also_old);

  // Asks upstream by HEAD, unless it is known to lack what `key` names; `url` as Upstream::ask has it.
  Task<Result<http::Fetched>> ask_head(Place place, std::string path, std::string key, bool patient,
                                       std::size_t& url);
  // The same of a manifest, for its length.
  Task<Result<std::uint64_t>> head(Place place, std::string path, std::string key);
  // Upstream does not have it, or refuses it: not asked again for missing_ttl.
  std::optional<Error> missing(const std::string& key);
  void note_missing(const Place&, const std::string& key, const Error&);

  void count(const Place& place, std::atomic<std::uint64_t> Counts::* what) const {
    (*counts[place.mirror].*what).fetch_add(1, std::memory_order_relaxed);
  }
  void count_answer(const Place&, const Result<KnownManifest>&, bool joined) const;
  audit::Actor actor(const Place& place) const {
    return audit::Actor{Principal("mirror:" + upstreams[place.mirror]->settings().name), ""};
  }
  Upstream& upstream(const Place& place) const { return *upstreams[place.mirror]; }

  const RegistryContext context;
  Registry& registry;
  const Names names;
  const std::uint64_t manifest_bytes;
  http::Fetcher fetcher;
  std::vector<std::unique_ptr<Counts>> counts;  // as upstreams

  std::mutex mutex;
  struct Missing {
    Error error;
    std::chrono::steady_clock::time_point until;
  };
  std::map<std::string, Missing> missing_;
  std::map<std::string, std::shared_ptr<BlobFlight>> flights;
  struct KeptList {
    std::vector<Listing::Entry> entries;
    std::chrono::steady_clock::time_point until;
  };
  std::map<std::string, KeptList> lists;
  std::size_t list_bytes = 0;

  // Last, so that its tasks have ended before what they use goes; the flights before it are idle then.
  std::vector<std::unique_ptr<Upstream>> upstreams;
  std::unique_ptr<SingleFlight<KnownManifest>> tag_flights;
  struct Brought {};
  std::unique_ptr<SingleFlight<Brought>> manifest_flights;
  std::unique_ptr<SingleFlight<std::shared_ptr<http::GrowingFile>>> blob_flights;
  std::unique_ptr<SingleFlight<std::uint64_t>> size_flights;
  std::unique_ptr<SingleFlight<Listing>> list_flights;
  std::unique_ptr<SingleFlight<UpdatePage>> update_flights;
  std::unique_ptr<SingleFlight<ApprovalDone>> approval_flights;
  MirrorThread thread;
};

}  // namespace stele::mirror
