"""Tags that do not move, over the wire. Each test_* function is a test."""
import json
import re
import signal
import sqlite3
import subprocess
import threading

from common import IMAGE, check, events, identity, manifest, put_manifest, sha256
from wire import Server, eventually, push_blob, request


def test_a_release_does_not_move(stele):
    """The refusal as docs/policy.md shows it: status, reason phrase, one error, its detail, and a record."""
    with Server(stele) as server:
        config = push_blob(server, "prod/app", b"{}")
        first, second = manifest(config, "first"), manifest(config, "second")
        check(put_manifest(server, "prod/app", "1.4.2", first).status == 201, "bound")
        answer = put_manifest(server, "prod/app", "1.4.2", second)
        check(answer.status == 409 and answer.reason == "Conflict: tag 1.4.2 is immutable", f"{answer.reason}", answer)
        errors = answer.json()["errors"]
        detail = errors[0]["detail"]
        pushed_at = detail.pop("pushed_at")
        check(len(errors) == 1 and errors[0]["code"] == "DENIED" and re.fullmatch(r"20..-..-..T..:..:..\....Z", pushed_at), "form", answer)
        check(errors[0]["message"] == f'tag "1.4.2" in prod/app cannot be overwritten because the tag is immutable (rule releases); it points to {sha256(first)}, '
              f"you pushed {sha256(second)}; push a new tag", "sentence", answer)
        check(detail == {"reason": "TAG_IMMUTABLE", "rule": "releases", "tag": "1.4.2", "existing": sha256(first),
                         "offered": sha256(second), "pushed_by": "anonymous", "in_other_words": "The repository has enabled tag immutability"}, "detail", answer)
        check(events(server, "tag.refused") == [("prod/app", "1.4.2", sha256(first), sha256(second), "releases", "TAG_IMMUTABLE",
                                                 answer.get("X-Request-Id"))], f"{events(server, 'tag.refused')}")
        check(put_manifest(server, "prod/app", "1.4.2", first).status == 201, "the same again")
        put = request(server, "PUT", f"/v2/prod/app/manifests/{sha256(second)}?tag=latest&tag=1.4.2", [f"Content-Type: {IMAGE}"], second)
        check(put.status == 409 and request(server, "GET", "/v2/prod/app/manifests/latest").status == 404, "all or none", put)
        check(request(server, "GET", f"/v2/prod/app/manifests/{sha256(second)}").status == 404, "nothing of it is left")
        for reference in ("1.4.2", sha256(first)):
            gone = request(server, "DELETE", f"/v2/prod/app/manifests/{reference}")
            check(gone.status == 409 and gone.code == "DENIED" and gone.json()["errors"][0]["detail"]["reason"] == "TAG_DELETE_DENIED",
                  "not deleted", gone)
        check(put_manifest(server, "prod/app", "latest", second).status == 201, "latest")
        check(put_manifest(server, "prod/app", "latest", first).status == 201, "moves")
        server.kill()
        server.start()
        check(put_manifest(server, "prod/app", "1.4.2", second).status == 409, "after a crash too")


def tags_of_one_commit(number):
    """What docker/metadata-action makes of one commit with a version."""
    return {"fixed": [f"sha-{number:07x}", f"prod-sha-{number:07x}", "1.4.2", f"v1.4.2", "1.4.2-rc.1"],
            "moving": ["1.4", "1", "main", "pr-7", "latest", "nightly"]}


def test_the_tags_of_a_commit_pushed_from_two(stele):
    with Server(stele) as server:
        config = push_blob(server, "app", b"{}")
        one, two = manifest(config, "one"), manifest(config, "two")
        kinds = tags_of_one_commit(0xa1b2c3d)
        for tag in kinds["fixed"] + kinds["moving"]:
            check(put_manifest(server, "app", tag, one).status == 201, tag)
        for tag in kinds["fixed"]:
            check(put_manifest(server, "app", tag, two).status == 409, f"{tag} moved")
        for tag in kinds["moving"]:
            check(put_manifest(server, "app", tag, two).status == 201, f"{tag} did not move")


