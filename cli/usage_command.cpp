#include "cli/usage_command.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "cli/quantities.hpp"
#include "cli/server_link.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct UsageOptions {
  ServerLink link;
  std::string pattern;
};

std::int64_t number_of(const Json& row, const char* member) {
  return row.contains(member) && row[member].is_number_integer() ? row[member].get<std::int64_t>() : -1;
}

// How much of its quota a repository has used: "93%"; nothing without one.
std::string share_text(const Json& row) {
  const std::int64_t quota = number_of(row, "quota_bytes");
  if (quota <= 0) return "-";
  const double share =
      100.0 * static_cast<double>(number_of(row, "logical_bytes")) / static_cast<double>(quota);
  char text[32];
  std::snprintf(text, sizeof text, "%.0f%%", share);
  return text;
}

bool any_has(const std::vector<Json>& rows, const char* member) {
  return std::any_of(rows.begin(), rows.end(), [&](const Json& row) { return number_of(row, member) >= 0; });
}

void show(const UsageOptions& options, int& exit_status) {
  std::string path = "/api/v1/usage?would_free=1";
  if (!options.pattern.empty()) path += "&repository=" + http::percent_encode(options.pattern);
  auto answer = all_pages(options.link, path, "repositories", "after", exit_status);
  if (!answer) return;
  Json& all = (*answer)["repositories"];
  // Where a clean-up gains most comes first.
  std::vector<Json> sorted(all.begin(), all.end());
  std::sort(sorted.begin(), sorted.end(), [](const Json& a, const Json& b) {
    const auto key = [](const Json& row) {
      return std::tuple(-number_of(row, "would_free_bytes"), -number_of(row, "unique_bytes"),
                        text_of(row, "repository"));
    };
    return key(a) < key(b);
  });
  all = sorted;
  if (options.link.json) {
    std::cout << answer->dump(2) << '\n';
    return;
  }
  const bool judged = any_has(sorted, "would_free_bytes"), limited = any_has(sorted, "quota_bytes");
  std::vector<std::string> head{"REPOSITORY", "MANIFESTS", "LOGICAL", "UNIQUE", "SHARED", "TRASH"};
  if (limited) head.insert(head.end(), {"QUOTA", "USED"});
  if (judged) head.emplace_back("WOULD FREE");
  std::vector<std::vector<std::string>> rows;
  for (const Json& row : sorted) {
    std::vector<std::string> cells{text_of(row, "repository"),
                                   row["manifests"].dump(),
                                   size_text(number_of(row, "logical_bytes")),
                                   size_text(number_of(row, "unique_bytes")),
                                   size_text(number_of(row, "shared_bytes")),
                                   row["trash_manifests"].dump()};
    if (limited) cells.insert(cells.end(), {size_text(number_of(row, "quota_bytes")), share_text(row)});
    if (judged) cells.push_back(size_text(number_of(row, "would_free_bytes")));
    rows.push_back(std::move(cells));
  }
  print_table(head, rows);
}

}  // namespace

void add_usage_command(CLI::App& app, int& exit_status) {
  const auto options = std::make_shared<UsageOptions>();
  CLI::App* const usage =
      app.add_subcommand("usage", "What repositories hold, and what a clean-up would free");
  usage->add_option("pattern", options->pattern, "As in policy rules: \"ci/**\"; without: all");
  options->link.add_options(*usage);
  usage->callback([options, &exit_status] { show(*options, exit_status); });
}

}  // namespace stele
