#include "http/url.hpp"

#include <curl/curl.h>

#include <charconv>
#include <memory>

#include "base/printable.hpp"
#include "base/text.hpp"

namespace stele::http {
namespace {

constexpr std::size_t longest_url = 16 * 1024;

using Handle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, decltype(&curl_free)> owner(text, curl_free);
  return text;
}

Error invalid(std::string_view text, std::string_view why) {
  // Only as far as the path: what comes behind may be a signature.
  const std::string_view shown = text.substr(0, text.find_first_of("?#"));
  return Error(Errc::parameter_invalid, printable(shown, 200) + " is no usable URL: " + std::string(why));
}

}  // namespace

Result<Url> Url::from(void* parsed, std::string_view text) {
  auto* const handle = static_cast<CURLU*>(parsed);
  if (!part(handle, CURLUPART_USER).empty() || !part(handle, CURLUPART_PASSWORD).empty())
    return Error(Errc::parameter_invalid, "a URL here holds no user and no password");
  const std::string scheme = part(handle, CURLUPART_SCHEME);
  Url url;
  if (scheme != "http" && scheme != "https")
    return invalid(text, "it begins with neither http:// nor https://");
  url.secure_ = scheme == "https";
  url.host_ = lower_case(part(handle, CURLUPART_HOST));
  if (url.host_.starts_with('[')) url.host_ = url.host_.substr(1, url.host_.size() - 2);
  if (url.host_.empty()) return invalid(text, "it names no host");
  const std::string port = part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  const auto read = std::from_chars(port.data(), port.data() + port.size(), url.port_);
  if (read.ec != std::errc() || url.port_ == 0) return invalid(text, "its port is not between 1 and 65535");
  url.path_ = part(handle, CURLUPART_PATH);
  if (url.path_.empty()) url.path_ = "/";
  url.query_ = part(handle, CURLUPART_QUERY);
  for (const char c : url.path_ + url.query_) {
    if (c <= ' ' || c == '\x7f') return invalid(text, "it has a blank or a control character in it");
  }
  return url;
}

Result<Url> Url::parse(std::string_view text) {
  if (text.size() > longest_url) return invalid(text, "it is longer than 16 KiB");
  if (text.find("://") == std::string_view::npos) return invalid(text, "it has no scheme, such as https://");
  if (text.find('#') != std::string_view::npos) return invalid(text, "it has a fragment ('#')");
  const Handle handle(curl_url(), curl_url_cleanup);
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return invalid(text, "it has a control character in it");
  if (const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, terminated.c_str(), 0);
      code != CURLUE_OK)
    return invalid(text, curl_url_strerror(code));
  return from(handle.get(), text);
}

Result<Url> Url::resolve(std::string_view reference) const {
  if (reference.size() > longest_url) return invalid(reference, "it is longer than 16 KiB");
  const Handle handle(curl_url(), curl_url_cleanup);
  const std::string base = str();
  const std::string terminated(reference.substr(0, reference.find('#')));
  if (terminated.empty() || terminated.find('\0') != std::string::npos)
    return invalid(reference, "it is empty or has a control character in it");
  curl_url_set(handle.get(), CURLUPART_URL, base.c_str(), 0);
  if (const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, terminated.c_str(), 0);
      code != CURLUE_OK)
    return invalid(reference, curl_url_strerror(code));
  return from(handle.get(), reference);
}

std::string Url::origin() const {
  std::string text = secure_ ? "https://" : "http://";
  const bool v6 = host_.find(':') != std::string::npos;
  if (v6) text += '[';
  text += host_;
  if (v6) text += ']';
  if (port_ != (secure_ ? 443 : 80)) text += ":" + std::to_string(port_);
  return text;
}

std::string Url::str() const {
  std::string text = origin() + path_;
  if (!query_.empty()) text += "?" + query_;
  return text;
}

Url Url::at(std::string path, std::string query) const {
  Url other = *this;
  other.path_ = std::move(path);
  other.query_ = std::move(query);
  return other;
}

}  // namespace stele::http
