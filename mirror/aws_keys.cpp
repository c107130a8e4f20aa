#include "mirror/aws_keys.hpp"

#include <nlohmann/json.hpp>

#include "http/uri.hpp"

namespace stele::mirror {
namespace {

Error no_keys(const std::string& whose) {
  return Error(Errc::unavailable, whose + " answers with what are no credentials");
}

// As containers and instances get them.
Result<AwsKeys> keys_of_json(const std::string& text, const std::string& whose) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  AwsKeys keys{text_member(json, "AccessKeyId"), text_member(json, "SecretAccessKey"),
               text_member(json, "Token")};
  if (keys.id.empty() || keys.secret.empty()) return no_keys(whose);
  return keys;
}

// <name>value</name>; STS answers in XML, and these values hold nothing that is escaped in it.
std::string element(const std::string& xml, const std::string& name) {
  const std::size_t begin = xml.find("<" + name + ">");
  const std::size_t end = xml.find("</" + name + ">");
  if (begin == std::string::npos || end == std::string::npos || end < begin) return {};
  return xml.substr(begin + name.size() + 2, end - begin - name.size() - 2);
}

Task<Result<AwsKeys>> of_web_identity(http::Fetcher& fetcher, const Settings& settings, std::string region) {
  const auto token = read_secret_file(from_environment("AWS_WEB_IDENTITY_TOKEN_FILE"), "the web identity");
  if (!token) co_return token.error();
  std::string session = from_environment("AWS_ROLE_SESSION_NAME");
  if (session.empty()) session = "stele";
  std::string endpoint = from_environment("AWS_ENDPOINT_URL_STS");
  if (endpoint.empty()) endpoint = "https://sts." + region + ".amazonaws.com";
  auto request = cloud_request(settings, endpoint);
  if (!request) co_return request.error();
  request->method = "POST";
  request->fields.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  request->body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=" +
                  http::percent_encode(from_environment("AWS_ROLE_ARN")) +
                  "&RoleSessionName=" + http::percent_encode(session) +
                  "&WebIdentityToken=" + http::percent_encode(*token);
  const auto xml =
      co_await cloud_answer(fetcher, std::move(*request), "AWS gives no role for the web identity");
  if (!xml) co_return xml.error();
  AwsKeys keys{element(*xml, "AccessKeyId"), element(*xml, "SecretAccessKey"), element(*xml, "SessionToken")};
  if (keys.id.empty() || keys.secret.empty() || keys.session_token.empty())
    co_return no_keys("AWS' token service");
  co_return std::move(keys);
}

Task<Result<AwsKeys>> of_container(http::Fetcher& fetcher) {
  std::string url = from_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (url.empty()) url = "http://169.254.170.2" + from_environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  auto request = metadata_request(url);
  if (!request) co_return request.error();
  std::string token = from_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  const std::string file = from_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  if (!file.empty()) {
    auto read = read_secret_file(file, "the container's authorization token");
    if (!read) co_return read.error();
    token = std::move(*read);
  }
  request->authorization = std::move(token);
  const auto text =
      co_await cloud_answer(fetcher, std::move(*request), "the container has no AWS credentials");
  if (!text) co_return text.error();
  co_return keys_of_json(*text, "the container's credentials endpoint");
}

// IMDSv2: a token first, which a request that somebody else chose the target of cannot get.
Task<Result<AwsKeys>> of_instance(http::Fetcher& fetcher) {
  const std::string what =
      "there are no AWS credentials: none in the environment, and the instance has no role";
  std::string base = from_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (base.empty()) base = "http://169.254.169.254";
  while (base.ends_with('/')) base.pop_back();
  auto request = metadata_request(base + "/latest/api/token");
  if (!request) co_return request.error();
  request->method = "PUT";
  request->fields.emplace_back("X-aws-ec2-metadata-token-ttl-seconds", "60");
  const auto token = co_await cloud_answer(fetcher, std::move(*request), what);
  if (!token) co_return token.error();
  const std::string path = base + "/latest/meta-data/iam/security-credentials/";
  request = metadata_request(path);
  if (!request) co_return request.error();
  request->fields.emplace_back("X-aws-ec2-metadata-token", *token);
  const auto roles = co_await cloud_answer(fetcher, std::move(*request), what);
  if (!roles) co_return roles.error();
  request = metadata_request(path + http::percent_encode(roles->substr(0, roles->find('\n'))));
  if (!request) co_return request.error();
  request->fields.emplace_back("X-aws-ec2-metadata-token", *token);
  const auto text = co_await cloud_answer(fetcher, std::move(*request), what);
  if (!text) co_return text.error();
  co_return keys_of_json(*text, "the instance's metadata service");
}

}  // namespace

Task<Result<AwsKeys>> aws_keys(http::Fetcher& fetcher, const Settings& settings, std::string region) {
  AwsKeys keys{from_environment("AWS_ACCESS_KEY_ID"), from_environment("AWS_SECRET_ACCESS_KEY"),
               from_environment("AWS_SESSION_TOKEN")};
  if (!keys.id.empty() && !keys.secret.empty()) co_return std::move(keys);
  if (!from_environment("AWS_WEB_IDENTITY_TOKEN_FILE").empty())
    co_return co_await of_web_identity(fetcher, settings, std::move(region));
  if (!from_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI").empty() ||
      !from_environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").empty())
    co_return co_await of_container(fetcher);
  co_return co_await of_instance(fetcher);
}

}  // namespace stele::mirror
