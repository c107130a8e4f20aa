#include "gc/lifecycle/approved_items.hpp"

#include <nlohmann/json.hpp>

namespace stele::gc {
namespace {

using nlohmann::json;

json parsed_items(const std::string& text) {
  return json::parse(text, nullptr, false);
}

}  // namespace

std::string write_items(const JudgedRepository& judged, Timestamp made_at) {
  json items = json::array();
  for (const policy::PlanItem& item : judged.judgement.items) {
    if (item.verdict != policy::Verdict::expire) continue;
    const PlannedItem planned = item_of(judged, item);
    items.push_back(json::array({planned.tag, planned.digest}));
  }
  // As a plan has it: what goes with its last tag stands there by itself, too.
  for (const policy::Removal& removal : judged.judgement.removals) {
    const policy::PlanItem& item = judged.judgement.items[static_cast<std::size_t>(removal.item)];
    if (item.tag != policy::no_row)
      items.push_back(json::array({"", judged.view.digests.text(removal.manifest)}));
  }
  return json{{"made_at", made_at.microseconds},
              {"manifests", judged.judgement.manifests},
              {"expiring", judged.judgement.manifests_expiring},
              {"items", std::move(items)}}
      .dump();
}

Result<WaitingItems> read_items(const std::string& text) {
  const json document = parsed_items(text);
  WaitingItems waiting;
  Error damaged(Errc::corrupt,
                "what a lifecycle run asked about cannot be read from the catalog; dismiss it");
  if (!document.is_object() || !document.contains("items") || !document["items"].is_array()) return damaged;
  for (const json& item : document["items"]) {
    if (!item.is_array() || item.size() != 2 || !item[0].is_string() || !item[1].is_string()) return damaged;
    waiting.items.emplace(item[0].get<std::string>(), item[1].get<std::string>());
  }
  if (const auto made_at = document.find("made_at"); made_at != document.end()) {
    if (!made_at->is_number_integer()) return damaged;
    waiting.made_at = Timestamp{made_at->get<std::int64_t>()};
  }
  return waiting;
}

WaitingCounts counts_of(const std::string& text) {
  const json document = parsed_items(text);
  if (!document.is_object()) return {};
  const auto number = [&](const char* member) {
    const auto found = document.find(member);
    return found != document.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
  };
  return {number("manifests"), number("expiring")};
}

}  // namespace stele::gc
