#include "api/error_response.hpp"
#include "api/oci/oci_handler.hpp"
#include "http/range.hpp"

namespace stele::api::oci {
namespace {

class RequestBody final : public ByteSource {
 public:
  explicit RequestBody(http::Exchange& http) : http_(http) {}
  Task<Result<std::size_t>> read_full(ByteSpan out) override { return http_.read_full(out); }
  Task<Result<std::optional<std::size_t>>> read_arrived(ByteSpan out) override {
    co_return http_.read_arrived(out);
  }
  Task<void> wait() override { return http_.wait_for_body(); }
  std::optional<std::uint64_t> length() const override {
    if (http_.request().chunked) return std::nullopt;
    return http_.request().content_length.value_or(0);
  }

 private:
  http::Exchange& http_;
};

Result<std::optional<ChunkRange>> chunk_range(const http::RequestHead& request) {
  const std::string_view header = request.header("Content-Range");
  if (header.empty()) return std::optional<ChunkRange>();
  const auto range = http::parse_content_range(header);
  if (!range) return range.error();
  return std::optional<ChunkRange>(ChunkRange{range->first, range->last});
}

// From where a blob may be mounted: where the caller may pull, as if nobody else had it (I9).
class MountSources {
 public:
  MountSources(const auth::Access& access, const Identity& identity)
      : seen_(access.sight_of(identity, {auth::Right::pull})), seen_with_another_token_(seen_) {
    if (identity.method != Identity::Method::token || seen_.everything()) return;
    Identity whole = identity;
    whole.scopes.clear();
    seen_with_another_token_ = access.sight_of(whole, {auth::Right::pull});
  }

  bool may_be(std::string_view repository) {
    if (seen_.has(repository)) return true;
    if (beyond_.empty() && seen_with_another_token_.has(repository)) beyond_ = repository;
    return false;
  }

  // A repository that was asked about and that another token of the caller's would let him pull from; empty:
  // none was.
  const std::string& beyond_the_token() const { return beyond_; }

