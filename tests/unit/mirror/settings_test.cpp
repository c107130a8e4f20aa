// The section `mirrors` of the configuration.

#include "mirror/settings.hpp"

#include "tests/support/catch.hpp"

namespace stele::mirror {
namespace {

// What was read, or the complaints.
std::vector<Settings> read(std::string_view text, std::string& complaints) {
  ConfigProblems problems;
  config::YamlNode root;
  REQUIRE(config::parse_yaml(text, "s.yaml", root, problems));
  std::vector<Settings> settings;
  CHECK(read_settings(root, "s.yaml", settings, problems) == problems.empty());
  complaints = problems.to_string();
  return settings;
}

TEST_CASE("mirror settings: an entry is read, and what it leaves out has its default") {
  std::string complaints;
  const auto all = read(
      "- {name: Index.docker.io, upstreams: [\"https://registry-1.docker.io\"], tag_ttl: 1h, tags: pin,\n"
      "   token_realm: auth.example, username: u, password_env: P, allow: [\"**\"], default: on}\n",
      complaints);
  CHECK(complaints.empty());
  REQUIRE(all.size() == 1);
  CHECK(all[0].name == "docker.io");
  CHECK(all[0].prefix == "docker.io");
  CHECK(all[0].tag_ttl == std::chrono::hours(1));
  CHECK(all[0].missing_ttl == std::chrono::seconds(45));
  CHECK(all[0].tags == Settings::Tags::pin);
  CHECK(all[0].token_realm == "auth.example");
  CHECK(all[0].is_default);
}

TEST_CASE("mirror settings: tags have times of their own, in the order in which they are written") {
  std::string complaints;
  const auto all =
      read("- {name: a, upstreams: [\"https://a\"], tag_ttl: {\"@semver\": never, \"v*\": 1h, \"*\": 90s}}\n",
           complaints);
  CHECK(complaints.empty());
  REQUIRE(all.size() == 1);
  REQUIRE(all[0].tag_ttls.size() == 2);
  CHECK(all[0].tag_ttls[0] == Settings::TagTtl{"@semver", std::nullopt});
  CHECK(all[0].tag_ttls[1] == Settings::TagTtl{"v*", std::chrono::hours(1)});
  CHECK(all[0].tag_ttl == std::chrono::seconds(90));
}

TEST_CASE("mirror settings: what is printed is read back unchanged") {
  const auto* const text = GENERATE(
      "[]", "- {name: a.example, upstreams: [\"https://a.example\"]}",
      "- {name: a, prefix: b/c, upstreams: [\"https://a:5000\", \"http://[::1]:5001\"], default: on,\n"
      "   allow: [\"library/**\", \"a: b\"], deny: [\"x#y\"], tag_ttl: 90s, missing_ttl: 1h, tags: pin,\n"
      "   username: \"u: v\", password_file: /run/p, token_realm: \"auth:1\", ca: ca.pem, proxy: none,\n"
      "   redirect_allow: [cdn.example], wait: 10s, evict_after: 30d, max_size: 200GiB,\n"
      "   max_rate: 20MiB, max_fetches: 8}\n"
      "- {name: d.example, upstreams: [\"https://d\"], username: u, password_env: P, allow: [a],\n"
      "   quarantine: 7d, tag_ttl: {\"@semver\": never, \"a: {b,c}*\": 1h, \"*\": 90s}}\n"
      "- {name: h.example, upstreams: [\"https://h\"], credential_helper: pass, allow: [a]}\n"
      "- {name: c.example, upstreams: [\"https://c\"], cloud_login: ecr, allow: [a]}\n"
      "- {name: g.example, upstreams: [\"https://g\"], cloud_login: google, cloud_key_file: /k.json, allow: "
      "[a]}\n"
      "- {name: e.example, upstreams: [\"https://e\"], tag_ttl: {\"v*\": 2d}}");
  std::string complaints;
  const auto once = read(text, complaints);
  CHECK(complaints.empty());
  CHECK(read(print_settings(once), complaints) == once);
  CHECK(complaints.empty());
}

TEST_CASE("mirror settings: what is wrong is refused where it stands, and nothing is taken over") {
  const auto [text, said] = GENERATE(table<const char*, const char*>({
      {"{name: a}", "must be a list"},
      {"- {upstreams: [\"https://a\"]}", "lacks name"},
      {"- {name: a.example}", "lacks upstreams"},
      {"- {name: a, upstreams: [\"https://u:p@a\"]}", "is no upstream"},
      {"- {name: a, upstreams: [\"https://a/path\"]}", "is no upstream"},
      {"- {name: a, upstreams: [\"https://a\"], tag_tll: 1h}", "did you mean \"tag_ttl\""},
      {"- {name: a, upstreams: [\"https://a\"], tag_ttl: 0s}", "must be a duration"},
      {"- {name: a, upstreams: [\"https://a\"], wait: 1h}", "0s to 5m"},
      {"- {name: a, upstreams: [\"https://a\"], tag_ttl: never}", "must be a duration"},
      {"- {name: a, upstreams: [\"https://a\"], tag_ttl: {}}", "\"@semver\": never"},
      {"- {name: a, upstreams: [\"https://a\"], tag_ttl: {\"*\": never}}", "tags: pin keeps them all"},
      {"- {name: a, upstreams: [\"https://a\"], tag_ttl: {\"*\": 5m, v1: 1h}}", "must come last"},
      {"- {name: a, upstreams: [\"https://a\"], tag_ttl: {v1: soon}}", "must say never for \"v1\""},
      {"- {name: a, upstreams: [\"https://a\"], tag_ttl: {\"@nothing\": 1h}}", "@nothing"},
      {"- {name: a, upstreams: [\"https://a\"], quarantine: 0s}", "must be a duration"},
      {"- {name: a, upstreams: [\"https://a\"], quarantine: 7d, tags: pin}", "keep one of the two"},
      {"- {name: a, upstreams: [\"https://a\"], tags: stay}", "follow, pin"},
      {"- {name: a, upstreams: [\"https://a\"], username: u}", "name its password"},
      {"- {name: a, upstreams: [\"https://a\"], password_env: P}", "without username"},
      {"- {name: a, upstreams: [\"https://a\"], username: u, password_env: P}", "credentials without allow"},
      {"- {name: a, upstreams: [\"https://a\"]}\n- {name: b, prefix: a/b, upstreams: [\"https://b\"]}",
       "below the same name"},
      {"- {name: a, upstreams: [\"https://a\"], default: on}\n- {name: b, default: on, upstreams: "
       "[\"https://b\"]}",
       "are both default"},
  }));
  std::string complaints;
  CAPTURE(text);
  CHECK(read(text, complaints).empty());
  CAPTURE(complaints);
  CHECK(complaints.find(said) != std::string::npos);
}

TEST_CASE("mirror settings: one way to log in, for one upstream") {
  const auto* const entry = GENERATE("username: u, password_env: P, credential_helper: pass",
                                     "credential_helper: pass, cloud_login: ecr", "cloud_key_file: /k.json",
                                     "cloud_login: ecr, cloud_key_file: /k.json", "cloud_login: azure",
                                     "credential_helper: ../pass", "credential_helper: \"a b\"");
  std::string complaints;
  read("- {name: a, upstreams: [\"https://a\"], allow: [x], " + std::string(entry) + "}\n", complaints);
  CAPTURE(entry);
  CHECK(!complaints.empty());
  read("- {name: a, upstreams: [\"https://a\", \"https://b\"], allow: [x], cloud_login: ecr}\n", complaints);
  CHECK(complaints.find("one upstream") != std::string::npos);
  read("- {name: a, upstreams: [\"https://a\"], cloud_login: ecr}\n", complaints);
  CHECK(complaints.find("allow") != std::string::npos);
}

}  // namespace
}  // namespace stele::mirror
