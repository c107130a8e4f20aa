#include "mirror/mirrors.hpp"

#include "mirror/bad_upstream.hpp"
#include "mirror/mirrors_impl.hpp"
#include "storage/catalog/departures.hpp"

namespace stele::mirror {
namespace {

constexpr std::size_t most_missing = 10'000;

}  // namespace

Mirrors::Mirrors(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Mirrors::~Mirrors() = default;

Result<std::unique_ptr<Mirrors>> Mirrors::open(const std::vector<Settings>& settings,
                                               const RegistryContext& context, Registry& registry,
                                               std::uint64_t manifest_bytes) {
  auto names = Names::compile(settings);
  if (!names) return names.error();
  auto impl = std::make_unique<Impl>(context, registry, std::move(*names), manifest_bytes);
  for (const Settings& mirror : settings) {
    auto upstream = Upstream::open(mirror, impl->fetcher, impl->thread);
    if (!upstream) return upstream.error();
    impl->upstreams.push_back(std::move(*upstream));
    impl->counts.push_back(std::make_unique<Counts>());
  }
  impl->tag_flights = std::make_unique<SingleFlight<KnownManifest>>(impl->thread);
  impl->manifest_flights = std::make_unique<SingleFlight<Impl::Brought>>(impl->thread);
  impl->blob_flights = std::make_unique<SingleFlight<std::shared_ptr<http::GrowingFile>>>(impl->thread);
  impl->size_flights = std::make_unique<SingleFlight<std::uint64_t>>(impl->thread);
  impl->update_flights = std::make_unique<SingleFlight<UpdatePage>>(impl->thread);
  impl->approval_flights = std::make_unique<SingleFlight<ApprovalDone>>(impl->thread);
  impl->list_flights = std::make_unique<SingleFlight<Listing>>(impl->thread);
  return std::unique_ptr<Mirrors>(new Mirrors(std::move(impl)));
}

const Names& Mirrors::names() const {
  return impl_->names;
}

void Mirrors::stop_waiting() {
  impl_->thread.end_sleeps();
}

void Mirrors::abort() {
  impl_->abort();
}

Result<bool> Mirrors::is_ours(const RepositoryName& asked) const {
  return impl_->context.database.read([&](sql::Session& session) -> Result<bool> {
    return catalog::find_repository(session, asked) ||
           !catalog::list_departures(session, asked, std::nullopt, 1).empty();
  });
}

Result<std::optional<Place>> Mirrors::place(const RepositoryName& asked, std::optional<std::size_t> in_path,
                                            std::optional<std::string_view> ns) {
  auto named = impl_->names.place(asked, in_path, ns);
  if (!named || *named) return named;
  auto by_default = impl_->names.default_place(asked);
  if (!by_default) return std::optional<Place>();
  // What is or was a repository of ours is asked of nobody else: its name, and who pushes there, is ours.
  const auto ours = is_ours(asked);
  if (!ours) return ours.error();
  if (*ours) return std::optional<Place>();
  return by_default;
}

Task<Result<Mirrors::UpstreamCopy>> Mirrors::still_upstream(Place place, Reference reference) {
  Impl& mirrors = *impl_;
  const std::string path = "manifests/" + reference.str();
  const std::string key = place.stored.str() + (reference.tag() ? ":" : "@") + reference.str();
  std::function<Task<Result<std::uint64_t>>()> work = [&mirrors, place, path, key] {
    return mirrors.head(place, path, key);
  };
  auto there = co_await mirrors.size_flights->run(key + " HEAD", std::move(work));
  if (there) co_return UpstreamCopy::there;
  if (there.error().code() == Errc::not_found) co_return UpstreamCopy::gone;
  co_return there.error();
}

Task<Result<std::uint64_t>> Mirrors::Impl::head(Place place, std::string path, std::string key) {
  std::size_t url = 0;
  const auto fetched = co_await ask_head(place, path, key, false, url);
  if (!fetched) co_return fetched.error();
  co_return fetched->content_length().value_or(0);
}

Task<Result<http::Fetched>> Mirrors::Impl::ask_head(Place place, std::string path, std::string key,
                                                    bool patient, std::size_t& url) {
  if (const auto known = missing(key)) co_return *known;
  UpstreamRequest request;
  request.method = "HEAD";
  request.repository = place.remote;
  request.path = std::move(path);
  request.patient = patient;
  auto fetched = co_await upstream(place).ask(std::move(request), url);
  if (!fetched) note_missing(place, key, fetched.error());
  co_return fetched;
}

std::optional<Error> Mirrors::Impl::missing(const std::string& key) {
  const std::lock_guard lock(mutex);
  const auto found = missing_.find(key);
  if (found == missing_.end()) return std::nullopt;
  if (std::chrono::steady_clock::now() < found->second.until) return found->second.error;
  missing_.erase(found);
  return std::nullopt;
}

void Mirrors::Impl::note_missing(const Place& place, const std::string& key, const Error& error) {
  const bool lasting =
      error.code() == Errc::not_found || error.code() == Errc::forbidden || is_bad_upstream(error);
  if (!lasting) return;
  const auto until = std::chrono::steady_clock::now() + upstream(place).settings().missing_ttl;
  const std::lock_guard lock(mutex);
  if (missing_.size() >= most_missing) missing_.clear();
  missing_.insert_or_assign(key, Missing{error, until});
}

}  // namespace stele::mirror
