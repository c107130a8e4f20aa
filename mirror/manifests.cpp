#include "base/manifest.hpp"
#include "mirror/bad_upstream.hpp"
#include "mirror/mirrors_impl.hpp"
#include "registry/preconditions.hpp"
#include "registry/unknown.hpp"

namespace stele::mirror {
namespace {

constexpr std::int64_t most_tags_of_a_manifest = 100;

std::string tag_key(const Place& place, const Tag& tag) {
  return place.stored.str() + ":" + tag.str();
}

std::string digest_key(const Place& place, const Digest& digest) {
  return place.stored.str() + "@" + digest.str();
}

// Never what upstream's tag says now instead: the pin says which digest was meant.
Error lost_pin(const Place& place, const Tag& tag, const Digest& digest) {
  const std::string name = place.stored.str() + ":" + tag.str();
  return Error(Errc::manifest_unknown,
               name + " stays at " + digest.str() +
                   ", which is not stored here any more and which upstream no longer has; stele mirror "
                   "approve " +
                   name + " moves it to what upstream's tag names now");
}

// What a client is told when upstream says 404, or the disk is full here: this registry's own words.
Error as_unknown(const Place& place, const Reference& reference, const Error& error) {
  if (error.code() == Errc::not_found) return unknown_manifest(place.stored, reference);
  if (error.code() == Errc::no_space) return not_kept(error);
  return error;
}

}  // namespace

std::string Mirrors::stale_warning(const Error& why) {
  // Messages have no quotes but these would end the string.
  std::string text;
  for (const char c : why.message()) text += c == '"' || c == '\\' ? '\'' : c;
  return "110 stele \"upstream could not be asked: " + text + "\"";
}

Result<bool> Mirrors::Impl::has_manifest(const RepositoryName& name, const Digest& digest) const {
  return context.database.read([&](sql::Session& session) -> Result<bool> {
    const auto id = catalog::find_repository(session, name);
    return id && catalog::find_manifest(session, *id, digest);
  });
}

void Mirrors::Impl::count_answer(const Place& place, const Result<KnownManifest>& known, bool joined) const {
  const bool here = known.has_value() && !known->fetched;
  count(place, here ? &Counts::hits : &Counts::misses);
  if (here && known->stale) count(place, &Counts::stale);
  if (joined) count(place, &Counts::coalesced);
}

Task<Result<KnownManifest>> Mirrors::manifest(Place place, Reference reference, bool description) {
  Impl& mirrors = *impl_;
  if (const Digest* const digest = reference.digest()) {
    const auto here = mirrors.has_manifest(place.stored, *digest);
    if (!here) co_return here.error();
    mirrors.count(place, *here ? &Counts::hits : &Counts::misses);
    if (!*here) {
      auto brought = co_await mirrors.bring(place, *digest, true);
      if (!brought) co_return as_unknown(place, reference, brought.error());
    }
    KnownManifest known{*digest, true, true, {}, 0, {}};
    co_return std::move(known);
  }
  const Tag tag = *reference.tag();
  const auto state = mirrors.tag_state(place, tag);
  if (!state) co_return state.error();
  if (mirrors.is_fresh(place, tag, *state)) {
    const bool enough = description && !mirrors.must_bind(place, tag, *state);
    if (auto known = mirrors.answer(*state, enough)) {
      mirrors.count(place, &Counts::hits);
      co_return std::move(*known);
    }
  }
  std::string key = tag_key(place, tag) + (description ? " HEAD" : " GET");
  std::function<Task<Result<KnownManifest>>()> work = [&mirrors, place, tag, description] {
    return mirrors.resolve(place, tag, description);
  };
  bool joined = false;
  auto known = co_await mirrors.tag_flights->run(std::move(key), std::move(work), &joined);
  mirrors.count_answer(place, known, joined);
  if (!known) co_return as_unknown(place, reference, known.error());
  co_return known;
}

Task<Result<KnownManifest>> Mirrors::Impl::current(Place place, Tag tag) {
  std::string key = tag_key(place, tag) + " GET";
  std::function<Task<Result<KnownManifest>>()> work = [this, place, tag] {
    return resolve(place, tag, false);
  };
  co_return co_await tag_flights->run(std::move(key), std::move(work));
}

Task<Result<KnownManifest>> Mirrors::Impl::resolve(Place place, Tag tag, bool description) {
  auto state = tag_state(place, tag);
  if (!state) co_return state.error();
  const bool enough = description && !must_bind(place, tag, *state);
  if (is_fresh(place, tag, *state)) {  // another flight was quicker
    if (auto known = answer(*state, enough)) co_return std::move(*known);
  }
  std::optional<catalog::MirroredTag> said;
  if (is_fresh(place, tag, *state)) {
    said = state->said;
  } else {
    auto asked = co_await ask_for_tag(place, tag, !state->stored);
    if (!asked) {
      // Whatever keeps upstream from answering, or has become of the tag there: what is here serves.
      if (state->stored) {
        if (auto known = answer(*state, true, stale_warning(asked.error()))) co_return std::move(*known);
      }
      co_return asked.error();
    }
    said = std::move(*asked);
    if (state->stored) count(place, &Counts::revalidations);
  }
  state = tag_state(place, tag);
  if (!state) co_return state.error();
  const bool stays = state->bound && (state->kept || (said && *state->bound == said->digest));
  if (stays) co_return *answer(*state, description);
  if (enough) {
    if (auto known = answer(*state, true)) {
      known->fetched = !known->stored;
      co_return std::move(*known);
    }
  }
  std::optional<Digest> wanted = state->pin;
  if (!wanted && said) wanted = said->digest;
  if (!wanted) co_return unknown_manifest(place.stored, tag);
  auto brought = co_await bring(place, *wanted, !state->bound);
  if (!brought) {
    if (state->bound) co_return *answer(*state, description, stale_warning(brought.error()));
    if (state->kept && brought.error().code() == Errc::not_found) co_return lost_pin(place, tag, *wanted);
    co_return brought.error();
  }
  auto bound = co_await bind(place, tag, *wanted);
  state = tag_state(place, tag);
  if (!state) co_return state.error();
  if (auto known = answer(*state, false)) {
    known->fetched = true;
    co_return std::move(*known);
  }
  if (!bound) co_return bound.error();
  co_return unknown_manifest(place.stored, tag);
}

// One HEAD; one GET as well when the answer does not say the digest.
Task<Result<catalog::MirroredTag>> Mirrors::Impl::ask_for_tag(Place place, Tag tag, bool patient) {
  const std::string path = "manifests/" + tag.str();
  std::size_t url = 0;
  auto fetched = co_await ask_head(place, path, tag_key(place, tag), patient, url);
  if (!fetched) co_return fetched.error();
  const Timestamp now = context.clock.now();
  // From the later of the two clocks: a quarantine is never too short.
  const Timestamp learned = std::max(now, context.release_clock.now());
  std::optional<catalog::MirroredTag> said;
  const auto digest = Digest::parse(fetched->header("Docker-Content-Digest"));
  const auto size = fetched->content_length();
  if (digest && size) {
    said = catalog::MirroredTag{*digest, std::string(fetched->header("Content-Type")),
                                *size,   upstream(place).origin(url),
                                learned, now};
  } else {
    UpstreamRequest request;
    request.repository = place.remote;
    request.path = path;
    request.patient = patient;
    fetched = co_await upstream(place).ask(std::move(request), url);
    if (!fetched) co_return fetched.error();
    std::string type(fetched->header("Content-Type"));
    auto bytes = co_await read_manifest(place, *fetched);
    if (!bytes) co_return bytes.error();
    const Digest actual = Digest::of(DigestAlgorithm::sha256, *bytes);
    said = catalog::MirroredTag{actual, type, bytes->size(), upstream(place).origin(url), learned, now};
    // First, so that the tag is bound with the manifest.
    auto remembered = co_await remember(place, tag, *said);
    if (!remembered) co_return remembered.error();
    const auto here = has_manifest(place.stored, actual);
    if (!here) co_return here.error();
    if (!*here) {
      auto stored = co_await store_manifest(place, actual, std::move(type), std::move(*bytes));
      if (!stored) co_return stored.error();
    }
    co_return std::move(*said);
  }
  auto remembered = co_await remember(place, tag, *said);
  if (!remembered) co_return remembered.error();
  co_return std::move(*said);
}

Task<Result<void>> Mirrors::Impl::remember(Place place, Tag tag, catalog::MirroredTag said) {
  auto pending =
      context.writer.write({"tag:" + place.stored.str() + ":" + tag.str()}, [&](sql::Tx& tx) -> Result<void> {
        catalog::put_mirrored_tag(tx, place.stored, tag, said);
        return {};
      });
  co_return co_await pending;
}

Task<Result<std::string>> Mirrors::Impl::read_manifest(Place place, http::Fetched& fetched) {
  auto bytes = co_await fetched.read_all(manifest_bytes);
  if (bytes) upstream(place).note_received(bytes->size());
  if (!bytes && bytes.error().code() == Errc::body_too_large)
    co_return bad_upstream(bytes.error().message() + " (limits.manifest_bytes)");
  co_return bytes;
}

Task<Result<void>> Mirrors::Impl::bring(Place place, Digest digest, bool patient) {
  std::string key = digest_key(place, digest);
  std::function<Task<Result<Brought>>()> work = [this, place, digest, patient]() -> Task<Result<Brought>> {
    const auto fetch = [](Impl* self, Place where, Digest what, bool waits) -> Task<Result<Brought>> {
      auto fetched = co_await self->fetch_manifest(std::move(where), std::move(what), waits);
      if (!fetched) co_return fetched.error();
      co_return Brought();
    };
    return fetch(this, place, digest, patient);
  };
  auto brought = co_await manifest_flights->run(std::move(key), std::move(work));
  if (!brought) co_return brought.error();
  co_return Result<void>();
}

Task<Result<void>> Mirrors::Impl::fetch_manifest(Place place, Digest digest, bool patient) {
  const auto here = has_manifest(place.stored, digest);
  if (!here) co_return here.error();
  if (*here) co_return Result<void>();
  const std::string key = digest_key(place, digest);
  if (const auto known = missing(key)) co_return *known;
  UpstreamRequest request;
  request.repository = place.remote;
  request.path = "manifests/" + digest.str();
  request.patient = patient;
  Error last = bad_upstream("");
  for (std::size_t url = 0; url < upstream(place).count(); ++url) {
    auto fetched = co_await upstream(place).ask(request, url);
    if (!fetched) {
      note_missing(place, key, fetched.error());
      if (last.message().empty()) last = fetched.error();
      co_return last;
    }
    std::string type(fetched->header("Content-Type"));
    auto bytes = co_await read_manifest(place, *fetched);
    if (!bytes) co_return bytes.error();
    if (Digest::of(digest.algorithm(), *bytes) == digest)
      co_return co_await store_manifest(place, digest, std::move(type), std::move(*bytes));
    last = bad_upstream(upstream(place).origin(url) + " answers other bytes than those of " + digest.str() +
                        "; they were not kept");
  }
  note_missing(place, key, last);
  co_return last;
}

// Tags that a HEAD told of before anybody fetched what they name; not those that stay what they are here.
Result<std::vector<Tag>> Mirrors::Impl::tags_for(const Place& place, const Digest& digest) const {
  auto tags = context.database.read([&](sql::Session& session) -> Result<std::vector<Tag>> {
    return catalog::mirrored_tags_of(session, place.stored, digest, most_tags_of_a_manifest);
  });
  if (!tags || !may_keep(place)) return tags;
  std::vector<Tag> free;
  for (Tag& tag : *tags) {
    const auto state = tag_state(place, tag);
    if (!state) return state.error();
    if (!state->kept || state->held() == digest) free.push_back(std::move(tag));
  }
  return free;
}

Task<Result<void>> Mirrors::Impl::store_manifest(Place place, Digest digest, std::string content_type,
                                                 std::string bytes) {
  auto manifest = Manifest::parse(content_type, bytes);
  if (!manifest) manifest = Manifest::parse("", bytes);  // served as application/json or text/plain
  if (!manifest) {
    co_return bad_upstream(upstream(place).settings().name + " has a manifest " + digest.str() +
                           " that cannot be used: " + manifest.error().message());
  }
  const auto tags = tags_for(place, digest);
  if (!tags) co_return tags.error();
  ManifestPush push{place.stored, digest, *tags, *manifest, bytes, digest.algorithm(), actor(place)};
  push.bound_by_quota = false;
  ManifestPush untagged = push;
  untagged.tags.clear();
  auto stored = co_await registry.put_manifest(std::move(push));
  if (!stored && stored.error().code() == Errc::refused_by_policy && !tags->empty())
    stored = co_await registry.put_manifest(std::move(untagged));
  if (!stored) co_return stored.error();
  co_return Result<void>();
}

Task<Result<void>> Mirrors::Impl::bind(Place place, Tag tag, Digest digest) {
  const auto state = tag_state(place, tag);
  if (!state) co_return state.error();
  if (state->bound && *state->bound == digest) co_return Result<void>();
  if (state->kept && state->held() != digest) co_return Result<void>();  // somebody has approved another one
  const Reference reference(digest);
  auto stored = co_await registry.manifest(place.stored, reference, Look::use);
  if (!stored) co_return stored.error();
  const auto manifest = Manifest::parse(stored->media_type, stored->bytes);
  if (!manifest) co_return manifest.error();
  // Only if the tag is still what was looked at.
  Preconditions unchanged;
  if (state->bound) {
    unchanged.if_match = EntityCondition{false, {state->bound->str()}};
  } else {
    unchanged.if_none_match = EntityCondition{true, {}};
  }
  ManifestPush push{place.stored,  Reference(tag),     {},           *manifest,
                    stored->bytes, digest.algorithm(), actor(place), &unchanged};
  push.bound_by_quota = false;
  auto pushed = co_await registry.put_manifest(std::move(push));
  if (!pushed) co_return pushed.error();
  co_return Result<void>();
}

}  // namespace stele::mirror
