#include "mirror/cloud_request.hpp"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace stele::mirror {
namespace {

constexpr std::uint64_t longest_answer = 64 * 1024;
constexpr std::chrono::milliseconds connect_within(3'000);
constexpr std::chrono::milliseconds head_within(10'000);

}  // namespace

std::string from_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

Result<std::string> read_secret_file(const std::string& path, const std::string& what) {
  std::ifstream file(path, std::ios::binary);
  std::string text(longest_answer, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  if (text.empty()) return Error(Errc::unavailable, what + " cannot be read from " + path);
  return text;
}

Result<http::FetchRequest> cloud_request(const Settings& settings, const std::string& url) {
  auto target = http::Url::parse(url);
  if (!target) return Error(Errc::unavailable, target.error().message());
  http::FetchRequest request(std::move(*target));
  request.fields.emplace_back("User-Agent", "stele");
  request.ca_file = settings.ca;
  request.proxy = settings.proxy;
  request.limits.connect = connect_within;
  request.limits.head = head_within;
  return request;
}

Result<http::FetchRequest> metadata_request(const std::string& url) {
  auto request = cloud_request(Settings(), url);
  if (request) request->proxy = "none";
  return request;
}

Task<Result<std::string>> cloud_answer(http::Fetcher& fetcher, http::FetchRequest request, std::string what) {
  const std::string origin = request.url.origin();
  auto fetched = co_await fetcher.fetch(std::move(request));
  if (!fetched) co_return Error(Errc::unavailable, what + ": " + fetched.error().message());
  if (fetched->status() != 200) {
    co_return Error(Errc::unavailable,
                    what + ": " + origin + " answers " + std::to_string(fetched->status()));
  }
  auto text = co_await fetched->read_all(longest_answer);
  if (!text) co_return Error(Errc::unavailable, what + ": " + text.error().message());
  co_return text;
}

std::string text_member(const nlohmann::json& object, const char* name) {
  if (!object.is_object()) return {};
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace stele::mirror
