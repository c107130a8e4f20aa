#include "api/admin/json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/page_size.hpp"
#include "base/printable.hpp"
#include "base/strict_json.hpp"
#include "http/uri.hpp"

namespace stele::api {
namespace {

constexpr std::uint64_t largest_body = 64 * 1024;
constexpr std::size_t longest_line = 500;

Error not_asked_so(std::string message) {
  return Error(Errc::parameter_invalid, std::move(message));
}

std::string listed(std::span<const std::string_view> members) {
  std::string text;
  for (const std::string_view member : members) text += (text.empty() ? "" : ", ") + std::string(member);
  return text;
}

}  // namespace

Json time_or_null(const std::optional<Timestamp>& time) {
  if (!time) return nullptr;
  return to_string(*time);
}

http::Response json_response(const Json& body, int status) {
  http::Response response(status);
  response.body(body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", "application/json");
  return response;
}

Task<Result<nlohmann::json>> read_json(http::Exchange& http, std::span<const std::string_view> known) {
  const auto body = co_await http.read_body(largest_body);
  if (!body) co_return body.error();
  if (body->empty()) co_return nlohmann::json::object();
  auto parsed = parse_strict_json(*body, "the request's body");
  if (!parsed) co_return not_asked_so(parsed.error().message());
  if (!parsed->is_object()) co_return not_asked_so("the request's body must be a JSON object");
  for (const auto& item : parsed->items()) {
    if (std::find(known.begin(), known.end(), item.key()) == known.end()) {
      co_return not_asked_so("the request's body has a member " + in_quotes(item.key()) +
                             " that is not known here; known are " + listed(known));
    }
  }
  co_return parsed;
}

Result<std::string> text_member(const nlohmann::json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || member->is_null()) return std::string();
  if (!member->is_string()) return not_asked_so(std::string(name) + " must be a text");
  return member->get<std::string>();
}

Result<std::string> line_member(const nlohmann::json& object, const char* name) {
  auto text = text_member(object, name);
  if (!text) return text;
  if (text->size() > longest_line)
    return not_asked_so(std::string(name) + " may have at most " + std::to_string(longest_line) + " bytes");
  if (!is_printable_line(*text))
    return not_asked_so(std::string(name) + " must be one line of text, without control characters");
  return text;
}

Result<std::string> required_line(const nlohmann::json& object, const char* name) {
  auto text = line_member(object, name);
  if (text && text->empty()) return not_asked_so(std::string(name) + " is missing");
  return text;
}

Task<Result<std::string>> read_reason(http::Exchange& http) {
  static constexpr std::string_view members[] = {"reason"};
  const auto body = co_await read_json(http, members);
  if (!body) co_return body.error();
  co_return line_member(*body, "reason");
}

Result<std::int64_t> page_size(std::string_view query, std::int64_t most) {
  const http::QueryParameters parameters(query);
  const auto wanted = entries_asked(parameters, most);
  if (!wanted || (*wanted && **wanted < 1)) return not_asked_so("n= must be a number of 1 or more");
  return wanted->value_or(most);
}

Json optional_text(const std::optional<Digest>& digest) {
  if (!digest) return nullptr;
  return digest->str();
}

Json text_or_null(std::string_view text) {
  if (text.empty()) return nullptr;
  return text;
}

Json lock_json(const catalog::LockRow& lock) {
  return Json{{"repository", lock.repository.str()},
              {"tag", lock.tag.str()},
              {"digest", lock.digest.str()},
              {"mode", lock.mode},
              {"until", to_string(lock.until)},
              {"rule", lock.rule},
              {"stamped_at", to_string(lock.stamped_at)},
              {"stamped_by", lock.stamped_by}};
}

Json hold_json(const catalog::HoldRow& hold) {
  Json body{{"id", hold.id},
            {"name", hold.name},
            {"case", hold.case_number},
            {"reason", hold.reason},
            {"repository", hold.repository.str()},
            {"tag", nullptr},
            {"digest", optional_text(hold.digest)},
            {"set_at", to_string(hold.set_at)},
            {"set_by", hold.set_by},
            {"released_at", nullptr},
            {"released_by", text_or_null(hold.released_by)},
            {"release_reason", text_or_null(hold.release_reason)}};
  if (hold.tag) body["tag"] = hold.tag->str();
  if (hold.released_at) body["released_at"] = to_string(*hold.released_at);
  return body;
}

Json usage_json(const catalog::Usage& usage) {
  return Json{{"manifests", usage.manifests},
              {"manifest_bytes", usage.manifest_bytes},
              {"blobs", usage.blobs},
              {"blob_bytes", usage.blob_bytes},
              {"logical_bytes", usage.logical_bytes()},
              {"unique_bytes", usage.unique_bytes()},
              {"shared_bytes", usage.shared_bytes},
              {"trash_manifests", usage.trash_manifests},
              {"trash_bytes", usage.trash_bytes}};
}

}  // namespace stele::api
