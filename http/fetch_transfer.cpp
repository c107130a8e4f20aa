#include "http/fetch_transfer.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/printable.hpp"
#include "http/address_kind.hpp"
#include "http/fetch_thread.hpp"
#include "http/message.hpp"

namespace stele::http {
namespace {

constexpr long receive_bytes = 256 * 1024;

std::string milliseconds_text(std::chrono::milliseconds time) {
  return std::to_string(time.count()) + " ms";
}

}  // namespace

struct Fetched::Transfer::Callbacks {
  static std::size_t header(char* data, std::size_t size, std::size_t count, void* user) {
    return static_cast<Transfer*>(user)->take_header(std::string_view(data, size * count));
  }
  static std::size_t body(char* data, std::size_t size, std::size_t count, void* user) {
    return static_cast<Transfer*>(user)->take_body(std::string_view(data, size * count));
  }
  static curl_socket_t open_socket(void* user, curlsocktype, curl_sockaddr* address) {
    auto& transfer = *static_cast<Transfer*>(user);
    char text[INET6_ADDRSTRLEN] = "";
    const void* const bytes =
        address->family == AF_INET6
            ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&address->addr)->sin6_addr)
            : static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(&address->addr)->sin_addr);
    if (!inet_ntop(address->family, bytes, text, sizeof text) ||
        !transfer.may_connect_(transfer.url_, text)) {
      transfer.refused_address_ = text;
      return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }
};

Fetched::Transfer::Transfer(FetchThread& thread, const FetchRequest& request, Url url, bool own_origin,
                            bool checked)
    : thread_(thread),
      method_(request.method),
      url_(std::move(url)),
      body_(request.body),
      ca_file_(request.ca_file),
      proxy_(request.proxy),
      may_connect_(checked ? request.may_connect : nullptr),
      limits_(request.limits) {
  for (const auto& [name, value] : request.fields) field_lines_.push_back(name + ": " + value);
  field_lines_.emplace_back("Accept-Encoding: identity");
  field_lines_.emplace_back("Expect:");
  if (own_origin && !request.authorization.empty())
    field_lines_.push_back("Authorization: " + request.authorization);
  if (request.from > 0) field_lines_.push_back("Range: bytes=" + std::to_string(request.from) + "-");
}

Fetched::Transfer::~Transfer() = default;

std::optional<Result<void>> Fetched::Transfer::head(std::optional<Pending<void>>& waiting) {
  const std::lock_guard lock(mutex_);
  if (head_done_) return Result<void>();
  if (ended_) return error_ ? *error_ : Error(Errc::unavailable, url_.origin() + " sent no HTTP response");
  waiting.emplace(waiter_.emplace().pending());
  return std::nullopt;
}

std::optional<Result<std::size_t>> Fetched::Transfer::take(ByteSpan out,
                                                           std::optional<Pending<void>>& waiting) {
  std::size_t got = 0;
  bool resume = false;
  {
    const std::lock_guard lock(mutex_);
    got = std::min(out.size(), buffer_.size() - read_);
    if (got == 0) {
      if (error_) return *error_;
      if (ended_) return std::size_t{0};
      waiting.emplace(waiter_.emplace().pending());
      return std::nullopt;
    }
    std::memcpy(out.data(), buffer_.data() + read_, got);
    read_ += got;
    if (read_ == buffer_.size()) {
      buffer_.clear();
      read_ = 0;
    }
    if (paused_ && buffer_.size() - read_ <= limits_.buffered / 2) {
      paused_ = false;
      resume = true;
    }
  }
  if (resume) thread_.go_on(shared_from_this());
  return got;
}

void Fetched::Transfer::abort(std::string_view why) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
  }
  thread_.abort(shared_from_this(), std::string(why));
}

std::string_view Fetched::Transfer::header(std::string_view name) const {
  for (const auto& [known, value] : fields_received_) {
    if (equals_ignoring_case(known, name)) return value;
  }
  return {};
}

std::vector<std::string_view> Fetched::Transfer::headers(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [known, value] : fields_received_) {
    if (equals_ignoring_case(known, name)) values.push_back(value);
  }
  return values;
}

void Fetched::Transfer::set_options() {
  const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(handle_, option, value); };
  curl_slist* fields = nullptr;
  for (const std::string& line : field_lines_) fields = curl_slist_append(fields, line.c_str());
  fields_ = fields;
  const std::string url = url_.str();
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_PATH_AS_IS, 1L);
  // One connection per transfer: a paused one must not hold up another.
  set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  if (method_ == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (method_ == "POST" || method_ == "PUT") {
    set(CURLOPT_POST, 1L);
    if (method_ == "PUT") set(CURLOPT_CUSTOMREQUEST, "PUT");
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_.size()));
    set(CURLOPT_POSTFIELDS, body_.c_str());
  }
  set(CURLOPT_HTTPHEADER, fields);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_HEADERFUNCTION, Callbacks::header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, Callbacks::body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_BUFFERSIZE, receive_bytes);
  detail_.assign(CURL_ERROR_SIZE, '\0');
  set(CURLOPT_ERRORBUFFER, detail_.data());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits_.connect.count()));
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  if (!ca_file_.empty()) set(CURLOPT_CAINFO, ca_file_.c_str());
  if (!proxy_.empty()) set(CURLOPT_PROXY, proxy_ == "none" ? "" : proxy_.c_str());
  if (may_connect_ && (proxy_ == "none" || proxy_.empty())) {
    set(CURLOPT_OPENSOCKETFUNCTION, Callbacks::open_socket);
    set(CURLOPT_OPENSOCKETDATA, this);
    // A connection that another request opened was checked by another rule, or by none.
    set(CURLOPT_FRESH_CONNECT, 1L);
  }
}

