#include "base/strict_json.hpp"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/printable.hpp"

namespace stele {
namespace {

struct Refused {
  std::string why;
};

}  // namespace

Result<nlohmann::json> parse_strict_json(std::string_view text, std::string_view what) {
  using Event = nlohmann::json::parse_event_t;
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, Event event, nlohmann::json& value) {
    switch (event) {
      case Event::object_start:
        keys.emplace_back();
        [[fallthrough]];
      case Event::array_start:
        if (depth >= max_json_depth)
          throw Refused{"is nested deeper than " + std::to_string(max_json_depth) + " levels"};
        break;
      case Event::object_end:
        keys.pop_back();
        break;
      case Event::key:
        if (!keys.back().insert(value.get<std::string>()).second) {
          throw Refused{"has the key " + in_quotes(value.get<std::string>()) + " twice in one object"};
        }
        break;
      default:
        break;
    }
    return true;
  };
  // The parser would skip it; most clients do not.
  if (text.starts_with("\xef\xbb\xbf"))
    return Error(Errc::manifest_invalid, std::string(what) + " begins with a byte order mark");
  try {
    return nlohmann::json::parse(text.begin(), text.end(), check);
  } catch (const Refused& refused) {
    return Error(Errc::manifest_invalid, std::string(what) + " " + refused.why);
  } catch (const nlohmann::json::exception& e) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …": the identifier says nothing to
    // the reader.
    const std::string_view full = e.what();
    const std::size_t end = full.find("] ");
    return Error(Errc::manifest_invalid,
                 std::string(what) + " is not valid JSON: " +
                     printable(end == std::string_view::npos ? full : full.substr(end + 2), 300));
  }
}

std::string text_of(const nlohmann::json& object, std::string_view name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace stele