def test_the_policy_file_is_followed(stele):
    """On SIGHUP, on change, through a symbolic link; a broken one changes nothing."""
    def policy(mutability, **more):
        extra = "".join(f", {key}: {value}" for key, value in more.items())
        return f"version: 1\ntag_rules: [{{name: stable, tags: [stable], mutability: {mutability}{extra}}}]\n"

    server = Server(stele)
    file = server.directory / "policy.yaml"
    file.write_text(policy("mutable"))
    server.config.write_text(f"policy: {file}\n")
    with server:
        config = push_blob(server, "app", b"{}")
        images = [manifest(config, str(i)) for i in range(2)]

        def moves():
            """Pushes the image that the tag does not point to: the same again would always be a 201."""
            now = request(server, "GET", "/v2/app/manifests/stable").body
            return put_manifest(server, "app", "stable", images[1] if now == images[0] else images[0]).status

        check(moves() == 201 and moves() == 201, "mutable")
        file.write_text(policy("immutable"))
        server.signal(signal.SIGHUP)
        eventually(lambda: moves() == 409, "SIGHUP")
        file.write_text("version: 1\ntag_rules: [{name: stable, tags: [stable], mutability: mutabel}]\n")
        server.signal(signal.SIGHUP)
        eventually(lambda: 'did you mean "mutable"?' in server.said(), "the complaint")
        check(moves() == 409, "the old one stays in force")
        file.write_text(policy("mutable"))
        eventually(lambda: moves() == 201, "a change is seen without a signal")
        strict, lax = server.directory / "strict.yaml", server.directory / "lax.yaml"
        strict.write_text(policy("immutable", delete="allow"))
        lax.write_text(policy("mutable"))
        (server.directory / "next").symlink_to(strict)
        (server.directory / "next").rename(file)
        eventually(lambda: moves() == 409, "the link points elsewhere")
        bound = request(server, "GET", "/v2/app/manifests/stable").body
        answer = request(server, "DELETE", "/v2/app/manifests/stable")
        check(answer.status == 202, "deleted", answer)
        other = next(image for image in images if image != bound)
        check(put_manifest(server, "app", "stable", other).status == 409, "the name stays bound")
        (server.directory / "next").symlink_to(lax)
        (server.directory / "next").rename(file)
        eventually(lambda: put_manifest(server, "app", "stable", other).status == 201, "released")
        check([row[:2] for row in events(server, "name.released")] == [("app", "stable")], f"{events(server, 'name.released')}")
        with sqlite3.connect(f"file:{server.data}/stele.db?mode=ro", uri=True) as catalog:
            kept = catalog.execute("SELECT hash, source FROM policy_versions ORDER BY sequence").fetchall()
        check(len(kept) >= 5 and all(digest == sha256(source.encode()) for digest, source in kept), f"{kept}")


def test_first_push_of_a_release_by_many(stele):
    """32 clients, one tag, a digest each: one of them is told 201 (I3)."""
    with Server(stele) as server:
        config = push_blob(server, "app", b"{}")
        images = [manifest(config, str(i)) for i in range(32)]
        for race in range(15):
            barrier, answers = threading.Barrier(32), []

            def push(image):
                barrier.wait()
                answers.append((put_manifest(server, "app", f"1.0.{race}", image).status, sha256(image)))
            threads = [threading.Thread(target=push, args=(image,)) for image in images]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            won = [digest for status, digest in answers if status == 201]
            check(len(won) == 1 and sorted({status for status, _ in answers}) == [201, 409], f"race {race}: {answers}")
            check(request(server, "GET", f"/v2/app/manifests/1.0.{race}").get("Docker-Content-Digest") == won[0], "it is the one")


