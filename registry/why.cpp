#include "registry/why.hpp"

#include "registry/protection.hpp"
#include "storage/catalog/in_use.hpp"

namespace stele {
namespace {

// One read's view of one repository.
class Looking {
 public:
  Looking(sql::Session& session, const RegistryContext& context, const WhyQuery& query)
      : session_(session),
        context_(context),
        query_(query),
        id_(catalog::find_repository(session, query.repository)) {}

  Result<Why> answer() {
    Why why{query_.repository, std::nullopt, std::nullopt, false, {}, {}, {}, {}, {}, {}};
    Result<void> found;
    if (!query_.reference) {
      repository(why);
    } else if (const Tag* tag = query_.reference->tag()) {
      why.tag = *tag;
      found = this->tag(why);
    } else {
      why.digest = *query_.reference->digest();
      found = digest(why);
    }
    if (!found) return found.error();
    if (!why.present && why.departures.empty() && why.removals.empty() && !why.bound && !why.trash)
      return never_here();
    return why;
  }

 private:
  std::vector<WhyDeparture> departures(const std::optional<Digest>& of) {
    std::vector<WhyDeparture> found;
    for (auto& departure :
         catalog::list_departures(session_, query_.repository, of, Whys::departures_shown)) {
      std::optional<catalog::Departure> whole;
      if (of) whole = catalog::repository_departure(session_, query_.repository, departure);
      found.push_back({std::move(departure), std::move(whole)});
    }
    return found;
  }

  void repository(Why& why) {
    why.departures = departures(std::nullopt);
    if (!id_) return;
    why.present = true;
    WhyRepository& whole = why.whole.emplace();
    whole.usage = catalog::find_usage(session_, *id_).value_or(catalog::Usage());
    whole.lock = catalog::longest_lock(session_, query_.repository, context_.release_clock.now());
    whole.hold = catalog::any_hold(session_, query_.repository);
    whole.in_use = static_cast<std::int64_t>(
        catalog::digests_in_use(session_, query_.repository, "", Whys::most_shown).size());
  }

  Result<void> tag(Why& why) {
    const Tag& tag = *why.tag;
    why.removals = catalog::list_tag_removals(session_, query_.repository, tag, Whys::departures_shown);
    auto bound = catalog::find_removed_name(session_, query_.repository, tag);
    if (!bound) return bound.error();
    why.bound = std::move(*bound);
    if (id_) {
      auto present = catalog::find_tag(session_, *id_, query_.repository, tag);
      if (!present) return present.error();
      if (*present) {
        why.present = true;
        why.digest = (*present)->digest;
        return content(why);
      }
      why.trash = catalog::newest_trash_of_tag(session_, *id_, tag);
    }
    if (!why.removals.empty()) {
      why.digest = why.removals.front().digest;
    } else if (why.bound) {
      why.digest = why.bound->digest;
    } else if (why.trash) {
      why.digest = why.trash->digest;
    }
    if (!why.digest) return {};
    why.departures = departures(why.digest);
    return content(why);
  }

  Result<void> digest(Why& why) {
    why.departures = departures(why.digest);
    auto looked = content(why);
    if (!looked) return looked;
    why.present = why.content.has_value();
    if (!why.present && id_) why.trash = catalog::newest_trashed_manifest(session_, *id_, *why.digest);
    return {};
  }

  // What the digest names, if it is here.
  Result<void> content(Why& why) {
    if (!id_) return {};
    const Digest& digest = *why.digest;
    WhyContent content;
    if (const auto manifest = catalog::find_manifest(session_, *id_, digest)) {
      content.manifest = true;
      content.size = manifest->size;
      content.media_type = manifest->media_type;
      if (auto described = describe(manifest->id, digest, content); !described) return described;
    } else if (const auto blob = catalog::find_blob_in(session_, query_.repository, digest)) {
      content.size = blob->size;
    } else {
      return {};
    }
    content.named_by = catalog::manifests_naming(session_, *id_, digest, Whys::most_shown);
    content.protections = Protection(session_, *id_, query_.repository, context_.release_clock.now())
                              .everything_on(digest, Whys::most_shown);
    content.trash_needs = catalog::trash_needing_blob(session_, *id_, digest);
    content.leased = context_.leases.leased(digest);
    content.settling = context_.leases.settling();
    why.content = std::move(content);
    return {};
  }

  Result<void> describe(catalog::ManifestId manifest, const Digest& digest, WhyContent& content) {
    if (const auto origin = catalog::manifest_origin(session_, manifest)) {
      content.pushed_at = origin->created_at;
      content.pushed_by = origin->created_by;
    }
    const auto policy = context_.policy.current();
    for (const Tag& tag : catalog::tags_of_manifest(session_, manifest, Whys::most_shown)) {
      auto bound = catalog::find_tag(session_, *id_, query_.repository, tag);
      if (!bound) return bound.error();
      if (!*bound) continue;
      const policy::TagRule& rule = *policy->tag_rule(query_.repository.str(), tag.str()).rule;
      content.tags.push_back(
          {std::move(**bound), rule.name, rule.mutability, rule.may_delete, rule.lifecycle_protects});
    }
    if (content.tags.empty()) content.untagged_since = catalog::untagged_since(session_, manifest);
    content.subject = catalog::subject_of(session_, *id_, digest);
    if (content.subject) content.subject_is_here = catalog::has_manifest(session_, *id_, *content.subject);
    content.referrers = catalog::referring_to(session_, *id_, digest, Whys::most_shown);
    content.pulled_at = context_.pulls.pulled_at(session_, manifest);
    content.pulls_known_since = context_.pulls.since();
    return {};
  }

  Error never_here() {
    const std::string& name = query_.repository.str();
    std::string known;
    if (id_) {
      const auto usage = catalog::find_usage(session_, *id_).value_or(catalog::Usage());
      known = "; the repository is there, with " + std::to_string(usage.manifests) + " manifests and " +
              std::to_string(usage.blobs) + " blobs";
    } else if (const auto whole = catalog::list_departures(session_, query_.repository, std::nullopt, 1);
               !whole.empty()) {
      known = "; the repository was deleted " + to_string(whole[0].at) + " by " + whole[0].actor;
    } else {
      return Error(Errc::name_unknown,
                   "repository " + name + " is not here and, as far as the record goes, never was");
    }
    return Error(Errc::manifest_unknown, (query_.reference->tag() ? "tag " : "content ") +
                                             query_.reference->str() + " is not in " + name +
                                             " and, as far as the record goes, never was" + known);
  }

  sql::Session& session_;
  const RegistryContext& context_;
  const WhyQuery& query_;
  const std::optional<catalog::RepositoryId> id_;
};

}  // namespace

Result<Why> Whys::answer(const WhyQuery& query) const {
  auto why = context_.database.read(
      [&](sql::Session& session) -> Result<Why> { return Looking(session, context_, query).answer(); });
  // Afterwards: a judgement reads much, and takes its own time.
  if (why && judge_ && why->content && why->content->manifest) {
    const std::optional<Tag> tag = why->present ? why->tag : std::nullopt;
    why->content->verdict = judge_(query.repository, tag, *why->digest);
  }
  return why;
}

Task<Result<Why>> Whys::ask(WhyQuery query) const {
  auto reading = context_.db.start([&] { return answer(query); });
  co_return co_await reading;
}

}  // namespace stele
