#pragma once
// The distribution specification's face: route → authorise → one call into registry/ → response. Each
// endpoint's methods read like the specification's sentences about it; errors are values until handle() turns
// them into an answer.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/challenge.hpp"
#include "api/guarded_route.hpp"
#include "api/oci/route.hpp"
#include "api/sealed_positions.hpp"
#include "auth/access.hpp"
#include "http/exchange.hpp"
#include "http/uri.hpp"
#include "mirror/mirrors.hpp"
#include "registry/registry.hpp"
#include "registry/uploads.hpp"

namespace stele::api::oci {

struct OciSettings {
  std::uint64_t manifest_bytes = 4 * 1024 * 1024;
  bool deletion = true;
  mirror::Mirrors* mirrors = nullptr;  // null: nothing is mirrored; outlives the handler
  // scheme://host[:port][/path], where clients are sent on to (Location, Link). Empty: answers name the path
  // alone, and the client stays where it is.
  std::string external_url = {};
  std::string external_path = {};  // the path of external_url, which a proxy takes off; empty: none
};

// What a request means, for who asks before it is dispatched. The mirrors outlive it.
MirroredNames names_of(mirror::Mirrors& mirrors);

// Thread-safe.
class OciHandler final : public http::Handler {
 public:
  OciHandler(Registry& registry, Uploads& uploads, const auth::Access& access, OciSettings settings)
      : registry_(registry), uploads_(uploads), access_(access), settings_(std::move(settings)) {}

  Task<http::Response> handle(http::Exchange& http) override;
  http::Response refuse(int status, std::string_view why) override;

 private:
  using Answer = Task<Result<http::Response>>;
  using GuardedOciRoute = GuardedRoute<OciHandler, Endpoint, Route>;
  static const GuardedOciRoute routes[];
  Answer dispatch(http::Exchange& http);

  // manifests.cpp
  Answer get_manifest(http::Exchange&, const Route&);  // HEAD too
  Answer put_manifest(http::Exchange&, const Route&);
  Answer delete_manifest(http::Exchange&, const Route&);
  // blobs.cpp
  Answer get_blob(http::Exchange&, const Route&);
  Answer head_blob(http::Exchange&, const Route&);
  Answer delete_blob(http::Exchange&, const Route&);
  // mirrored.cpp: what is asked of a mirror.
  // Which repository of which mirror the request names, into the route.
  Result<void> find_mirror(const http::Exchange&, std::optional<std::size_t> in_path, Route&) const;
  // Whether the caller may; and where the request names no mirror, whether the default one's repository is
  // meant, which is then in the route.
  Result<void> may(http::Exchange&, const GuardedOciRoute&, Route&) const;
  Result<void> may_read_by_default(const http::Exchange&, const GuardedOciRoute&, mirror::Place,
                                   Route&) const;
  Answer describe_mirrored_manifest(http::Exchange&, const mirror::KnownManifest&);
  Answer get_arriving_blob(http::Exchange&, const Route&, const Digest&);
  Answer list_mirrored_tags(http::Exchange&, const Route&, std::int64_t limit, std::string last);
  Answer list_mirrored_referrers(http::Exchange&, const Route&, const Digest&,
                                 std::optional<std::string> type);
  // uploads.cpp
  Answer start_upload(http::Exchange&, const Route&);
  Answer patch_upload(http::Exchange&, const Route&);
  Answer put_upload(http::Exchange&, const Route&);
  Answer get_upload(http::Exchange&, const Route&);
  Answer delete_upload(http::Exchange&, const Route&);
  // lists.cpp
  Answer version(http::Exchange&, const Route&);
  Answer list_repositories(http::Exchange&, const Route&);
  Answer list_tags(http::Exchange&, const Route&);
  Answer list_referrers(http::Exchange&, const Route&);
  Answer discover(http::Exchange&, const Route&);

  // A path below /v2/ as the client reaches it.
  std::string outside(const std::string& path) const { return settings_.external_url + path; }
  // The answer to a proxy that passes on the path of external_url.
  std::optional<Error> prefix_passed_on(std::string_view path) const;
  http::Response blob_created(const RepositoryName&, const Digest&) const;
  // What every answer about a session says: where it goes on, and how far it is.
  void describe(http::Response&, const RepositoryName&, const UploadId&, std::uint64_t offset) const;
  void link_next(http::Response&, const std::string& target) const;

  static audit::Actor actor(const http::Exchange& http);
  // An error's answer, noted for the log, to which the caller adds header fields.
  static http::Response refusal(http::Exchange& http, const Error& error);
  // 416 for a chunk that does not continue the upload: the session survives, and the answer says where it
  // stands.
  Answer out_of_order(http::Exchange& http, const RepositoryName& name, const UploadId& id,
                      const Error& error);

  Registry& registry_;
  Uploads& uploads_;
  const auth::Access& access_;
  const OciSettings settings_;
  const SealedPositions positions_;  // of the list of repositories
};

}  // namespace stele::api::oci
