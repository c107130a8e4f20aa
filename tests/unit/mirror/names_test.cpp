// One stored repository however a client addresses it (P14 of the field review).

#include "mirror/names.hpp"

#include "tests/support/catch.hpp"

namespace stele::mirror::names_test {
namespace {

Names names(bool is_default = false) {
  Settings hub;
  hub.name = hub.prefix = "docker.io";
  hub.is_default = is_default;
  hub.deny = {"library/secret"};
  Settings quay;
  quay.name = "quay.io";
  quay.prefix = "cache/quay";
  std::vector<Settings> both{hub, quay};
  auto compiled = Names::compile(both);
  REQUIRE(compiled.has_value());
  return std::move(*compiled);
}

RepositoryName repository(std::string_view text) {
  auto name = RepositoryName::parse(text);
  REQUIRE(name.has_value());
  return *name;
}

// The stored name, "none" for one of this registry itself, or the condition's number.
std::string stored(std::string_view asked, std::optional<std::string_view> ns = {},
                   std::optional<std::size_t> in_path = {}) {
  const auto place = names().place(repository(asked), in_path, ns);
  if (!place) return "error " + std::to_string(static_cast<int>(place.error().code()));
  return *place ? (*place)->stored.str() + " " + (*place)->remote : "none";
}
std::string error(Errc code) {
  return "error " + std::to_string(static_cast<int>(code));
}

TEST_CASE("mirror names: prefix, ns, path and both together are one stored repository") {
  const std::string demo = "docker.io/library/demo library/demo";
  CHECK(stored("docker.io/library/demo") == demo);
  CHECK(stored("docker.io/demo") == demo);
  CHECK(stored("library/demo", "docker.io") == demo);
  CHECK(stored("demo", "docker.io") == demo);
  CHECK(stored("library/demo", {}, 0) == demo);
  CHECK(stored("docker.io/library/demo", "docker.io", 0) == demo);
  CHECK(stored("docker.io/v2/library/demo", "docker.io") == demo);
  CHECK(stored("org/app", "quay.io") == "cache/quay/org/app org/app");
  CHECK(stored("library/demo") == "none");
  CHECK(stored("docker.iox/demo") == "none");
  CHECK(stored("index.docker.io/library/demo") == demo);
  CHECK(stored("quay.io/org/app") == "none");  // its prefix is another
  CHECK(stored("docker.io/v2/v2/app") == "docker.io/v2/app v2/app");
}

TEST_CASE("mirror names: ns is compared without case, https's port and the aliases of docker.io") {
  for (const char* ns : {"Docker.IO", "docker.io:443", "index.docker.io", "Registry-1.docker.io:443"})
    CHECK(stored("library/demo", ns) == "docker.io/library/demo library/demo");
  CHECK(stored("library/demo", "docker.io:444") == error(Errc::name_unknown));
}

TEST_CASE("mirror names: two ways that name two mirrors are refused, as is what deny lists") {
  CHECK(stored("docker.io/library/demo", "quay.io") == error(Errc::parameter_invalid));
  CHECK(stored("library/demo", "quay.io", 0) == error(Errc::parameter_invalid));
  CHECK(stored("cache/quay/a", {}, 0) == error(Errc::parameter_invalid));
  CHECK(stored("secret", "docker.io") == error(Errc::forbidden));
}

TEST_CASE("mirror names: a path before /v2/ names a mirror by its name or prefix") {
  const Names all = names();
  std::optional<std::size_t> mirror;
  CHECK(all.path_prefix("/docker.io/v2/library/demo/manifests/1", mirror) == 10);
  CHECK(mirror == 0);
  CHECK(all.path_prefix("/cache/quay/v2", mirror) == 11);
  CHECK(mirror == 1);
  CHECK(all.path_prefix("/Index.Docker.io:443/v2/", mirror) == 20);
  CHECK(mirror == 0);
  CHECK(all.path_prefix("/quay.io/v2/org/app/manifests/1", mirror) == 8);
  CHECK(mirror == 1);
  for (const char* path :
       {"/v2/docker.io/v2/x", "/docker.io", "/docker.io/v2x", "docker.io/v2/", "/x/v2/", ""})
    CHECK(all.path_prefix(path, mirror) == 0);
}

TEST_CASE("mirror names: the default mirror is asked for library/** only, unless allow says more") {
  CHECK_FALSE(names().default_place(repository("demo")));
  const Names all = names(true);
  REQUIRE(all.default_place(repository("demo")).has_value());
  CHECK(all.default_place(repository("demo"))->stored.str() == "docker.io/library/demo");
  CHECK_FALSE(all.default_place(repository("team/app")));
  CHECK_FALSE(all.default_place(repository("secret")));
}

}  // namespace
}  // namespace stele::mirror::names_test
