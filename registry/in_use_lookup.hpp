#pragma once
// Internal to registry/: which manifests of this registry a report's references name.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/image_reference.hpp"
#include "storage/catalog/in_use.hpp"

namespace stele {

// What was found so far. A value: what does not change is looked up once, and copied into each run of a write
// closure.
struct InUseFound {
  struct UsedManifest {
    std::string repository;
    std::string digest;
    bool present;
    friend auto operator<=>(const UsedManifest&, const UsedManifest&) = default;
  };
  std::vector<UsedManifest> uses;
  std::vector<std::string> unknown;  // references as they were reported
};

// One session's view. Not thread-safe.
class InUseLookup {
 public:
  // More of them than this is an error of look_up(): a configuration that everything shares, say.
  static constexpr std::size_t most_uses = 200'000;

  InUseLookup(sql::Session& session, const std::vector<std::string>& own_hosts, bool hosts_are_known)
      : session_(session), own_hosts_(own_hosts), hosts_are_known_(hosts_are_known) {}

  // parameter_invalid.
  Result<void> look_up(const std::string& text, const ImageReference&, InUseFound&);

 private:
  enum class Host { ours, perhaps_ours, another };
  Host whose(const std::string& host) const;
  std::optional<catalog::RepositoryId> repository(const RepositoryName&);
  bool look_up_tag(const RepositoryName&, const Tag&, InUseFound&);
  bool look_up_digest(const RepositoryName&, const Digest&, InUseFound&);
  bool look_up_everywhere(const Digest&, InUseFound&);

  sql::Session& session_;
  const std::vector<std::string>& own_hosts_;
  const bool hosts_are_known_;
  std::map<std::string, std::optional<catalog::RepositoryId>> repositories_;
};

}  // namespace stele
