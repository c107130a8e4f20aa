#include "http/fetcher.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "http/address_kind.hpp"
#include "http/fetch_thread.hpp"

namespace stele::http {
namespace {

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Error refused_redirect(const Url& from, const Url& to, const std::string& why) {
  return Error(Errc::unavailable,
               from.origin() + " redirects to " + to.origin() + ", which is refused: " + why);
}

}  // namespace

Fetched::Fetched(std::shared_ptr<Transfer> transfer, Url url)
    : transfer_(std::move(transfer)), url_(std::move(url)) {}

int Fetched::status() const {
  return transfer_->status();
}

Fetched& Fetched::operator=(Fetched&& other) noexcept {
  if (this != &other) {
    abort();
    transfer_ = std::move(other.transfer_);
    url_ = std::move(other.url_);
  }
  return *this;
}

Fetched::~Fetched() {
  abort();
}

void Fetched::abort() {
  if (transfer_) transfer_->abort("it was ended from here");
}

std::string_view Fetched::header(std::string_view name) const {
  return transfer_->header(name);
}

std::vector<std::string_view> Fetched::headers(std::string_view name) const {
  return transfer_->headers(name);
}

std::optional<std::uint64_t> Fetched::content_length() const {
  const std::string_view text = header("Content-Length");
  std::uint64_t length = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), length);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return length;
}

Task<Result<std::size_t>> Fetched::read_some(ByteSpan out) {
  if (out.empty()) co_return std::size_t{0};
  for (;;) {
    std::optional<Pending<void>> waiting;
    if (auto got = transfer_->take(out, waiting)) co_return std::move(*got);
    co_await *waiting;
  }
}

Task<Result<std::string>> Fetched::read_all(std::uint64_t limit) {
  constexpr std::size_t step = 64 * 1024;
  std::string body;
  for (;;) {
    const std::size_t filled = body.size();
    body.resize(filled + step);
    const ByteSpan room = std::as_writable_bytes(std::span(body.data() + filled, step));
    auto got = co_await read_some(room);
    if (!got) co_return got.error();
    body.resize(filled + *got);
    if (*got == 0) co_return body;
    if (body.size() > limit) {
      abort();
      co_return Error(Errc::body_too_large,
                      url_.origin() + " sends more than the limit of " + std::to_string(limit) + " bytes");
    }
  }
}

struct Fetcher::Impl {
  FetchThread thread;
};

Fetcher::Fetcher() : impl_(std::make_unique<Impl>()) {}
Fetcher::~Fetcher() = default;

void Fetcher::abort_all() {
  impl_->thread.abort_all();
}

Task<Result<Fetched>> Fetcher::hop(const FetchRequest& request, const Url& url, bool own_origin) {
  const bool checked = request.may_connect && !(own_origin && request.trusted);
  if (checked && is_address_literal(url.host()) && !request.may_connect(url, url.host())) {
    co_return Error(Errc::unavailable, url.origin() + " is refused: it is " +
                                           std::string(describe(kind_of_address(url.host()))));
  }
  auto transfer = std::make_shared<Fetched::Transfer>(impl_->thread, request, url, own_origin, checked);
  impl_->thread.start(transfer);
  Fetched fetched(transfer, url);  // ends it, should this return early
  for (;;) {
    std::optional<Pending<void>> waiting;
    auto head = transfer->head(waiting);
    if (head && !*head) co_return head->error();
    if (head) break;
    co_await *waiting;
  }
  co_return std::move(fetched);
}

Task<Result<Fetched>> Fetcher::fetch(FetchRequest request) {
  Url url = request.url;
  for (unsigned hops = 0;; ++hops) {
    auto fetched = co_await hop(request, url, url.same_origin(request.url));
    if (!fetched || !request.may_follow || request.method == "POST" || request.method == "PUT" ||
        !is_redirect(fetched->status()))
      co_return fetched;
    const std::string location(fetched->header("Location"));
    if (location.empty()) co_return fetched;
    if (hops == request.limits.redirects) {
      co_return Error(Errc::unavailable, request.url.origin() + " redirects more than " +
                                             std::to_string(request.limits.redirects) + " times");
    }
    auto next = url.resolve(location);
    if (!next) {
      co_return Error(Errc::unavailable, url.origin() + " redirects to what is no http or https URL");
    }
    if (url.secure() && !next->secure())
      co_return refused_redirect(url, *next, "https is never left for http");
    if (auto may = request.may_follow(url, *next); !may)
      co_return refused_redirect(url, *next, may.error().message());
    url = std::move(*next);
  }
}

}  // namespace stele::http
