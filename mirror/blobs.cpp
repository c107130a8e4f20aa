#include <limits>

#include "mirror/bad_upstream.hpp"
#include "mirror/mirrors_impl.hpp"

namespace stele::mirror {
namespace {

std::string blob_key(const Place& place, const Digest& digest) {
  return place.stored.str() + "@" + digest.str() + " blob";
}

Error as_unknown(const Place& place, const Digest& digest, const Error& error) {
  if (error.code() == Errc::no_space) return not_kept(error);
  if (error.code() != Errc::not_found) return error;
  return Error(Errc::blob_unknown, "blob " + digest.str() + " does not exist in " + place.stored.str());
}

}  // namespace

Task<Result<std::shared_ptr<http::GrowingFile>>> Mirrors::blob(Place place, Digest digest) {
  impl_->count(place, &Counts::misses);
  bool joined = false;
  auto begun = co_await impl_->arriving(place, digest, joined);
  if (joined) impl_->count(place, &Counts::coalesced);
  co_return begun;
}

Task<Result<std::shared_ptr<http::GrowingFile>>> Mirrors::Impl::arriving(Place place, Digest digest,
                                                                         bool& joined) {
  std::function<Task<Result<std::shared_ptr<http::GrowingFile>>>()> work = [this, place, digest] {
    return begin_blob(place, digest);
  };
  std::string key = blob_key(place, digest);
  {
    const std::lock_guard lock(mutex);
    const auto flying = flights.find(key);
    if (flying != flights.end() && !flying->second->failed()) {
      joined = true;
      co_return flying->second->file();
    }
  }
  auto begun = co_await blob_flights->run(std::move(key), std::move(work), &joined);
  if (!begun) co_return as_unknown(place, digest, begun.error());
  co_return begun;
}

Task<Result<void>> Mirrors::Impl::landed(Place place, Digest digest,
                                         std::shared_ptr<http::GrowingFile> file) {
  const auto whole = co_await file->beyond(std::numeric_limits<std::uint64_t>::max());
  if (!whole) co_return whole.error();
  std::shared_ptr<BlobFlight> flight;
  {
    const std::lock_guard lock(mutex);
    const auto flying = flights.find(blob_key(place, digest));
    if (flying != flights.end()) flight = flying->second;
  }
  if (flight) {
    auto ended = co_await flight->landed();
    if (!ended) co_return ended;
  }
  const auto here = registry.blob_size(place.stored, digest);
  if (!here) co_return here.error();
  co_return Result<void>();
}

Task<Result<std::shared_ptr<http::GrowingFile>>> Mirrors::Impl::begin_blob(Place place, Digest digest) {
  std::string key = blob_key(place, digest);
  if (const auto known = missing(key)) co_return *known;
  auto turn = upstream(place).fetch_slots().take();
  FetchSlots::Slot slot = co_await std::move(turn);
  std::uint64_t promised = 0;
  {
    const std::lock_guard lock(mutex);
    const auto flying = flights.find(key);
    if (flying != flights.end() && !flying->second->failed()) co_return flying->second->file();
    for (const auto& [other, flight] : flights) promised += flight->outstanding();
  }
  // It may have arrived since it was looked for.
  if (const auto here = registry.blob(place.stored, digest)) {
    auto whole = std::make_shared<http::GrowingFile>(here->reader, here->reader->fd(), here->size);
    whole->finish(here->size);
    co_return std::move(whole);
  }
  auto flight = std::make_shared<BlobFlight>(upstream(place), context, place.stored, place.remote, digest);
  auto begun = co_await flight->begin(promised);
  if (!begun) {
    note_missing(place, key, begun.error());
    co_return begun.error();
  }
  {
    const std::lock_guard lock(mutex);
    flights.insert_or_assign(key, flight);
  }
  auto file = flight->file();
  thread.start(pump_blob(std::move(key), std::move(flight), std::move(slot)));
  co_return std::move(file);
}

// `slot`: given back at the end.
Task<void> Mirrors::Impl::pump_blob(std::string key, std::shared_ptr<BlobFlight> flight,
                                    FetchSlots::Slot slot) {
  Result<void> ended;
  try {
    ended = co_await flight->pump();
  } catch (const std::exception& e) {
    ended = Error(Errc::internal, std::string("the mirror failed: ") + e.what());
    flight->file()->fail(ended.error());
  }
  {
    const std::lock_guard lock(mutex);
    // Another may have begun after this one failed.
    if (const auto mine = flights.find(key); mine != flights.end() && mine->second == flight)
      flights.erase(mine);
  }
  flight->land(std::move(ended));
  const FetchSlots::Slot done = std::move(slot);
}

Task<Result<std::uint64_t>> Mirrors::blob_size(Place place, Digest digest) {
  Impl& mirrors = *impl_;
  std::string key = blob_key(place, digest);
  {
    const std::lock_guard lock(mirrors.mutex);
    const auto flying = mirrors.flights.find(key);
    if (flying != mirrors.flights.end() && flying->second->file()->length())
      co_return *flying->second->file()->length();
  }
  std::function<Task<Result<std::uint64_t>>()> work = [&mirrors, place, digest] {
    return mirrors.ask_for_size(place, digest);
  };
  auto size = co_await mirrors.size_flights->run(std::move(key), std::move(work));
  if (!size) co_return as_unknown(place, digest, size.error());
  co_return size;
}

Task<Result<std::uint64_t>> Mirrors::Impl::ask_for_size(Place place, Digest digest) {
  std::size_t url = 0;
  auto fetched = co_await ask_head(place, "blobs/" + digest.str(), blob_key(place, digest), true, url);
  if (!fetched) co_return fetched.error();
  const auto size = fetched->content_length();
  if (!size) co_return bad_upstream(upstream(place).origin(url) + " does not say how long the blob is");
  co_return *size;
}

}  // namespace stele::mirror
