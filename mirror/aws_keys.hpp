#pragma once
// Internal to mirror/: the keys with which requests to Amazon are signed, from where its own tools take them.

#include "mirror/aws_signature.hpp"
#include "mirror/cloud_request.hpp"

namespace stele::mirror {

// The first of these that is set up: AWS_ACCESS_KEY_ID and its siblings; a web identity (EKS' IAM roles for
// service accounts); a container's credentials (ECS, EKS pod identity); the instance's role (IMDSv2). Asks
// anew each time: a login is good for hours. unavailable.
Task<Result<AwsKeys>> aws_keys(http::Fetcher& fetcher, const Settings& settings, std::string region);

}  // namespace stele::mirror
