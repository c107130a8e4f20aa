#pragma once
// Internal to mirror/: requests to whoever gives logins. Each goes where the operator, or the cloud's own
// documentation, says, and nowhere else: no redirect is followed.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "http/fetcher.hpp"
#include "mirror/settings.hpp"

namespace stele::mirror {

// The variable's value; empty when there is none.
std::string from_environment(const char* name);

// The file without the white space at its end; at most 64 KiB. unavailable, naming `what`.
Result<std::string> read_secret_file(const std::string& path, const std::string& what);

// A request to a cloud's service, by the mirror's CA and proxy; one to the machine's own metadata service
// goes through no proxy.
Result<http::FetchRequest> cloud_request(const Settings& settings, const std::string& url);
Result<http::FetchRequest> metadata_request(const std::string& url);

// The body of a 200. unavailable: no answer, or another status; the message is about `what`.
Task<Result<std::string>> cloud_answer(http::Fetcher& fetcher, http::FetchRequest request, std::string what);

// A member that is a text; empty where there is none.
std::string text_member(const nlohmann::json& object, const char* name);

}  // namespace stele::mirror
