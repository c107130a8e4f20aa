#include "api/conditional.hpp"
#include "api/oci/oci_handler.hpp"
#include "base/random.hpp"
#include "http/range.hpp"

namespace stele::api::oci {
namespace {

http::FileSlice slice_of(const BlobContent& content, std::uint64_t offset, std::uint64_t length) {
  return http::FileSlice{content.reader, content.reader->fd(), offset, length};
}

// Several ranges: multipart/byteranges (RFC 9110, 14.6), as podman's partial pulls and stargz ask for.
void add_parts(http::Response& response, const BlobContent& content,
               const std::vector<http::ByteRange>& ranges) {
  const std::string boundary = "stele-" + random_hex(12);
  response.header("Content-Type", "multipart/byteranges; boundary=" + boundary);
  bool first = true;
  for (const http::ByteRange& range : ranges) {
    std::string head = first ? "" : "\r\n";
    first = false;
    head += "--" + boundary + "\r\nContent-Type: application/octet-stream\r\nContent-Range: " +
            http::content_range(range, content.size) + "\r\n\r\n";
    response.add_segment(http::Segment{std::move(head), slice_of(content, range.first, range.length())});
  }
  response.add_segment(http::Segment{"\r\n--" + boundary + "--\r\n", {}});
}

// What a mirror can bring: also what it once had and the disk spoiled.
bool is_absent(const Error& error) {
  return error.code() == Errc::blob_unknown || error.code() == Errc::corrupt;
}

}  // namespace

// GET /v2/<name>/blobs/<digest>
OciHandler::Answer OciHandler::get_blob(http::Exchange& http, const Route& route) {
  const auto digest = Digest::parse(route.tail);
  if (!digest) co_return digest.error();
  auto content = registry_.blob(*route.name, *digest);
  if (!content && route.mirrored && is_absent(content.error()))
    co_return co_await get_arriving_blob(http, route, *digest);
  if (!content) co_return content.error();
  if (route.mirrored) settings_.mirrors->note_hit(*route.mirrored);
  const std::string tag = entity_tag(*digest);
  if (matches_none(http.request(), tag)) {
    http::Response unchanged(304);
    unchanged.header("Docker-Content-Digest", digest->str()).header("ETag", tag);
    co_return unchanged;
  }
  std::vector<http::ByteRange> ranges;
  if (const std::string range = http.request().joined_header("Range");
      !range.empty() && range_applies(http.request(), tag)) {
    auto parsed = http::parse_range(range, content->size);
    if (!parsed) {
      http::Response response = refusal(http, parsed.error());
      response.header("Content-Range", "bytes */" + std::to_string(content->size));
      co_return response;
    }
    ranges = std::move(*parsed);
  }
  if (registry_.look_of(http.identity().principal, http.request().header("User-Agent")) == Look::use)
    registry_.count_blob_read(*route.name, *digest);
  http::Response response(ranges.empty() ? 200 : 206);
  response.header("Docker-Content-Digest", digest->str())
      .header("ETag", tag)
      .header("Accept-Ranges", "bytes");
  if (ranges.size() > 1) {
    add_parts(response, *content, ranges);
    co_return response;
  }
  response.header("Content-Type", "application/octet-stream");
  if (ranges.empty()) {
    response.add_segment(http::Segment{{}, slice_of(*content, 0, content->size)});
  } else {
    response.header("Content-Range", http::content_range(ranges.front(), content->size));
    response.add_segment(
        http::Segment{{}, slice_of(*content, ranges.front().first, ranges.front().length())});
  }
  co_return response;
}

// HEAD /v2/<name>/blobs/<digest>: 404 also when the file is lost or short, so that clients push it again.
OciHandler::Answer OciHandler::head_blob(http::Exchange& http, const Route& route) {
  const auto digest = Digest::parse(route.tail);
  if (!digest) co_return digest.error();
  auto size = registry_.blob_size(*route.name, *digest);
  // Upstream says how long it is.
  if (!size && route.mirrored && is_absent(size.error()))
    size = co_await settings_.mirrors->blob_size(*route.mirrored, *digest);
  if (!size) co_return size.error();
  const std::string tag = entity_tag(*digest);
  http::Response response(matches_none(http.request(), tag) ? 304 : 200);
  response.header("Docker-Content-Digest", digest->str())
      .header("ETag", tag)
      .header("Accept-Ranges", "bytes");
  if (response.status() == 200) {
    response.header("Content-Type", "application/octet-stream");
    http::FileSlice counted;
    counted.length = *size;
    response.add_segment(http::Segment{{}, std::move(counted)});
  }
  co_return response;
}

// DELETE /v2/<name>/blobs/<digest>
OciHandler::Answer OciHandler::delete_blob(http::Exchange& http, const Route& route) {
  if (!settings_.deletion)
    co_return Error(Errc::deletion_disabled, "deletion is switched off here (delete: off)");
  const auto digest = Digest::parse(route.tail);
  if (!digest) {
    // Blob DELETE never answers 400: what cannot exist does not exist.
    co_return Error(Errc::blob_unknown, digest.error().message());
  }
  const auto deleted = co_await registry_.delete_blob(*route.name, *digest, actor(http));
  if (!deleted) co_return deleted.error();
  co_return http::Response(202);
}

}  // namespace stele::api::oci
