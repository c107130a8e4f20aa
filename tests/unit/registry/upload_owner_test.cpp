#include "tests/unit/registry/uploads_fixture.hpp"

namespace stele {
namespace {

using namespace uploads_test;

TEST_CASE("uploads: a session is who began it's, with bytes or without, before and after a restart") {
  UploadFixture fixture;
  const std::string text = "helloworld";
  const Digest digest = Digest::of(sha256, text);
  const UploadId with_bytes = fixture.start(), empty = fixture.start();
  REQUIRE(fixture.append(with_bytes, "hello").value() == 5);
  sync_wait(fixture.uploads->persist_all());
  for (const bool restarted : {false, true}) {
    if (restarted) fixture.restart();
    for (const char* other : {"anonymous", "user:tester", "tester2", "system", ""}) {
      const audit::Actor actor{Principal(other), "request-2"};
      for (const UploadId& id : {with_bytes, empty}) {
        TextSource source("xxxxx"), rest("world");
        CHECK(code(sync_wait(fixture.uploads->append(repository, id, source, std::nullopt, actor))) ==
              Errc::upload_unknown);
        CHECK(code(sync_wait(fixture.uploads->finish(repository, id, rest, std::nullopt, digest, actor))) ==
              Errc::upload_unknown);
        CHECK(code(sync_wait(fixture.uploads->offset(repository, id, actor))) == Errc::upload_unknown);
        CHECK(code(sync_wait(fixture.uploads->cancel(repository, id, actor))) == Errc::upload_unknown);
      }
    }
    CHECK(fixture.offset(with_bytes).value() == 5);
    CHECK(fixture.offset(empty).value() == 0);
  }
  // The same one, with another request.
  TextSource rest("world");
  const audit::Actor again{fixture.actor.principal, "request-3"};
  CHECK(sync_wait(fixture.uploads->finish(repository, with_bytes, rest, std::nullopt, digest, again))
            .has_value());
  CHECK(fixture.stored(digest) == text);
}

}  // namespace
}  // namespace stele