 private:
  auth::Sight seen_, seen_with_another_token_;
  std::string beyond_;
};

}  // namespace

void OciHandler::describe(http::Response& response, const RepositoryName& name, const UploadId& id,
                          std::uint64_t offset) const {
  response.header("Location", outside("/v2/" + name.str() + "/blobs/uploads/" + id.str()))
      .header("Docker-Upload-UUID", id.str())
      .header("Range", "0-" + std::to_string(offset == 0 ? 0 : offset - 1));
}

http::Response OciHandler::blob_created(const RepositoryName& name, const Digest& digest) const {
  http::Response response(201);
  response.header("Location", outside("/v2/" + name.str() + "/blobs/" + digest.str()))
      .header("Docker-Content-Digest", digest.str());
  return response;
}

// POST /v2/<name>/blobs/uploads/: a session; with ?digest= the whole blob; with ?mount= perhaps no upload at
// all.
OciHandler::Answer OciHandler::start_upload(http::Exchange& http, const Route& route) {
  const http::QueryParameters query(http.request().query);
  const RepositoryName& name = *route.name;

  if (const auto mount = query.first("mount")) {
    const auto digest = Digest::parse(*mount);
    if (!digest) co_return digest.error();
    BlobMount wanted{name, *digest, std::nullopt, actor(http), {}};
    bool possible = true;
    MountSources sources(access_, http.identity());
    if (const auto from = query.first("from")) {
      auto source = RepositoryName::parse(*from);
      possible = source.has_value() && sources.may_be(source->str());
      if (possible) wanted.from = std::move(*source);
    } else {
      wanted.sees = [&sources](std::string_view repository) { return sources.may_be(repository); };
    }
    if (possible) {
      const auto mounted = co_await registry_.mount_blob(std::move(wanted));
      if (!mounted) co_return mounted.error();
      if (*mounted) co_return blob_created(name, *digest);
    }
    // Who names no source is not told of one: a client follows one challenge, and this would be its second.
    if (query.first("from") && !sources.beyond_the_token().empty()) {
      http.note.also_pulled = sources.beyond_the_token();
      co_return Error(Errc::unauthorized, "mounting from " + http.note.also_pulled +
                                              " needs a token that lets pull there, too; ask for one")
          .with("right", "pull")
          .with("repository", http.note.also_pulled)
          .with("reason", "INSUFFICIENT_SCOPE");
    }
  }

  auto algorithm = DigestAlgorithm::sha256;
  if (const auto wanted = query.first("digest-algorithm")) {
    const auto parsed = parse_digest_algorithm(*wanted);
    if (!parsed) co_return parsed.error();
    algorithm = *parsed;
  }
  std::optional<Digest> digest;
  if (const auto whole = query.first("digest")) {
    auto parsed = Digest::parse(*whole);
    if (!parsed) co_return parsed.error();
    algorithm = parsed->algorithm();
    digest = std::move(*parsed);
  }
  if (!digest) {
    if (auto room = uploads_.has_room(name); !room) co_return room.error();
  }
  const auto id = uploads_.start(name, actor(http), algorithm);
  if (!id) co_return id.error();
  if (digest) {
    RequestBody body(http);
    const auto finished = co_await uploads_.finish(name, *id, body, std::nullopt, *digest, actor(http));
    if (finished) co_return blob_created(name, *digest);
    // Nobody learned the session's name: it ends with the request.
    [[maybe_unused]] const auto cancelled = co_await uploads_.cancel(name, *id, actor(http));
    co_return finished.error();
  }
  http::Response response(202);
  describe(response, name, *id, 0);
  co_return response;
}

OciHandler::Answer OciHandler::out_of_order(http::Exchange& http, const RepositoryName& name,
                                            const UploadId& id, const Error& error) {
  const auto offset = co_await uploads_.offset(name, id, actor(http));
  http::Response response = refusal(http, error);
  if (offset) describe(response, name, id, *offset);
  co_return response;
}

// PATCH /v2/<name>/blobs/uploads/<id>: streamed, or a chunk with Content-Range.
OciHandler::Answer OciHandler::patch_upload(http::Exchange& http, const Route& route) {
  const auto id = UploadId::parse(route.tail);
  if (!id) co_return id.error();
  const auto range = chunk_range(http.request());
  if (!range) co_return range.error();
  RequestBody body(http);
  const auto offset = co_await uploads_.append(*route.name, *id, body, *range, actor(http));
  if (!offset) {
    if (offset.error().code() == Errc::range_invalid)
      co_return co_await out_of_order(http, *route.name, *id, offset.error());
    co_return offset.error();
  }
  http::Response response(202);
  describe(response, *route.name, *id, *offset);
  co_return response;
}

// PUT /v2/<name>/blobs/uploads/<id>?digest=…, with or without a last chunk.
OciHandler::Answer OciHandler::put_upload(http::Exchange& http, const Route& route) {
  const auto id = UploadId::parse(route.tail);
  if (!id) co_return id.error();
  const http::QueryParameters query(http.request().query);
  const auto text = query.first("digest");
  if (!text)
    co_return Error(Errc::digest_invalid,
                    "the request ends an upload and needs ?digest=<digest of the content>");
  const auto digest = Digest::parse(*text);
  if (!digest) co_return digest.error();
  const auto range = chunk_range(http.request());
  if (!range) co_return range.error();
  RequestBody body(http);
  const auto finished = co_await uploads_.finish(*route.name, *id, body, *range, *digest, actor(http));
  if (!finished) {
    const Errc why = finished.error().code();
    if (why == Errc::range_invalid) co_return co_await out_of_order(http, *route.name, *id, finished.error());
    // The answer to the first PUT was lost and the client sends it again. What it wants is so: the caller may
    // push here, and the repository has the blob, which is leased again by asking.
    const bool repeated = why == Errc::upload_unknown || why == Errc::upload_busy;
    if (repeated && registry_.blob_size(*route.name, *digest)) co_return blob_created(*route.name, *digest);
    if (why == Errc::upload_busy) {
      co_return Error(Errc::unavailable, "another request is still working on upload session " + id->str() +
                                             "; send this one again when Retry-After has passed");
    }
    co_return finished.error();
  }
  co_return blob_created(*route.name, *digest);
}

// GET /v2/<name>/blobs/uploads/<id>: how far it is.
OciHandler::Answer OciHandler::get_upload(http::Exchange& http, const Route& route) {
  const auto id = UploadId::parse(route.tail);
  if (!id) co_return id.error();
  const auto offset = co_await uploads_.offset(*route.name, *id, actor(http));
  if (!offset) co_return offset.error();
  http::Response response(204);
  describe(response, *route.name, *id, *offset);
  co_return response;
}

// DELETE /v2/<name>/blobs/uploads/<id>
OciHandler::Answer OciHandler::delete_upload(http::Exchange& http, const Route& route) {
  const auto id = UploadId::parse(route.tail);
  if (!id) co_return id.error();
  const auto cancelled = co_await uploads_.cancel(*route.name, *id, actor(http));
  if (!cancelled) co_return cancelled.error();
  co_return http::Response(204);
}

}  // namespace stele::api::oci
