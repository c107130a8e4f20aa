// Somebody has looked at what upstream names, and wants it.
#include "base/media_type.hpp"
#include "mirror/bad_upstream.hpp"
#include "mirror/mirrors_impl.hpp"
#include "registry/tag_moves.hpp"

namespace stele::mirror {
namespace {

std::string name_of(const Place& place, const Tag& tag) {
  return place.stored.str() + ":" + tag.str();
}

Error follows(const Settings& settings, const Place& place, const Tag& tag) {
  return Error(Errc::refused_by_policy,
               name_of(place, tag) + " follows its upstream: the mirror " + settings.name +
                   " has neither tags: pin nor a quarantine, so that there is nothing to approve");
}

Error nothing_seen(const Place& place, const Tag& tag, const Digest& held) {
  return Error(Errc::refused_by_policy, "upstream was not seen to name anything else for " +
                                            name_of(place, tag) + " than " + held.str() +
                                            "; stele mirror updates asks it")
      .with("held", held.str());
}

Error names_another(const Place& place, const Tag& tag, const Digest& expected, const Digest& now) {
  return Error(Errc::refused_by_policy, "upstream now names " + now.str() + " for " + name_of(place, tag) +
                                            " and not " + expected.str() +
                                            "; look at it with stele mirror updates, then approve that one")
      .with("expected", expected.str())
      .with("now", now.str());
}

}  // namespace

Task<Result<void>> Mirrors::Impl::bring_blob(Place place, Digest digest) {
  if (registry.blob_size(place.stored, digest)) co_return Result<void>();
  bool joined = false;
  auto file = co_await arriving(place, digest, joined);
  if (!file) co_return file.error();
  auto here = co_await landed(place, digest, std::move(*file));
  if (here || here.error().code() != Errc::digest_mismatch) co_return here;
  co_return bad_upstream(upstream(place).settings().name + " has other bytes than those of the blob " +
                         digest.str() + "; they were not kept");
}

Task<Result<void>> Mirrors::Impl::bring_layers(Place place, ManifestText text) {
  const auto manifest = Manifest::parse(text.media_type, text.bytes);
  if (!manifest) co_return manifest.error();
  std::vector<Digest> wanted;
  if (manifest->config()) wanted.push_back(manifest->config()->digest);
  for (const Descriptor& layer : manifest->layers()) {
    if (!media_type::is_nondistributable(layer.media_type)) wanted.push_back(layer.digest);
  }
  for (const Digest& digest : wanted) {
    auto brought = co_await bring_blob(place, digest);
    if (!brought) co_return brought;
  }
  co_return Result<void>();
}

// All that the tag brings: of an index the platforms that are here of what is held.
Task<Result<void>> Mirrors::Impl::bring_image(Place place, Digest held, Digest digest) {
  auto text = co_await fetch_text(place, digest);
  if (!text) co_return text.error();
  const auto manifest = Manifest::parse(text->media_type, text->bytes);
  if (!manifest) co_return manifest.error();
  if (manifest->kind() == Manifest::Kind::image) co_return co_await bring_layers(place, std::move(*text));
  const auto before = text_of(place, held);
  if (!before) co_return before.error();
  if (!*before) co_return Result<void>();
  const auto changes = compare(**before, *text);
  if (!changes) co_return changes.error();
  for (const ImageChange& change : *changes) {
    if (!change.held || !change.upstream) continue;
    const auto child = text_of(place, *change.held);
    if (!child) co_return child.error();
    if (!*child) continue;
    auto theirs = co_await fetch_text(place, *change.upstream);
    if (!theirs) co_return theirs.error();
    auto brought = co_await bring_layers(place, std::move(*theirs));
    if (!brought) co_return brought;
  }
  co_return Result<void>();
}

Task<Result<ApprovalDone>> Mirrors::Impl::approve(Place place, ApprovalRequest asked) {
  const auto state = tag_state(place, asked.tag);
  if (!state) co_return state.error();
  if (!may_keep(place)) co_return follows(upstream(place).settings(), place, asked.tag);
  const auto held = state->held();
  if (!held) {
    co_return Error(
        Errc::manifest_unknown,
        name_of(place, asked.tag) + " is not held here: the first pull takes what upstream names");
  }
  std::optional<Digest> expected = asked.digest;
  if (!expected && state->said && state->said->digest != *held) expected = state->said->digest;
  if (!expected) co_return nothing_seen(place, asked.tag, *held);
  const auto said = co_await ask_for_tag(place, asked.tag, false);
  if (!said) {
    if (said.error().code() == Errc::not_found)
      co_return Error(Errc::manifest_unknown, "upstream has no " + name_of(place, asked.tag) + " any more");
    co_return said.error();
  }
  if (said->digest != *expected) co_return names_another(place, asked.tag, *expected, said->digest);
  auto brought = co_await bring_image(place, *held, *expected);
  if (!brought) {
    const Errc code = brought.error().code();
    if (code != Errc::not_found && code != Errc::blob_unknown) co_return brought.error();
    co_return Error(Errc::unavailable, "upstream does not have all of " + expected->str() + ": " +
                                           brought.error().message() + "; the tag was not moved");
  }
  Approval approval{place.stored, asked.tag, *expected, said->upstream, asked.actor};
  const TagMoves moves(parts);
  auto moved = co_await moves.approve(std::move(approval));
  if (!moved) co_return moved.error();
  ApprovalDone done{place.stored, moved->from, moved->to};
  co_return std::move(done);
}

Task<Result<ApprovalDone>> Mirrors::approve(ApprovalRequest asked) {
  Impl& mirrors = *impl_;
  const auto index = mirrors.index_of(asked.mirror);
  if (!index) co_return index.error();
  const auto place = mirrors.names.place(asked.repository, std::nullopt, std::nullopt);
  if (!place) co_return place.error();
  if (!*place || (*place)->mirror != *index) {
    co_return Error(Errc::parameter_invalid, asked.repository.str() + " is no repository of the mirror " +
                                                 mirrors.upstreams[*index]->settings().name);
  }
  std::function<Task<Result<ApprovalDone>>()> work = [&mirrors, where = **place, asked] {
    return mirrors.approve(where, asked);
  };
  // Each request by itself: it is its own actor's.
  std::string key = name_of(**place, asked.tag) + " " + asked.actor.request_id;
  co_return co_await mirrors.approval_flights->run(std::move(key), std::move(work));
}

}  // namespace stele::mirror