def test_production_pulls_what_is_pinned(stele):
    """By GET and by HEAD; nobody gets around it by not saying who he is. The header is believed by test builds only."""
    version = subprocess.run([stele, "--version"], capture_output=True, text=True).stdout
    server = Server(stele)
    policy = server.directory / "policy.yaml"
    policy.write_text('version: 1\npull_rules:\n  - {name: prod-pins, principals: ["robot:k8s-prod-*"], repositories: ["prod/**"], require: pinned}\n')
    server.config.write_text(f"policy: {policy}\n")
    with server:
        config = push_blob(server, "prod/app", b"{}")
        content = manifest(config, "one")
        digest = sha256(content)
        for tag in ("latest", "1.4.2", "sha-a1b2c3d"):
            check(put_manifest(server, "prod/app", tag, content).status == 201, tag)
        for who in ("robot:k8s-prod-eu", "anonymous"):
            for method in ("GET", "HEAD"):
                answer = request(server, method, "/v2/prod/app/manifests/latest", identity(who))
                check(answer.status == 403 and answer.reason == f"Forbidden: pull prod/app@{digest} or tag 1.4.2", f"{who} {method} {answer.reason}", answer)
            said = request(server, "GET", "/v2/prod/app/manifests/latest", identity(who)).json()["errors"][0]
            check(said["code"] == "DENIED" and said["message"] == f"pulling prod/app:latest needs a digest or an immutable tag (rule prod-pins); "
                  f"latest is {digest}, also tagged 1.4.2, sha-a1b2c3d", said)
            for reference in ("1.4.2", "sha-a1b2c3d", digest):
                check(request(server, "GET", f"/v2/prod/app/manifests/{reference}", identity(who)).status == 200, reference)
            check(request(server, "GET", "/v2/prod/app/manifests/never", identity(who)).status == 404, "what is not there")
        believed = request(server, "GET", "/v2/prod/app/manifests/latest", identity("user:alice")).status == 200
        check(believed == ("test-identity" in version), f"the header is believed: {believed}, by {version}")


