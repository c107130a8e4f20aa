#include "registry/in_use_lookup.hpp"

#include <algorithm>

#include "base/printable.hpp"

namespace stele {
namespace {

constexpr auto most = static_cast<std::int64_t>(InUseLookup::most_uses) + 1;

// The empty JSON object, which artifacts of all kinds name as their configuration: no cluster runs it.
const Digest& empty_config() {
  static const Digest digest = Digest::of(DigestAlgorithm::sha256, "{}");
  return digest;
}

}  // namespace

InUseLookup::Host InUseLookup::whose(const std::string& host) const {
  if (host.empty() || std::find(own_hosts_.begin(), own_hosts_.end(), host) != own_hosts_.end())
    return Host::ours;
  return hosts_are_known_ ? Host::another : Host::perhaps_ours;
}

std::optional<catalog::RepositoryId> InUseLookup::repository(const RepositoryName& name) {
  const auto [at, added] = repositories_.try_emplace(name.str());
  if (added) at->second = catalog::find_repository(session_, name);
  return at->second;
}

bool InUseLookup::look_up_tag(const RepositoryName& name, const Tag& tag, InUseFound& found) {
  const auto id = repository(name);
  if (!id) return false;
  const auto bound = catalog::find_tag(session_, *id, name, tag);
  if (!bound || !*bound) return false;  // a damaged row must not cost the cluster its report
  found.uses.push_back({name.str(), (*bound)->digest.str(), true});
  return true;
}

bool InUseLookup::look_up_digest(const RepositoryName& name, const Digest& digest, InUseFound& found) {
  const auto id = repository(name);
  if (!id) return false;
  if (catalog::has_manifest(session_, *id, digest)) {
    found.uses.push_back({name.str(), digest.str(), true});
    return true;
  }
  if (digest == empty_config()) return false;
  auto manifests = catalog::manifests_configured_by(session_, *id, digest, most);
  for (std::string& manifest : manifests) found.uses.push_back({name.str(), std::move(manifest), true});
  return !manifests.empty();
}

bool InUseLookup::look_up_everywhere(const Digest& digest, InUseFound& found) {
  auto repositories = catalog::repositories_with_manifest(session_, digest, most);
  for (std::string& name : repositories) found.uses.push_back({std::move(name), digest.str(), true});
  if (digest == empty_config()) return !repositories.empty();
  auto manifests = catalog::manifests_configured_by(session_, digest, most);
  for (auto& [name, manifest] : manifests) found.uses.push_back({std::move(name), std::move(manifest), true});
  return !repositories.empty() || !manifests.empty();
}

Result<void> InUseLookup::look_up(const std::string& text, const ImageReference& reference,
                                  InUseFound& found) {
  bool known = false;
  if (!reference.name) {
    known = look_up_everywhere(*reference.digest, found);
  } else {
    const Host host = whose(reference.host);
    // Mirrored content may stand under a name that begins with its own registry's host.
    for (const auto* name : {&reference.whole, &reference.name}) {
      if (!*name) continue;
      if (reference.digest) {
        known = look_up_digest(**name, *reference.digest, found) || known;
      } else if (host != Host::another || name == &reference.whole) {
        known = look_up_tag(**name, *reference.tag, found) || known;
      }
    }
    // What the cluster runs from here but is not here: in the trash, say. It is protected should it come
    // back.
    if (!known && reference.digest && host == Host::ours && repository(*reference.name))
      found.uses.push_back({reference.name->str(), reference.digest->str(), false});
  }
  if (!known) found.unknown.push_back(text);
  if (found.uses.size() <= most_uses) return {};
  return Error(Errc::parameter_invalid,
               "the report names more than " + std::to_string(most_uses) +
                   " manifests; the last reference, " + in_quotes(text) +
                   ", may be a digest that very many share. Report repository and digest together");
}

}  // namespace stele
