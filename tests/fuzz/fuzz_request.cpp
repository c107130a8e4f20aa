// Framing: what is taken for one request, and where it ends. An input is what a connection carries: a head,
// then a body.

#include <algorithm>
#include <string>
#include <vector>

#include "http/chunked_decoder.hpp"
#include "http/request_parser.hpp"
#include "http/uri.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace stele;
using namespace stele::fuzz;
using namespace stele::http;

// The head's end must not depend on how the bytes arrive.
std::size_t head_end(std::string_view input) {
  std::size_t searched = 0;
  const std::size_t at_once = find_head_end(input, searched);
  searched = 0;
  std::size_t in_pieces = 0;
  for (std::size_t arrived = 1; arrived <= input.size() && in_pieces == 0; ++arrived) {
    in_pieces = find_head_end(input.substr(0, arrived), searched);
  }
  FUZZ_CHECK(at_once == in_pieces);
  return at_once;
}

std::size_t count(const RequestHead& head, std::string_view name) {
  return static_cast<std::size_t>(
      std::count_if(head.fields.begin(), head.fields.end(),
                    [&](const Field& field) { return equals_ignoring_case(field.name, name); }));
}

bool within(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

// No second party may read another length or another host out of the same bytes (RFC 9112, 6.3 and 11.2).
void check_unambiguous(const RequestHead& head, std::string_view block) {
  FUZZ_CHECK(count(head, "host") <= 1);
  FUZZ_CHECK(count(head, "host") == 1 || head.minor_version == 0);
  FUZZ_CHECK(count(head, "content-length") <= 1);
  FUZZ_CHECK(count(head, "transfer-encoding") <= 1);
  FUZZ_CHECK(head.chunked == (count(head, "transfer-encoding") == 1));
  FUZZ_CHECK(head.content_length.has_value() == (count(head, "content-length") == 1));
  FUZZ_CHECK(!(head.chunked && head.content_length));
  FUZZ_CHECK(!(head.chunked && head.minor_version == 0));
  if (head.content_length) {
    const std::string_view digits = head.header("content-length");
    FUZZ_CHECK(digits.find_first_not_of("0123456789") == std::string_view::npos);
    FUZZ_CHECK(*head.content_length <= INT64_MAX);
  }
  if (head.chunked) FUZZ_CHECK(equals_ignoring_case(head.header("transfer-encoding"), "chunked"));
  FUZZ_CHECK(head.fields.size() <= 100);
  for (const auto& field : head.fields) {
    FUZZ_CHECK(within(field.name, block) && within(field.value, block));
    FUZZ_CHECK(!field.name.empty());
    FUZZ_CHECK(field.name.find_first_of(std::string_view(" \t:\r\n\0", 6)) == std::string_view::npos);
    FUZZ_CHECK(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
  }
  // An absolute target without a path means "/", which then stands nowhere in the block.
  FUZZ_CHECK((within(head.path, block) || head.path == "/") && within(head.query, block));
  FUZZ_CHECK(head.path.find_first_of("?# \t") == std::string_view::npos);
}

// Written as one would write it, a request must be understood the same again.
void check_round_trip(const RequestHead& head) {
  std::string text = std::string(head.method_text) + " " + std::string(head.target) + " HTTP/1." +
                     std::to_string(head.minor_version) + "\r\n";
  for (const auto& field : head.fields)
    text += std::string(field.name) + ": " + std::string(field.value) + "\r\n";
  text += "\r\n";
  const ParsedHead again = parse_head(text);
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(again.head.method == head.method && again.head.path == head.path &&
             again.head.query == head.query);
  FUZZ_CHECK(again.head.content_length == head.content_length && again.head.chunked == head.chunked);
  FUZZ_CHECK(again.head.keep_alive == head.keep_alive && again.head.expect_continue == head.expect_continue);
  FUZZ_CHECK(again.head.fields.size() == head.fields.size());
}

void check_target(const RequestHead& head) {
  if (const auto decoded = percent_decode(head.path)) {
    FUZZ_CHECK(decoded->size() <= head.path.size());
    FUZZ_CHECK(decoded->find('\0') == std::string::npos);
    FUZZ_CHECK(percent_decode(percent_encode(*decoded)) == decoded);
  }
  const QueryParameters parameters(head.query);
  FUZZ_CHECK(parameters.all("digest").empty() == !parameters.first("digest").has_value());
}

struct Body {
  std::string bytes;
  std::size_t consumed = 0;
  bool done = false;
  bool malformed = false;
};

// Reads a chunked body that arrives in pieces of `piece` bytes into a buffer of `room` bytes.
Body decode(std::string_view input, std::size_t piece, std::size_t room) {
  ChunkedDecoder decoder;
  Body body;
  std::vector<std::byte> buffer(room);
  for (std::size_t arrived = std::min(piece, input.size());;) {
    const auto step = decoder.decode(input.substr(body.consumed, arrived - body.consumed), buffer);
    FUZZ_CHECK(step.consumed <= arrived - body.consumed);
    FUZZ_CHECK(step.produced <= room);
    body.bytes += as_text(ByteView(buffer).first(step.produced));
    body.consumed += step.consumed;
    body.done = step.done;
    body.malformed = step.malformed;
    if (step.done || step.malformed) return body;
    if (step.consumed > 0 || step.produced > 0) continue;
    if (arrived == input.size()) return body;  // wants more than there is
    arrived = std::min(arrived + piece, input.size());
  }
}

// Where a chunked body ends, and what it is, must not depend on how it arrives: the next request begins
// there. A body that never ends may be found malformed sooner or later.
void check_chunked(std::string_view input) {
  const Body whole = decode(input, input.size() + 1, 64 << 10);
  FUZZ_CHECK(whole.bytes.size() <= input.size());
  for (const auto& [piece, room] : {std::pair<std::size_t, std::size_t>{1, 64}, {7, 3}, {100, 1}}) {
    const Body pieces = decode(input, piece, room);
    FUZZ_CHECK(pieces.done == whole.done);
    if (whole.done) FUZZ_CHECK(pieces.consumed == whole.consumed && pieces.bytes == whole.bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = text_of(data, size);
  const std::size_t end = head_end(input);
  const std::string_view block = input.substr(0, end);
  const ParsedHead parsed = parse_head(block);
  if (!parsed.ok()) {
    constexpr int statuses[] = {400, 417, 431, 501, 505};
    FUZZ_CHECK(std::find(std::begin(statuses), std::end(statuses), parsed.error.status) !=
               std::end(statuses));
    return 0;
  }
  FUZZ_CHECK(end > 0);
  check_unambiguous(parsed.head, block);
  check_round_trip(parsed.head);
  check_target(parsed.head);
  if (parsed.head.chunked) check_chunked(input.substr(end));
  return 0;
}
