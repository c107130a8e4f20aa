#pragma once
// Amazon's Signature Version 4 of a request ("Signing AWS API requests" of their documentation). Pure. Ours
// and not libcurl's, which signs with a time of its own and so cannot be held against the documented
// examples.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stele::mirror {

struct AwsKeys {
  std::string id;
  std::string secret;
  std::string session_token;  // of keys that expire; empty: none
};

struct AwsRequest {
  std::string method;
  std::string path;   // percent-encoded
  std::string query;  // percent-encoded and in order
  // All that is sent and signed, host and x-amz-date among them: names in lower case, in their order.
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  std::string time;  // "20150830T123600Z", as in x-amz-date
  std::string region;
  std::string service;
};

// The value of Authorization.
std::string aws_authorization(const AwsRequest& request, const AwsKeys& keys);

}  // namespace stele::mirror
