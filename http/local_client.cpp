#include "http/local_client.hpp"

#include <curl/curl.h>

#include <memory>

namespace stele::http {
namespace {

struct Transfer {
  CURL* handle;
  LocalAnswer answer;
  const std::function<bool(std::string_view)>& sink;
};

std::size_t take(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view piece(data, size * count);
  long status = 0;
  curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
  if (status == 200 && transfer.sink) return transfer.sink(piece) ? piece.size() : 0;
  transfer.answer.body.append(piece);
  return piece.size();
}

}  // namespace

Result<LocalAnswer> request_local(const std::string& socket_path, std::string_view method,
                                  const std::string& target,
                                  const std::function<bool(std::string_view)>& sink) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) return Error(Errc::internal, "libcurl cannot be set up");
  Transfer transfer{handle.get(), {}, sink};
  const std::string url = "http://stele" + target;
  const std::string verb(method);
  curl_easy_setopt(handle.get(), CURLOPT_UNIX_SOCKET_PATH, socket_path.c_str());
  curl_easy_setopt(handle.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle.get(), CURLOPT_CUSTOMREQUEST, verb.c_str());
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle.get(), CURLOPT_CONNECTTIMEOUT, 5L);
  const CURLcode code = curl_easy_perform(handle.get());
  if (code == CURLE_COULDNT_CONNECT) {
    return Error(Errc::unavailable,
                 "no stele answers on " + socket_path + "; is it running with this data directory (--data)?");
  }
  if (code != CURLE_OK) {
    return Error(Errc::unavailable,
                 std::string("the request over ") + socket_path + " failed: " + curl_easy_strerror(code));
  }
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  transfer.answer.status = static_cast<int>(status);
  return std::move(transfer.answer);
}

}  // namespace stele::http