void Fetched::Transfer::begin(void* multi, Time now) {
  handle_ = curl_easy_init();
  began_ = window_began_ = now;
  if (!handle_) {
    finish(Error(Errc::internal, "libcurl cannot be set up"));
    return;
  }
  set_options();
  curl_multi_add_handle(multi, handle_);
}

void Fetched::Transfer::go_on(Time now) {
  window_began_ = now;
  window_bytes_ = 0;
  if (handle_) curl_easy_pause(handle_, CURLPAUSE_CONT);
}

std::size_t Fetched::Transfer::take_header(std::string_view line) {
  if (in_body_) return line.size();  // a trailer
  head_bytes_ += line.size();
  if (head_bytes_ > limits_.header_bytes) {
    head_problem_ =
        "the head of its response is larger than " + std::to_string(limits_.header_bytes) + " bytes";
    return 0;
  }
  if (line.starts_with("HTTP/")) {
    fields_received_.clear();
    return line.size();
  }
  std::string_view text = line;
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n')) text.remove_suffix(1);
  if (!text.empty()) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return line.size();
    std::string_view value = text.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    fields_received_.emplace_back(text.substr(0, colon), value);
    return line.size();
  }
  long status = 0;
  curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200) return line.size();  // 100 Continue: another head follows
  in_body_ = true;
  status_ = static_cast<int>(status);
  window_began_ = std::chrono::steady_clock::now();
  std::optional<Completion<void>> waiter;
  {
    const std::lock_guard lock(mutex_);
    head_done_ = true;
    waiter.swap(waiter_);
  }
  wake(std::move(waiter));
  return line.size();
}

std::size_t Fetched::Transfer::take_body(std::string_view piece) {
  std::optional<Completion<void>> waiter;
  {
    const std::lock_guard lock(mutex_);
    if (buffer_.size() - read_ >= limits_.buffered) {
      paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    if (read_ > 0) {
      buffer_.erase(0, read_);
      read_ = 0;
    }
    buffer_.append(piece);
    waiter.swap(waiter_);
  }
  window_bytes_ += piece.size();
  wake(std::move(waiter));
  return piece.size();
}

Fetched::Transfer::Time Fetched::Transfer::check(void* multi, Time now) {
  if (!limits_.until) return check_progress(multi, now);
  if (now < *limits_.until) return std::min(check_progress(multi, now), *limits_.until);
  fail(multi, Error(Errc::unavailable, url_.origin() + " was not done in the time that there was for it"));
  return now;
}

Fetched::Transfer::Time Fetched::Transfer::check_progress(void* multi, Time now) {
  if (!in_body_) {
    const Time deadline = began_ + limits_.head;
    if (now < deadline) return deadline;
    fail(multi, Error(Errc::unavailable,
                      url_.origin() + " did not answer within " + milliseconds_text(limits_.head)));
    return now;
  }
  const Time deadline = window_began_ + limits_.window;
  if (now < deadline) return deadline;
  bool paused = false;
  {
    const std::lock_guard lock(mutex_);
    paused = paused_ || buffer_.size() > read_;  // the reader is the slower one
  }
  if (!paused && window_bytes_ < limits_.window_bytes) {
    fail(multi, Error(Errc::unavailable, url_.origin() + " sent only " + std::to_string(window_bytes_) +
                                             " bytes within " + milliseconds_text(limits_.window)));
    return now;
  }
  window_began_ = now;
  window_bytes_ = 0;
  return now + limits_.window;
}

Error Fetched::Transfer::failure(int curl_code) const {
  const std::string origin = url_.origin();
  const std::string words = printable(
      detail_.front() ? detail_.c_str() : curl_easy_strerror(static_cast<CURLcode>(curl_code)), 300);
  if (!head_problem_.empty()) return Error(Errc::unavailable, origin + ": " + head_problem_);
  if (!refused_address_.empty()) {
    return Error(Errc::unavailable, origin + " is refused: " + refused_address_ + " is " +
                                        std::string(describe(kind_of_address(refused_address_))));
  }
  switch (curl_code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
      return Error(Errc::unavailable, origin + " cannot be reached: " + words);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
      return Error(Errc::unavailable, "TLS with " + origin + " fails: " + words);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
      return Error(Errc::unavailable, origin + " does not answer as an HTTP server: " + words);
    default:
      return Error(Errc::unavailable, "the transfer from " + origin + " broke off: " + words);
  }
}

void Fetched::Transfer::end(void* multi, int curl_code, Time) {
  std::optional<Error> error;
  if (curl_code != CURLE_OK) error = failure(curl_code);
  curl_multi_remove_handle(multi, handle_);
  finish(std::move(error));
}

void Fetched::Transfer::fail(void* multi, Error error) {
  if (handle_) curl_multi_remove_handle(multi, handle_);
  finish(std::move(error));
}

void Fetched::Transfer::finish(std::optional<Error> error) {
  if (handle_) curl_easy_cleanup(std::exchange(handle_, nullptr));
  if (fields_) curl_slist_free_all(static_cast<curl_slist*>(std::exchange(fields_, nullptr)));
  std::optional<Completion<void>> waiter;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
    error_ = std::move(error);
    waiter.swap(waiter_);
  }
  wake(std::move(waiter));
}

void Fetched::Transfer::wake(std::optional<Completion<void>> waiter) {
  if (waiter) waiter->set();
}

}  // namespace stele::http
