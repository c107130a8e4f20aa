#include "http/chunked_decoder.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace stele::http {

namespace beast = boost::beast;

struct ChunkedDecoder::Impl {
  beast::http::request_parser<beast::http::buffer_body> parser;
};

ChunkedDecoder::ChunkedDecoder() : impl_(std::make_unique<Impl>()) {
  // The real head has been parsed and checked already; Beast only needs to know that chunks follow.
  constexpr std::string_view head = "PUT / HTTP/1.1\r\nHost: -\r\nTransfer-Encoding: chunked\r\n\r\n";
  auto& parser = impl_->parser;
  parser.body_limit(boost::none);
  beast::error_code failure;
  parser.put(boost::asio::buffer(head.data(), head.size()), failure);
  parser.eager(true);
}

ChunkedDecoder::~ChunkedDecoder() = default;

ChunkedDecoder::Step ChunkedDecoder::decode(std::string_view input, ByteSpan output) {
  Step step;
  // The shortest that can be left is "0\r\n\r\n". Given less at the start, Beast 1.81 stops the program with
  // an assertion.
  if (input.size() < 5) return step;
  auto& parser = impl_->parser;
  auto& body = parser.get().body();
  body.data = output.data();
  body.size = output.size();
  body.more = true;
  beast::error_code failure;
  step.consumed = parser.put(boost::asio::buffer(input.data(), input.size()), failure);
  step.produced = output.size() - body.size;
  step.done = parser.is_done();
  step.malformed =
      failure && failure != beast::http::error::need_buffer && failure != beast::http::error::need_more;
  return step;
}

}  // namespace stele::http