def test_a_name_is_freed_by_an_act_of_its_own(stele):
    """tag release, and preconditions of the administration API (RFC 9110, 13)."""
    server = Server(stele)
    with server:
        config = push_blob(server, "app", b"{}")
        one, two = manifest(config, "one"), manifest(config, "two")
        check(put_manifest(server, "app", "1.0.0", one).status == 201, "bound")
        path = "/api/v1/repositories/app/tags/1.0.0"

        def act(what, body, *fields):
            return request(server, "POST", f"{path}/{what}", ["Content-Type: application/json", *fields], json.dumps(body).encode())

        known = request(server, "GET", path)
        check(known.get("ETag") == f'"{sha256(one)}"', "the tag has an entity tag", known)
        why = {"reason": "the wrong branch"}
        for body in ({}, {"reason": ""}, {"because": "x"}, {"reason": 7}, {"reason": "a\nb"}):
            check(act("release", body).status == 400, f"{body} is refused")
        unmet = act("release", why, f'If-Match: "{sha256(two)}"')
        check(unmet.status == 412 and unmet.json()["errors"][0]["detail"]["existing"] == sha256(one), "another digest", unmet)
        check(act("release", why, "If-Match: sha256:1").status == 400, "a condition that cannot be read is not none")
        check(act("rollback", {}, "If-None-Match: *").status == 412, "rollback asks too")
        check(put_manifest(server, "app", "1.0.0", two).status == 409, "still bound")
        freed = act("release", why, f"If-Match: {known.get('ETag')}")
        check(freed.status == 200 and freed.json() == {"repository": "app", "tag": "1.0.0", "digest": sha256(one), "removed": True}, "freed", freed)
        check(request(server, "GET", "/v2/app/manifests/1.0.0").status == 404, "the tag is gone")
        check(request(server, "GET", f"/v2/app/manifests/{sha256(one)}").status == 200, "its manifest is not")
        check(act("release", why).status == 404, "free already")
        check(put_manifest(server, "app", "1.0.0", two).status == 201, "the next push decides")
        check(put_manifest(server, "app", "1.0.0", one).status == 409, "and is bound")
        # A promotion asks of the tags that it sets, in the target; where nothing has an entity tag, no condition is passed over.
        def promote(*fields, **body):
            return request(server, "POST", "/api/v1/repositories/app/promote", ["Content-Type: application/json", *fields], json.dumps(body).encode())

        check(promote("If-Match: *", reference=sha256(two), to="live", tags=["stable"]).status == 412, "there is none yet")
        check(request(server, "GET", "/v2/live/tags/list").status == 404, "nothing was taken along")
        check(promote("If-None-Match: *", reference=sha256(two), to="live", tags=["stable"]).status == 201, "the first")
        check(promote("If-None-Match: *", reference=sha256(two), to="live", tags=["new", "stable"]).status == 412, "one of two is there")
        check(request(server, "GET", "/v2/live/manifests/new").status == 404, "all or none")
        check(promote(f'If-Match: "{sha256(one)}"', reference=sha256(two), to="live", tags=["stable"]).status == 412, "another digest")
        check(promote(f'If-Match: "{sha256(two)}"', reference=sha256(two), to="live", tags=["stable"]).status == 201, "that digest")
        check(promote("If-None-Match: *", reference=sha256(two), to="live").status == 400, "a condition about no tag")
        for method, target in (("DELETE", "/api/v1/repositories/live"), ("POST", "/api/v1/gc/pause")):
            for field in ("If-Match: *", 'If-None-Match: "x"'):
                refused = request(server, method, target, ["Content-Type: application/json", field], b'{"reason": "x"}')
                check(refused.status == 400 and field.split(":")[0] in refused.message, f"{method} {target} {field}", refused)
        check(request(server, "GET", "/v2/live/manifests/stable").status == 200, "and nothing was done")
        told = request(server, "GET", "/api/v1/policy/explain?repository=app&tag=1.0.0").json()["released"]
        check(told["digest"] == sha256(one) and told["reason"] == why["reason"], f"{told}")
        said = subprocess.run([stele, "policy", "explain", "app:1.0.0", "--server", f"http://{server.host}:{server.port}"],
                              capture_output=True, text=True)
        check("released:" in said.stdout and why["reason"] in said.stdout, f"{said}")
    off = Server(stele)
    off.config.write_text("delete: off\n")
    with off:
        config = push_blob(off, "app", b"{}")
        check(put_manifest(off, "app", "1.0.0", manifest(config, "one")).status == 201, "bound")
        answer = request(off, "POST", "/api/v1/repositories/app/tags/1.0.0/release", ["Content-Type: application/json"], b'{"reason": "x"}')
        check(answer.status == 405, "deletion is off", answer)


def test_explain_names_the_pattern_that_matched_and_which_nearly_did(stele):
    """From the file and from the server; what can match nothing is pointed out by policy check."""
    rules = ('version: 1\ntag_rules:\n  - {name: releases, repositories: ["prod/**"], tags: [latest, "@semver", "!*-rc*"], mutability: immutable}\n'
             '  - {name: all, tags: ["@semver"], mutability: append-only}\n')
    server = Server(stele)
    policy = server.directory / "policy.yaml"
    policy.write_text(rules)
    server.config.write_text(f"policy: {policy}\n")
    with server:
        for by in (("--policy", policy), ("--data", server.data)):
            def explain(name):
                return subprocess.run([stele, "policy", "explain", *by, name], capture_output=True, text=True, timeout=60).stdout
            matched, excluded = explain("prod/app:1.4.2"), explain("prod/app:1.4.2-rc1")
            check("releases (tags @semver, repositories prod/**)" in matched, f"{by[0]}: the pattern that matched: {matched}")
            check("nearly:     all: matches too, but rule releases stands before it" in matched, f"{by[0]}: who stands behind: {matched}")
            check("nearly:     releases: tags: @semver matches, but !*-rc* excludes it" in excluded, f"{by[0]}: what keeps it away: {excluded}")
        policy.write_text(rules.replace("prod/**", "Prod/**"))
        checked = subprocess.run([stele, "policy", "check", policy], capture_output=True, text=True, timeout=60)
        check(checked.returncode == 0 and 'did you mean "prod/**"?' in checked.stdout + checked.stderr, f"{checked}")
