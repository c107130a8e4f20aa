// Somebody has looked at what upstream names, and wants it.
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
  Wanted all_of_it;
  all_of_it.beside = held;
  const Reference reference(*expected);
  auto brought = co_await gather(place, reference, std::move(all_of_it));
  if (!brought) {
    const Errc code = brought.error().code();
    if (code != Errc::manifest_unknown && code != Errc::blob_unknown) co_return brought.error();
    co_return Error(Errc::unavailable, "upstream does not have all of " + expected->str() + ": " +
                                           brought.error().message() + "; the tag was not moved");
  }
  Approval approval{place.stored, asked.tag, *expected, said->upstream, asked.actor};
  const TagMoves moves(context);
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
