#include "http/client.hpp"

#include <curl/curl.h>

#include <memory>

namespace stele::http {
namespace {

struct Transfer {
  CURL* handle;
  ClientAnswer answer;
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

Error failed(const ClientTarget& target, CURLcode code, const char* detail) {
  const bool local = !target.socket_path.empty();
  const std::string place = local ? target.socket_path : target.url;
  if (code == CURLE_COULDNT_CONNECT) {
    return Error(Errc::unavailable, "no stele answers on " + place + "; is it running" +
                                        (local ? " with this data directory (--data)?" : " there?"));
  }
  return Error(Errc::unavailable,
               "the request to " + place + " failed: " + (*detail ? detail : curl_easy_strerror(code)));
}

}  // namespace

Result<ClientAnswer> request(const ClientTarget& target, std::string_view method, std::string_view path,
                             const std::string& body, const std::function<bool(std::string_view)>& sink) {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) return Error(Errc::internal, "libcurl cannot be set up");
  Transfer transfer{handle.get(), {}, sink};
  char detail[CURL_ERROR_SIZE] = "";
  std::string base = target.socket_path.empty() ? target.url : "http://stele";
  while (base.ends_with('/')) base.pop_back();
  const std::string url = base + std::string(path);
  const std::string verb(method);
  curl_slist* fields = nullptr;
  // libcurl would wait for a 100 and send a type of its own.
  const char* const type =
      target.form ? "Content-Type: application/x-www-form-urlencoded" : "Content-Type: application/json";
  for (const char* field : {"Expect:", type}) fields = curl_slist_append(fields, field);
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> owner(fields, curl_slist_free_all);
  const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(handle.get(), option, value); };
  if (!target.socket_path.empty()) {
    set(CURLOPT_UNIX_SOCKET_PATH, target.socket_path.c_str());
    set(CURLOPT_NOPROXY, "*");  // the environment may name one, which knows nothing of this machine's sockets
  }
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_CUSTOMREQUEST, verb.c_str());
  if (!body.empty()) {
    set(CURLOPT_POSTFIELDS, body.c_str());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  }
  set(CURLOPT_HTTPHEADER, owner.get());
  if (!target.token.empty()) {
    set(CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    set(CURLOPT_XOAUTH2_BEARER, target.token.c_str());
  }
  if (!target.user.empty()) {
    set(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    set(CURLOPT_USERNAME, target.user.c_str());
    set(CURLOPT_PASSWORD, target.password.c_str());
  }
  if (!target.ca_file.empty()) set(CURLOPT_CAINFO, target.ca_file.c_str());
  set(CURLOPT_WRITEFUNCTION, take);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_ERRORBUFFER, &detail[0]);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT, 5L);
  const CURLcode code = curl_easy_perform(handle.get());
  if (code != CURLE_OK) return failed(target, code, detail);
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  transfer.answer.status = static_cast<int>(status);
  return std::move(transfer.answer);
}

}  // namespace stele::http
