#include "api/admin/route.hpp"

#include "tests/support/catch.hpp"

namespace stele::api {
namespace {

TEST_CASE("api: administration's paths are split before they are decoded") {
  struct Case {
    const char* path;
    AdminEndpoint endpoint;
    const char* name;
    const char* tag;
  };
  for (const Case& entry :
       {Case{"a", AdminEndpoint::repository, "a", ""},
        Case{"a%2Ftags%2Fb", AdminEndpoint::repository, "a/tags/b", ""},
        Case{"x%2flocks", AdminEndpoint::repository, "x/locks", ""},
        Case{"x%2Fpromote/promote", AdminEndpoint::promote, "x/promote", ""},
        Case{"x%2Ftags%2Fy/tags", AdminEndpoint::tags, "x/tags/y", ""},
        Case{"x%2Ftags%2Fy/tags/z", AdminEndpoint::tag, "x/tags/y", "z"},
        Case{"x%2Fwhy/tags/1.0/history", AdminEndpoint::tag_history, "x/why", "1.0"},
        Case{"a/b/tags/1%2E0", AdminEndpoint::tag, "a/b", "1.0"},
        Case{"a/tags/b", AdminEndpoint::tag, "a", "b"}, Case{"a/b", AdminEndpoint::repository, "a/b", ""}}) {
    INFO(entry.path);
    const auto route = parse_admin_route("/api/v1/repositories/" + std::string(entry.path));
    REQUIRE(route.has_value());
    CHECK(route->endpoint == entry.endpoint);
    CHECK((route->name ? route->name->str() : "") == entry.name);
    CHECK((route->tag ? route->tag->str() : "") == entry.tag);
  }
  for (const char* path :
       {"repositories/", "repositories/%zz", "repositories/a%00", "repositories/a/tags/b%2Fc",
        "policy%2Fexplain", "repositories%2Fa", "in-use/%ff"}) {
    INFO(path);
    CHECK_FALSE(parse_admin_route("/api/v1/" + std::string(path)).has_value());
  }
}

TEST_CASE("admin: a mirror is named in one segment") {
  const auto updates = parse_admin_route("/api/v1/mirrors/localhost%3A5000/updates");
  REQUIRE(updates.has_value());
  CHECK(updates->endpoint == AdminEndpoint::mirror_updates);
  CHECK(updates->mirror == "localhost:5000");
  const auto approvals = parse_admin_route("/api/v1/mirrors/updates/approvals");
  REQUIRE(approvals.has_value());
  CHECK(approvals->endpoint == AdminEndpoint::mirror_approvals);
  CHECK(approvals->mirror == "updates");
  for (const char* path : {"mirrors/", "mirrors//updates", "mirrors/a", "mirrors/a/updates/",
                           "mirrors/a/b/updates", "mirrors//approvals", "mirrors/a%2Fupdates"})
    CHECK_FALSE(parse_admin_route("/api/v1/" + std::string(path)).has_value());
}

TEST_CASE("admin: a robot is named in one segment, and a token by its number") {
  const struct {
    const char* path;
    AdminEndpoint endpoint;
  } known[] = {{"robots", AdminEndpoint::robots},
               {"robots/ci_team-1.0", AdminEndpoint::robot},
               {"robots/ci/renew", AdminEndpoint::robot_renew},
               {"robots/renew/revoke", AdminEndpoint::robot_revoke},
               {"robots/revoke", AdminEndpoint::robot},
               {"tokens", AdminEndpoint::tokens},
               {"tokens/revoke", AdminEndpoint::tokens_revoke},
               {"tokens/7", AdminEndpoint::token},
               {"account/tokens", AdminEndpoint::own_tokens},
               {"account/tokens/7", AdminEndpoint::own_token}};
  for (const auto& entry : known) {
    INFO(entry.path);
    const auto route = parse_admin_route("/api/v1/" + std::string(entry.path));
    REQUIRE(route.has_value());
    CHECK(route->endpoint == entry.endpoint);
  }
  CHECK(parse_admin_route("/api/v1/robots/a%2Db")->robot->principal() == "robot:a-b");
  CHECK(parse_admin_route("/api/v1/tokens/7")->id == 7);
  for (const char* path : {"robots/", "robots/CI", "robots/-a", "robots/a%2Frenew", "robots/a%00",
                           "robots/a/b", "robots/a/renew/", "robots//renew", "tokens/", "tokens/x",
                           "tokens/7/revoke", "tokens/99999999999999999999"}) {
    INFO(path);
    CHECK_FALSE(parse_admin_route("/api/v1/" + std::string(path)).has_value());
  }
}

}  // namespace
}  // namespace stele::api
