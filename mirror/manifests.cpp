#include "base/manifest.hpp"
#include "mirror/bad_upstream.hpp"
#include "mirror/mirrors_impl.hpp"
#include "registry/unknown.hpp"
#include "storage/catalog/departures.hpp"

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
  return Error(Errc::manifest_unknown,
               place.stored.str() + ":" + tag.str() + " is pinned to " + digest.str() +
                   ", which is not stored here any more and which upstream no longer has; what upstream's "
                   "tag names now is served only where the mirror has tags: follow");
}

// What a client is told when upstream says 404: this registry's own words.
Error as_unknown(const Place& place, const Reference& reference, const Error& error) {
  if (error.code() == Errc::not_found) return unknown_manifest(place.stored, reference);
  return error;
}

}  // namespace

std::string Mirrors::stale_warning(const Error& why) {
  // Messages have no quotes but these would end the string.
  std::string text;
  for (const char c : why.message()) text += c == '"' || c == '\\' ? '\'' : c;
  return "110 stele \"upstream could not be asked: " + text + "\"";
}

Result<Mirrors::Impl::TagState> Mirrors::Impl::tag_state(const Place& place, const Tag& tag) const {
  return parts.database.read([&](sql::Session& session) -> Result<TagState> {
    TagState state;
    auto said = catalog::find_mirrored_tag(session, place.stored, tag);
    if (!said) return said.error();
    state.said = std::move(*said);
    const auto id = catalog::find_repository(session, place.stored);
    if (id) {
      const auto bound = catalog::find_tag(session, *id, place.stored, tag);
      if (!bound) return bound.error();
      if (*bound) state.bound = (*bound)->digest;
    }
    if (!state.bound && pins(place)) {
      const auto removed = catalog::list_tag_removals(session, place.stored, tag, 1);
      if (!removed.empty()) state.pin = removed.front().digest;
    }
    const auto meant = state.meant();
    state.stored = state.bound || (id && meant && catalog::find_manifest(session, *id, *meant));
    return state;
  });
}

Result<bool> Mirrors::Impl::has_manifest(const RepositoryName& name, const Digest& digest) const {
  return parts.database.read([&](sql::Session& session) -> Result<bool> {
    const auto id = catalog::find_repository(session, name);
    return id && catalog::find_manifest(session, *id, digest);
  });
}

bool Mirrors::Impl::is_fresh(const Place& place, const TagState& state) const {
  if (pins(place) && state.meant()) return true;
  if (!state.said) return false;
  const std::int64_t age = parts.clock.now().microseconds - state.said->compared_at.microseconds;
  return age >= 0 && age < std::chrono::microseconds(upstream(place).tag_ttl()).count();
}

// Whether even HEAD must not name a digest before the tag is bound to it here: a rule may refuse to.
bool Mirrors::Impl::must_bind(const Place& place, const Tag& tag, const TagState& state) const {
  if (state.bound || state.pin) return true;
  const auto policy = parts.policy.current();
  return policy->tag_rule(place.stored.str(), tag.str()).rule->mutability != policy::Mutability::free;
}

void Mirrors::Impl::count_answer(const Place& place, const Result<KnownManifest>& known, bool joined) const {
  const bool here = known.has_value() && !known->fetched;
  count(place, here ? &Counts::hits : &Counts::misses);
  if (here && known->stale) count(place, &Counts::stale);
  if (joined) count(place, &Counts::coalesced);
}

std::optional<KnownManifest> Mirrors::Impl::answer(const TagState& state, bool description,
                                                   std::string warning) const {
  const auto meant = state.meant();
  if (!meant) return std::nullopt;
  const bool stale = !warning.empty();
  KnownManifest known{*meant, true, state.bound.has_value(), {}, 0, std::move(warning), false, stale};
  if (state.bound) {
    if (state.said && state.said->digest != *state.bound && known.warning.empty()) {
      known.warning = "299 stele \"upstream has moved this tag to " + state.said->digest.str() +
                      "; a rule or pin here keeps it\"";
    }
    return known;
  }
  if (!description || !state.said || state.said->digest != *meant) return std::nullopt;
  known.stored = state.stored;
  known.media_type = state.said->media_type;
  known.size = state.said->size;
  return known;
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
  if (mirrors.is_fresh(place, *state)) {
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
  if (is_fresh(place, *state)) {  // another flight was quicker
    if (auto known = answer(*state, enough)) co_return std::move(*known);
  }
  std::optional<catalog::MirroredTag> said;
  if (is_fresh(place, *state)) {
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
  if (state->bound && said && *state->bound == said->digest) co_return *answer(*state, description);
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
    if (pins(place) && brought.error().code() == Errc::not_found) co_return lost_pin(place, tag, *wanted);
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
  const Timestamp now = parts.clock.now();
  std::optional<catalog::MirroredTag> said;
  const auto digest = Digest::parse(fetched->header("Docker-Content-Digest"));
  const auto size = fetched->content_length();
  if (digest && size) {
    said = catalog::MirroredTag{
        *digest, std::string(fetched->header("Content-Type")), *size, upstream(place).origin(url), now, now};
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
    said = catalog::MirroredTag{actual, type, bytes->size(), upstream(place).origin(url), now, now};
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
      parts.writer.write({"tag:" + place.stored.str() + ":" + tag.str()}, [&](sql::Tx& tx) -> Result<void> {
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

Task<Result<void>> Mirrors::Impl::store_manifest(Place place, Digest digest, std::string content_type,
                                                 std::string bytes) {
  auto manifest = Manifest::parse(content_type, bytes);
  if (!manifest) manifest = Manifest::parse("", bytes);  // served as application/json or text/plain
  if (!manifest) {
    co_return bad_upstream(upstream(place).settings().name + " has a manifest " + digest.str() +
                           " that cannot be used: " + manifest.error().message());
  }
  // Tags that a HEAD told of before anybody fetched what they name.
  auto tags = parts.database.read([&](sql::Session& session) -> Result<std::vector<Tag>> {
    return catalog::mirrored_tags_of(session, place.stored, digest, most_tags_of_a_manifest);
  });
  if (!tags) co_return tags.error();
  ManifestPush push{place.stored, digest, *tags, *manifest, bytes, digest.algorithm(), actor(place)};
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
  const Reference reference(digest);
  auto stored = co_await registry.manifest(place.stored, reference, Look::use);
  if (!stored) co_return stored.error();
  const auto manifest = Manifest::parse(stored->media_type, stored->bytes);
  if (!manifest) co_return manifest.error();
  ManifestPush push{place.stored,  Reference(digest),  {tag},       *manifest,
                    stored->bytes, digest.algorithm(), actor(place)};
  auto pushed = co_await registry.put_manifest(std::move(push));
  if (!pushed) co_return pushed.error();
  co_return Result<void>();
}

}  // namespace stele::mirror
