// Amazon's registry: a password for twelve hours, for which a signed request is made (GetAuthorizationToken).
#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "mirror/account.hpp"
#include "mirror/aws_keys.hpp"

namespace stele::mirror {
namespace {

constexpr std::chrono::seconds longest_ecr_life(12 * 3600);

// "eu-west-1" of 123456789012.dkr.ecr.eu-west-1.amazonaws.com.
std::string region_of(const std::string& host) {
  const std::string_view before = ".dkr.ecr";
  const std::size_t found = host.find(before);
  if (found != std::string::npos) {
    std::string_view rest = std::string_view(host).substr(found + before.size());
    if (rest.starts_with("-fips")) rest.remove_prefix(5);
    if (rest.starts_with('.')) return std::string(rest.substr(1, rest.find('.', 1) - 1));
  }
  std::string region = from_environment("AWS_REGION");
  return region.empty() ? from_environment("AWS_DEFAULT_REGION") : region;
}

std::string endpoint_of(const std::string& host, const std::string& region) {
  for (const char* name : {"AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL"}) {
    std::string written = from_environment(name);
    while (written.ends_with('/')) written.pop_back();
    if (!written.empty()) return written;
  }
  return "https://api.ecr." + region + (host.ends_with(".cn") ? ".amazonaws.com.cn" : ".amazonaws.com");
}

std::string time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::string text(16, '\0');
  std::strftime(text.data(), text.size() + 1, "%Y%m%dT%H%M%SZ", &parts);
  return text;
}

// As the request's own Host field says it.
std::string host_field(const http::Url& url) {
  const std::string origin = url.origin();
  return origin.substr(origin.find("://") + 3);
}

Result<Login> ecr_login_of(const std::string& text) {
  const auto wrong = [] {
    return Error(Errc::unavailable, "ECR answers the request for a token with what is none");
  };
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("authorizationData")) return wrong();
  const auto& list = json["authorizationData"];
  if (!list.is_array() || list.empty() || !list.front().is_object()) return wrong();
  // Base 64 of "AWS:password": what follows "Basic".
  const std::string token = text_member(list.front(), "authorizationToken");
  const bool clean =
      token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") ==
      std::string::npos;
  if (token.empty() || !clean) return wrong();
  Login login{"Basic " + token, longest_ecr_life};
  const auto expires = list.front().find("expiresAt");
  if (expires != list.front().end() && expires->is_number()) {
    const double left = expires->get<double>() - static_cast<double>(std::time(nullptr));
    login.life = std::chrono::seconds(
        static_cast<std::int64_t>(std::clamp(left, 1.0, static_cast<double>(longest_ecr_life.count()))));
  }
  return login;
}

class EcrLogin final : public LoginSource {
 public:
  EcrLogin(http::Fetcher& fetcher, const Settings& settings, std::string host)
      : fetcher_(fetcher), settings_(settings), host_(std::move(host)) {}

  Task<Result<Login>> login() override {
    const std::string region = region_of(host_);
    if (region.empty()) {
      co_return Error(Errc::unavailable, host_ + " does not say in which region it is: set AWS_REGION");
    }
    const auto keys = co_await aws_keys(fetcher_, settings_, region);
    if (!keys) co_return keys.error();
    auto request = cloud_request(settings_, endpoint_of(host_, region) + "/");
    if (!request) co_return request.error();
    AwsRequest signed_one;
    signed_one.method = request->method = "POST";
    signed_one.path = "/";
    signed_one.body = request->body = "{}";
    signed_one.time = time_now();
    signed_one.region = region;
    signed_one.service = "ecr";
    signed_one.fields = {{"content-type", "application/x-amz-json-1.1"},
                         {"host", host_field(request->url)},
                         {"x-amz-date", signed_one.time}};
    if (!keys->session_token.empty())
      signed_one.fields.emplace_back("x-amz-security-token", keys->session_token);
    signed_one.fields.emplace_back("x-amz-target",
                                   "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken");
    request->authorization = aws_authorization(signed_one, *keys);
    for (const auto& field : signed_one.fields) {
      if (field.first != "host") request->fields.push_back(field);
    }
    const auto text = co_await cloud_answer(fetcher_, std::move(*request), "ECR gives no token");
    if (!text) co_return text.error();
    co_return ecr_login_of(*text);
  }

 private:
  http::Fetcher& fetcher_;
  const Settings settings_;
  const std::string host_;
};

}  // namespace

std::unique_ptr<LoginSource> ecr_login(http::Fetcher& fetcher, const Settings& settings, std::string host) {
  return std::make_unique<EcrLogin>(fetcher, settings, std::move(host));
}

}  // namespace stele::mirror
