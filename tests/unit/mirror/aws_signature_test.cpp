// Against the signatures that Amazon documents: its Signature Version 4 test suite, and the example of
// "Create a signed AWS API request".

#include "mirror/aws_signature.hpp"

#include "tests/support/catch.hpp"

namespace stele::mirror {
namespace {

const AwsKeys keys{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
const std::string scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/";

AwsRequest vanilla(const std::string& method) {
  AwsRequest request;
  request.method = method;
  request.path = "/";
  request.time = "20150830T123600Z";
  request.region = "us-east-1";
  request.service = "service";
  request.fields = {{"host", "example.amazonaws.com"}, {"x-amz-date", request.time}};
  return request;
}

TEST_CASE("AWS signature: the documented requests have the documented signatures") {
  CHECK(aws_authorization(vanilla("GET"), keys) ==
        scope +
            "service/aws4_request, SignedHeaders=host;x-amz-date, "
            "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
  CHECK(aws_authorization(vanilla("POST"), keys) ==
        scope +
            "service/aws4_request, SignedHeaders=host;x-amz-date, "
            "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
  AwsRequest form = vanilla("POST");
  form.body = "Param1=value1";
  form.fields.insert(form.fields.begin(), {"content-type", "application/x-www-form-urlencoded"});
  CHECK(aws_authorization(form, keys) ==
        scope +
            "service/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
            "Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
  AwsRequest users = vanilla("GET");
  users.service = "iam";
  users.query = "Action=ListUsers&Version=2010-05-08";
  users.fields = {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"},
                  {"host", "iam.amazonaws.com"},
                  {"x-amz-date", users.time}};
  CHECK(aws_authorization(users, keys) ==
        scope +
            "iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
            "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

TEST_CASE("AWS signature: another body, time, region, key or field is another signature") {
  const std::string before = aws_authorization(vanilla("POST"), keys);
  AwsRequest other = vanilla("POST");
  other.body = "x";
  CHECK(aws_authorization(other, keys) != before);
  other = vanilla("POST");
  other.region = "us-east-2";
  CHECK(aws_authorization(other, keys) != before);
  other = vanilla("POST");
  other.fields.emplace_back("x-amz-security-token", "token");
  CHECK(aws_authorization(other, keys) != before);
  CHECK(aws_authorization(vanilla("POST"), AwsKeys{"AKIDEXAMPLE", "other", ""}) != before);
}

}  // namespace
}  // namespace stele::mirror
