#include "cli/why_command.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/server_link.hpp"
#include "http/uri.hpp"

namespace stele {
namespace {

using Json = nlohmann::ordered_json;

struct WhyOptions {
  ServerLink link;
  std::string name;
};

void say(const std::string& sentence) {
  std::cout << "  " << sentence << '\n';
}

// " by the rule x (reason)", as far as there is one.
std::string because(const Json& entry) {
  std::string text;
  if (const std::string rule = text_of(entry, "rule"); !rule.empty()) text += ", rule " + rule;
  if (entry.contains("run") && entry["run"].is_number_integer())
    text += ", run " + entry["run"].dump() + " (stele lifecycle runs " + entry["run"].dump() + ")";
  if (const std::string reason = text_of(entry, "reason"); !reason.empty()) text += ": " + reason;
  return text;
}

void say_tag(const Json& tag) {
  say("The tag " + text_of(tag, "tag") + " points to it, since " + text_of(tag, "pushed_at") + " by " +
      text_of(tag, "pushed_by") + ". Its rule is " + text_of(tag, "rule") + " (" +
      text_of(tag, "mutability") + "): people " + (text_of(tag, "delete") == "allow" ? "may" : "may not") +
      " delete it, lifecycle " + (text_of(tag, "lifecycle") == "allow" ? "may" : "may not") + " expire it.");
}

void say_pulls(const Json& content) {
  const std::string pulled = text_of(content, "pulled_at"), since = text_of(content, "pulls_known_since");
  if (!pulled.empty()) {
    say("It was pulled last at " + pulled + ".");
  } else if (since.empty()) {
    say("When it was pulled is not known: pulls are not being recorded.");
  } else {
    say("It was not pulled since " + since + ", when the record of pulls begins.");
  }
}

void say_manifest(const Json& content) {
  say("It was pushed first at " + text_of(content, "pushed_at") + " by " + text_of(content, "pushed_by") +
      ".");
  for (const Json& tag : content["tags"]) say_tag(tag);
  if (content["tags"].empty()) {
    const std::string since = text_of(content, "untagged_since");
    say("No tag points to it" + (since.empty() ? std::string() : ", since " + since) + ".");
  }
  for (const Json& index : content["named_by"]) say("The index " + index.get<std::string>() + " lists it.");
  if (const Json& subject = content["subject"]; !subject.is_null()) {
    say("It refers to " + text_of(subject, "digest") +
        (subject["present"] == true ? ", stays with it and goes with it." : ", which is not here."));
  }
  for (const Json& referrer : content["referrers"]) say(referrer.get<std::string>() + " refers to it.");
  say_pulls(content);
}

void say_content(const Json& content) {
  if (text_of(content, "kind") == "manifest") {
    say_manifest(content);
  } else {
    for (const Json& manifest : content["named_by"])
      say("The manifest " + manifest.get<std::string>() + " needs it.");
    if (content["named_by"].empty()) say("No manifest of the repository needs it.");
  }
  if (const std::string needs = text_of(content, "needed_by_trash"); !needs.empty())
    say("The manifest " + needs + " in the trash needs it.");
  for (const Json& protection : content["protections"])
    say("Protected (" + text_of(protection, "reason") + "): " + text_of(protection, "message") + ".");
  if (content["settling"] == true) {
    say("The server runs for less than a lease (gc.lease): until then nothing is removed.");
  } else if (content["leased"] == true) {
    say("Somebody looked at it or pushed it within a lease (gc.lease): until that ends it is not removed.");
  }
  if (const Json& verdict = content["verdict"]; !verdict.is_null())
    say("Lifecycle says " + text_of(verdict, "verdict") + because(verdict) + ".");
}

void say_whole(const Json& whole) {
  say("It has " + whole["manifests"].dump() + " manifests and " + whole["blobs"].dump() + " blobs, " +
      whole["logical_bytes"].dump() + " bytes, " + whole["unique_bytes"].dump() + " of them its own; " +
      whole["trash_manifests"].dump() + " manifests are in the trash.");
  if (const Json& lock = whole["lock"]; !lock.is_null()) {
    say("Locked: " + text_of(lock, "digest") + " until " + text_of(lock, "until") + " (" +
        text_of(lock, "mode") + ", rule " + text_of(lock, "rule") + "), the longest lock.");
  }
  if (const Json& hold = whole["hold"]; !hold.is_null()) {
    say("Under the legal hold " + text_of(hold, "name") + " (case " + text_of(hold, "case") + "), set " +
        text_of(hold, "set_at") + " by " + text_of(hold, "set_by") + ".");
  }
  if (whole["in_use"] != 0) say("Clusters report " + whole["in_use"].dump() + " of its manifests in use.");
}

void say_past(const Json& why) {
  for (const Json& removal : why["removals"]) {
    say("The tag was removed at " + text_of(removal, "at") + " by " + text_of(removal, "by") + " (" +
        text_of(removal, "action") + because(removal) + "); it pointed to " + text_of(removal, "digest") +
        ".");
  }
  for (const Json& gone : why["departures"]) {
    const bool whole = text_of(gone, "action") == "repository.delete";
    say(std::string(whole ? "The repository" : "The manifest") + " was removed at " + text_of(gone, "at") +
        " by " + text_of(gone, "by") + " (" + text_of(gone, "action") + because(gone) + ")" +
        (gone["with_repository"] == true ? ", with its whole repository." : "."));
  }
  if (const Json& bound = why["name_bound_to"]; !bound.is_null()) {
    say("The name stays bound to " + text_of(bound, "digest") + " (" + text_of(bound, "mutability") +
        "): nothing else can get it.");
  }
  if (const Json& trash = why["trash"]; !trash.is_null()) {
    say("It is in the trash until " + text_of(trash, "erase_after") + "; " + text_of(trash, "restore") +
        " brings it back.");
  }
}

void ask(const WhyOptions& options, int& exit_status) {
  const auto [repository, reference] = split_name(options.name);
  std::string path = repository_path(repository) + "/why";
  if (!reference.empty())
    path += (options.name.find('@') != std::string::npos ? "?digest=" : "?tag=") +
            http::percent_encode(reference);
  const auto why = options.link.ask("GET", path, nullptr, exit_status);
  if (!why) return;
  if (options.link.json) {
    std::cout << why->dump(2) << '\n';
    return;
  }
  const bool present = text_of(*why, "state") == "present";
  const std::string digest = text_of(*why, "digest");
  const bool by_tag = !text_of(*why, "tag").empty();
  std::cout << options.name << (present ? " is here" : " is gone");
  if (by_tag && !digest.empty()) std::cout << (present ? ": " : "; it was ") << digest;
  std::cout << ".\n";
  if (const Json& whole = (*why)["whole"]; !whole.is_null()) say_whole(whole);
  if (const Json& content = (*why)["content"]; !content.is_null()) {
    if (!present) say("What it pointed to, " + digest + ", is still here.");
    say_content(content);
  }
  say_past(*why);
}

}  // namespace

void add_why_command(CLI::App& app, int& exit_status) {
  const auto options = std::make_shared<WhyOptions>();
  CLI::App* const why = app.add_subcommand("why", "Why something is still here, or how it went");
  why->add_option("name", options->name, "A repository, a tag or a digest: prod/app:1.4.2")
      ->type_name("NAME[:TAG|@DIGEST]")
      ->required();
  options->link.add_options(*why);
  why->callback([options, &exit_status] { ask(*options, exit_status); });
}

}  // namespace stele
