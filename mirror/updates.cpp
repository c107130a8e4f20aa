// What upstream's tags name now, beside what is held here on purpose.
#include "mirror/updates.hpp"

#include "base/printable.hpp"
#include "mirror/bad_upstream.hpp"
#include "mirror/mirrors_impl.hpp"

namespace stele::mirror {
namespace {

constexpr std::chrono::seconds longest_page(20);  // of asking; the next page goes on from there
constexpr int most_children = 8;                  // platforms of one index whose layers are compared

// Of the tag alone: others may be asked for.
bool says_no(const Error& error) {
  return error.code() == Errc::not_found || error.code() == Errc::forbidden || is_bad_upstream(error);
}

Error for_pulls(const Settings& settings) {
  return Error(Errc::too_many_requests,
               settings.name + " says that its limit is nearly used up: what is left of it is for pulls");
}

}  // namespace

Result<std::optional<ManifestText>> Mirrors::Impl::text_of(const Place& place, const Digest& digest) const {
  return context.database.read([&](sql::Session& session) -> Result<std::optional<ManifestText>> {
    auto stored = catalog::manifest_by_digest(session, place.stored, digest);
    if (!stored) return stored.error();
    if (!*stored) return std::optional<ManifestText>();
    ManifestText text{digest, std::move((*stored)->media_type), std::move((*stored)->bytes)};
    return std::optional<ManifestText>(std::move(text));
  });
}

// What upstream has under this digest: bound to no tag that stays what it is.
Task<Result<ManifestText>> Mirrors::Impl::fetch_text(Place place, Digest digest) {
  auto text = text_of(place, digest);
  if (!text) co_return text.error();
  if (*text) co_return std::move(**text);
  if (upstream(place).nearly_used_up()) co_return for_pulls(upstream(place).settings());
  auto brought = co_await bring(place, digest, false);
  if (!brought) co_return brought.error();
  text = text_of(place, digest);
  if (!text) co_return text.error();
  if (!*text) co_return Error(Errc::manifest_unknown, digest.str() + " was removed while it was looked at");
  co_return std::move(**text);
}

Task<Result<std::vector<ImageChange>>> Mirrors::Impl::difference(Place place, Digest held, Digest now) {
  const auto before = text_of(place, held);
  if (!before) co_return before.error();
  if (!*before) co_return Error(Errc::manifest_unknown, "what is held was cleared away here");
  const auto after = co_await fetch_text(place, now);
  if (!after) co_return after.error();
  auto changes = compare(**before, *after);
  if (!changes) co_return changes.error();
  int compared = 0;
  for (ImageChange& change : *changes) {
    if (change.layers || !change.held || !change.upstream || change.held == change.upstream) continue;
    // Of an index only what somebody has pulled here: the others cost upstream's limit nothing.
    const auto child = text_of(place, *change.held);
    if (!child || !*child || ++compared > most_children) continue;
    const auto theirs = co_await fetch_text(place, *change.upstream);
    if (!theirs) continue;
    auto layers = compare_layers(**child, *theirs);
    if (layers) change.layers = std::move(*layers);
  }
  co_return std::move(*changes);
}

Task<Result<TagUpdate>> Mirrors::Impl::describe_update(Place place, Tag tag, TagState state,
                                                       std::string gone) {
  TagUpdate update{place.stored, tag, state.held().value(), TagUpdate::State::pinned, {}, {}, {}, {}};
  if (!gone.empty()) {
    update.state = TagUpdate::State::gone;
    update.problem = std::move(gone);
    co_return std::move(update);
  }
  update.said = state.said;
  if (!pins(place)) {
    update.state = TagUpdate::State::quarantined;
    update.admitted_at = state.admitted_at;
  }
  auto changes = co_await difference(place, update.held, state.said.value().digest);
  if (changes) {
    update.difference = std::move(*changes);
  } else {
    update.problem = changes.error().message();
  }
  co_return std::move(update);
}

// Adds the tag to the page if upstream names something else. False: nothing more is to be asked in this page.
Task<Result<Mirrors::Impl::Looked>> Mirrors::Impl::look_at(Place place, Tag tag, UpdatePage& page) {
  auto state = tag_state(place, tag);
  if (!state) co_return state.error();
  if (!state->held()) co_return Looked::done;
  std::string gone;
  if (!compared_lately(place, tag, *state)) {
    if (page.problem.empty() && upstream(place).nearly_used_up())
      page.problem = for_pulls(upstream(place).settings()).message();
    if (page.problem.empty()) {
      if (page.asked == UpdatePage::most_asked) co_return Looked::enough;
      ++page.asked;
      const auto said = co_await ask_for_tag(place, tag, false);
      if (said) {
        count(place, &Counts::revalidations);
      } else if (says_no(said.error())) {
        gone = said.error().message();
      } else {
        page.problem = said.error().message();
      }
      state = tag_state(place, tag);
      if (!state) co_return state.error();
    }
  }
  const bool differs = state->kept && state->said && state->held() != state->said->digest;
  if (!differs && gone.empty()) co_return Looked::done;
  auto update = co_await describe_update(place, tag, *state, std::move(gone));
  if (!update) co_return update.error();
  page.updates.push_back(std::move(*update));
  co_return Looked::done;
}

Task<Result<UpdatePage>> Mirrors::Impl::updates_page(std::size_t mirror,
                                                     std::optional<catalog::MirroredTagName> last,
                                                     std::int64_t limit) {
  const Settings& settings = upstreams[mirror]->settings();
  UpdatePage page;
  page.pins = settings.tags == Settings::Tags::pin;
  page.quarantine = settings.quarantine;
  page.now = std::max(context.clock.now(), context.release_clock.now());
  if (!page.pins && page.quarantine.count() == 0) co_return std::move(page);
  const auto tags =
      context.database.read([&](sql::Session& session) -> Result<std::vector<catalog::MirroredTagName>> {
        return catalog::list_mirrored_tags(session, settings.prefix, last, limit);
      });
  if (!tags) co_return tags.error();
  const auto until = std::chrono::steady_clock::now() + longest_page;
  bool all = static_cast<std::int64_t>(tags->size()) < limit;
  for (const catalog::MirroredTagName& name : *tags) {
    const bool late = page.next && std::chrono::steady_clock::now() > until;
    Looked looked = Looked::enough;
    if (!late) {
      const auto place = names.place_in(mirror, name.repository.str().substr(settings.prefix.size() + 1));
      if (place) {  // still allowed
        const auto seen = co_await look_at(*place, name.tag, page);
        if (!seen) co_return seen.error();
        looked = *seen;
      } else {
        looked = Looked::done;
      }
    }
    if (looked == Looked::enough) {
      all = false;
      break;
    }
    page.next = name;
  }
  if (all) page.next.reset();
  co_return std::move(page);
}

Task<Result<UpdatePage>> Mirrors::updates(std::string mirror, std::optional<catalog::MirroredTagName> last,
                                          std::int64_t limit) {
  Impl& mirrors = *impl_;
  const auto index = mirrors.index_of(mirror);
  if (!index) co_return index.error();
  std::function<Task<Result<UpdatePage>>()> work = [&mirrors, at = *index, last, limit] {
    return mirrors.updates_page(at, last, limit);
  };
  std::string key = mirror + " " + std::to_string(limit);
  if (last) key += " " + last->repository.str() + ":" + last->tag.str();
  co_return co_await mirrors.update_flights->run(std::move(key), std::move(work));
}

Result<std::size_t> Mirrors::Impl::index_of(std::string_view mirror) const {
  const std::string name = canonical_registry(mirror);
  for (std::size_t i = 0; i < upstreams.size(); ++i) {
    if (upstreams[i]->settings().name == name) return i;
  }
  return Error(Errc::not_found, "no mirror " + printable(mirror, 100) +
                                    " is configured here; stele mirror status lists those that are");
}

}  // namespace stele::mirror
