"""What a line of text tells badly: TLS, starts and stops, limits, many clients at once. Each test_* function is one test; it
gets the binary and raises Failure."""
import contextlib
import hashlib
import itertools
import json
import os
import re
import select
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from wire import Connection, Failure, Server, eventually, generated, in_threads, push_blob, request

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def check(condition, message, answer=None):
    if not condition:
        raise Failure(message, answer)


def measures_memory(test):
    """Of the release build alone (run.py --sanitized): a sanitizer keeps what was freed, and shadows of everything."""
    test.measures_memory = True
    return test


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest(config, note="", **members):
    return json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": {"mediaType": "a/b", "digest": config, "size": 2},
                       "layers": [], "annotations": {"note": note}, **members}).encode()


def put_manifest(server, repository, reference, content, kind=IMAGE):
    return request(server, "PUT", f"/v2/{repository}/manifests/{reference}", [f"Content-Type: {kind}"], content)


def head(method, target, *headers):
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *headers]).encode() + b"\r\n\r\n"


def start_upload(server, repository):
    answer = request(server, "POST", f"/v2/{repository}/blobs/uploads/")
    check(answer.status == 202, "no session", answer)
    return answer.get("Location")


# --- starts and stops -------------------------------------------------------------------------------------------------

def test_graceful_stop_finishes_what_is_under_way(stele):
    with Server(stele) as server:
        content = generated(24 << 20, "stop")
        digest = push_blob(server, "a", content)
        idle, reading, writing = Connection(server), Connection(server), Connection(server)
        idle.send(head("GET", "/v2/"))
        idle.read_answer("GET")
        upload = start_upload(server, "a")
        writing.send(head("PATCH", upload, "Content-Length: 10", "Expect: 100-continue"))
        check(writing.read_answer("PATCH").status == 100, "no 100")
        reading.send(head("GET", f"/v2/a/blobs/{digest}"))
        reading.fill()
        server.signal(signal.SIGTERM)
        check(idle.at_end(), "an idle connection is closed at once")

        def refused():
            try:
                Connection(server).close()
            except OSError:
                return True
        eventually(refused, "the end of listening")
        answer = reading.read_answer("GET")
        check(answer.status == 200 and answer.body == content, "the download is complete")
        writing.send(b"0123456789")
        answer = writing.read_answer("PATCH")
        check(answer.status == 202 and answer.get("Range") == "0-9" and answer.closes(), "the upload is acknowledged", answer)
        writing.close()
        reading.close()
        check(server.wait() == 0, f"exit code {server.exit_code}")
        server.start()
        answer = request(server, "PUT", f"{upload}?digest={sha256(b'0123456789')}")
        check(answer.status == 201, "the upload goes on after the restart", answer)


def test_no_descriptor_is_left_by_any_way_a_request_ends(stele):
    """I10. A pool's thread opens the catalog when it reads for the first time, so the count rises for a while."""
    with Server(stele) as server:
        def descriptors():
            return len(os.listdir(f"/proc/{server.process.pid}/fd"))

        def round_of(number):
            content = generated(100_000, f"descriptors {number}")
            digest = push_blob(server, "a", content)
            image = manifest(digest, str(number))
            check(put_manifest(server, "a", f"t{number}", image).status == 201, "no manifest")
            for method, target, headers in (("GET", f"/v2/a/manifests/t{number}", ()), ("HEAD", f"/v2/a/blobs/{digest}", ()), ("GET", f"/v2/a/blobs/{digest}", ()),
                                            ("GET", f"/v2/a/blobs/{digest}", ("Range: bytes=5-9",)), ("GET", f"/v2/a/blobs/{digest}", ("Range: bytes=900000-",)),
                                            ("GET", f"/v2/a/blobs/{sha256(b'none')}", ()), ("GET", "/v2/a/manifests/none", ()), ("GET", "/v2/a/tags/list", ()),
                                            ("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a", ()), ("DELETE", f"/v2/a/manifests/t{number}", ()),
                                            ("GET", "/none", ()), ("PUT", "/v2/a/manifests/x", ("Content-Type: a/b",))):
                request(server, method, target, headers)
            request(server, "GET", "/api/v1/holds", address=server.data / "stele.sock")
            # Uploads that are finished in pieces, cancelled, wrong, broken off in the middle.
            upload = start_upload(server, "a")
            request(server, "PATCH", upload, body=content[:10])
            check(request(server, "PUT", f"{upload}?digest={sha256(content[:10])}").status == 201, "not finished")
            upload = start_upload(server, "a")
            request(server, "PATCH", upload, body=content)
            request(server, "DELETE", upload)
            upload = start_upload(server, "a")
            check(request(server, "PUT", f"{upload}?digest={digest}", body=b"other").status == 400, "taken")
            cut = Connection(server)
            cut.send(head("PATCH", start_upload(server, "a"), f"Content-Length: {len(content)}") + content[:50_000])
            cut.close()
            left = Connection(server)
            left.send(head("GET", f"/v2/a/blobs/{digest}"))
            left.fill()
            left.close()

        for number in range(20):
            round_of(number)
        counts = [descriptors()]
        for number in range(20, 60):
            round_of(number)
        # A connection that was just left may still be counted.
        eventually(lambda: counts.append(descriptors()) or counts[-1] < counts[0] + 20, f"the end of a leak: {counts[0]} after 20 rounds")


def test_a_second_signal_ends_a_transfer_that_would_not(stele):
    with Server(stele) as server:
        digest = push_blob(server, "a", generated(24 << 20, "stop"))
        stuck = Connection(server)
        stuck.send(head("GET", f"/v2/a/blobs/{digest}"))
        stuck.fill()
        server.signal(signal.SIGTERM)
        server.wait_log("stopping: ")
        server.signal(signal.SIGTERM)
        began = time.monotonic()
        check(server.wait() == 0, f"exit code {server.exit_code}")
        check(time.monotonic() - began < 15, "a second signal is faster than the grace of 25 seconds")
        stuck.close()


def test_second_server_on_the_same_data_is_refused(stele):
    with Server(stele) as server, contextlib.closing(Connection(server)):
        second = Server(stele, data=server.data)
        said = second.refuses()
        second.remove()
        check(str(server.process.pid) in said and "another stele" in said, said)
        check(request(server, "GET", "/v2/").status == 200, "the first is not disturbed")


def test_require_existing(stele):
    server = Server(stele, "require_existing: true\n")
    said = server.refuses()
    check("require_existing" in said and not server.data.exists(), said)
    server.data.mkdir()
    check("require_existing" in server.refuses(), "an empty directory is refused too")
    server.config.write_text("")
    server.start()
    digest = push_blob(server, "a", b"x")
    check(server.stop() == 0, "stopped")
    server.config.write_text("require_existing: true\n")
    server.start()
    check(request(server, "HEAD", f"/v2/a/blobs/{digest}").status == 200, "what was there is there")
    server.kill()
    server.remove()


def test_blobs_without_catalog_and_corrupt_catalog_are_refused_with_advice(stele):
    with Server(stele) as server:
        push_blob(server, "a", b"x")
        server.stop()
        catalog = server.data / "stele.db"
        whole = catalog.read_bytes()
        catalog.unlink()
        said = server.refuses()
        check("no catalog" in said and "backups" in said, said)
        catalog.write_bytes(b"\xa5" * len(whole))
        said = server.refuses()
        check("stele.db" in said and "snapshot" in said, said)
        check(catalog.read_bytes() == b"\xa5" * len(whole), "nothing was changed")
        catalog.write_bytes(whole)
        server.start()
        check(request(server, "HEAD", f"/v2/a/blobs/{sha256(b'x')}").status == 200, "the old catalog works")


def test_a_directory_of_somebody_else_and_a_policy_are_refused(stele):
    server = Server(stele)
    server.data.mkdir()
    (server.data / "thesis.tex").write_text("")
    said = server.refuses()
    check("thesis.tex" in said and "--data" in said, said)
    check(os.listdir(server.data) == ["thesis.tex"], "nothing was put there")
    (server.data / "thesis.tex").unlink()
    server.config.write_text(f"policy: {server.directory / 'policy.yaml'}\n")
    said = server.refuses()
    check("policy.yaml cannot be read" in said, said)
    (server.directory / "policy.yaml").write_text("version: 1\ntag_rules: [{name: a, tags: ['@semvr'], mutability: immutable}]\n")
    said = server.refuses()
    check("policy.yaml:2:30: pattern" in said and "no such preset" in said, said)
    server.remove()


def test_files_are_for_their_owner_alone(stele):
    with Server(stele) as server:
        put = put_manifest(server, "a", "1", manifest(push_blob(server, "a", b"{}")))
        check(put.status == 201, "pushed", put)
        start_upload(server, "a")
        open_to_others = [str(path) for path in [server.data, *server.data.rglob("*")] if stat.S_IMODE(path.lstat().st_mode) & 0o077]
        check(not open_to_others, f"open to others: {open_to_others}")


# --- when it was pulled last ------------------------------------------------------------------------------------------

def pulled(server):
    """What the catalog knows: the digests that were ever pulled, and since when every pull is recorded."""
    with sqlite3.connect(f"file:{server.data}/stele.db?mode=ro", uri=True) as catalog:
        rows = catalog.execute("SELECT m.digest, u.pulled_at FROM manifest_use u JOIN manifests m ON m.id = u.manifest_id").fetchall()
        since = catalog.execute("SELECT value FROM meta WHERE key = 'pulls_since'").fetchone()
    return dict(rows), int(since[0])


def test_pulls_of_manifests_are_counted(stele):
    """GET and HEAD, by tag and by digest, 304 too; nothing else is a pull."""
    server = Server(stele).start()
    try:
        began = time.time()
        config = push_blob(server, "app", b"{}")
        images = {name: manifest(config, name) for name in ("get", "head", "digest", "unchanged", "child", "sibling", "pushed", "listed")}
        for name, image in images.items():
            check(put_manifest(server, "app", name, image).status == 201, f"pushed {name}")
        entries = [{"mediaType": IMAGE, "digest": sha256(images[name]), "size": len(images[name])} for name in ("child", "sibling")]
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        check(put_manifest(server, "app", "index", index, INDEX).status == 201, "pushed the index")
        asked = [("GET", "manifests/get", 200), ("HEAD", "manifests/head", 200), ("GET", f"manifests/{sha256(images['digest'])}", 200),
                 ("HEAD", f"manifests/{sha256(images['child'])}", 200), ("GET", "manifests/none", 404), ("GET", f"blobs/{config}", 200),
                 ("HEAD", f"blobs/{config}", 200), ("GET", "tags/list", 200), ("GET", f"referrers/{sha256(images['listed'])}", 200),
                 ("HEAD", f"manifests/sha256:{'0' * 64}", 404)]
        for method, what, status in asked:
            answer = request(server, method, f"/v2/app/{what}")
            check(answer.status == status, f"{method} {what}", answer)
        answer = request(server, "GET", "/v2/app/manifests/unchanged", [f'If-None-Match: "{sha256(images["unchanged"])}"'])
        check(answer.status == 304, "unchanged", answer)
        wanted = {sha256(images[name]) for name in ("get", "head", "digest", "unchanged", "child")}
        eventually(lambda: pulled(server)[0].keys() == wanted, "what was pulled, within seconds")
        times, since = pulled(server)
        check(since < began * 1e6 + 1e6, f"recorded from the start, not {since}")
        check(all(began * 1e6 <= at <= (time.time() + 600) * 1e6 for at in times.values()), f"no earlier than the pulls: {times}")
        check(request(server, "GET", "/v2/app/manifests/index").status == 200, "the index")
        metrics = request(server, "GET", "/metrics").body.decode()
        check('stele_pull_records{state="dirty"} 1\n' in metrics, metrics)
        check("stele_pull_records_lost_total 0\n" in metrics, metrics)
        check(server.stop() == 0, "stopped")
        check(pulled(server) == ({**times, sha256(index): pulled(server)[0].get(sha256(index))}, since), "the index alone came to it")
    finally:
        server.kill()
        server.remove()


def test_kill_9_forgets_no_pull(stele):
    server = Server(stele).start()
    try:
        config = push_blob(server, "app", b"{}")
        images = [manifest(config, str(number)) for number in range(50)]
        for number, image in enumerate(images):
            check(put_manifest(server, "app", str(number), image).status == 201, "pushed")
        since = pulled(server)[1]
        for number in range(50):
            check(request(server, "HEAD", f"/v2/app/manifests/{number}").status == 200, "pulled")
        server.kill()
        server.start()
        eventually(lambda: len(pulled(server)[0]) == 50, "all that were pulled")
        check(pulled(server)[1] == since, "without a gap")
        server.kill()
        (server.data / "pulls").write_bytes(b"not ours")
        server.start()
        server.wait_log("pulls has another size than it was made with; it was set aside")
        check(pulled(server)[1] > since, "the record begins anew")
        check((server.data / "pulls.set-aside").read_bytes() == b"not ours", "set aside")
        check(server.stop() == 0, "stopped")
    finally:
        server.kill()
        server.remove()


def test_a_thousand_ranges_are_served(stele):
    """podman's partial pulls ask for up to 1,024 parts in one line of 20 KB; of more everything is sent."""
    with Server(stele) as server:
        content = bytes(range(256)) * 8000
        digest = push_blob(server, "a", content)
        spans = [(1_000_000 + i * 900, 1_000_000 + i * 900 + 99) for i in range(1024)]
        line = "Range: bytes=" + ", ".join(f"{first}-{last}" for first, last in spans)
        check(16_000 < len(line) < 20_000, f"{len(line)}")
        answer = request(server, "GET", f"/v2/a/blobs/{digest}", [line])
        check(answer.status == 206, "all parts", answer)
        parts = answer.body.split(b"--stele-")[1:-1]
        check(len(parts) == 1024, f"{len(parts)} parts")
        check(all(content[first:last + 1] + b"\r\n" == part.split(b"\r\n\r\n", 1)[1] for part, (first, last) in zip(parts, spans)), "their bytes")
        more = request(server, "GET", f"/v2/a/blobs/{digest}", [line + ",2-3"])
        check(more.status == 200 and more.body == content, "1,025: everything", more)
        etag = request(server, "HEAD", f"/v2/a/blobs/{digest}").get("ETag")
        part = request(server, "GET", f"/v2/a/blobs/{digest}", ["Range: bytes=0-4", f"If-Range: {etag}"])
        check(part.status == 206 and part.body == content[:5], "If-Range with its ETag", part)
        whole = request(server, "GET", f"/v2/a/blobs/{digest}", ["Range: bytes=0-4", 'If-Range: "other"'])
        check(whole.status == 200 and whole.body == content, "If-Range with another", whole)


# --- tag rules --------------------------------------------------------------------------------------------------------

def events(server, action):
    with sqlite3.connect(f"file:{server.data}/stele.db?mode=ro", uri=True) as catalog:
        return catalog.execute("SELECT repository, tag, old_digest, new_digest, rule, reason, request_id FROM events WHERE action = ? "
                               "ORDER BY sequence", (action,)).fetchall()


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


# --- limits -----------------------------------------------------------------------------------------------------------

def test_connection_limit(stele):
    with Server(stele, "limits: {connections: 3}\n") as server:
        held = [Connection(server) for _ in range(3)]
        for connection in held:
            connection.send(head("GET", "/v2/"))
            check(connection.read_answer("GET").status == 200, "served")
        over = Connection(server)
        over.send(head("GET", "/v2/"))
        answer = over.read_answer("GET")
        check(answer.status == 503 and answer.closes() and answer.code == "UNAVAILABLE" and "limits.connections" in answer.message, "503", answer)
        check(answer.all("Retry-After") == ["5"], "one Retry-After", answer)
        check(answer.get("Content-Type") == "application/json"
              and answer.get("Docker-Distribution-API-Version") == "registry/2.0", "the form of every error", answer)
        check(over.at_end(), "closed")
        held[0].send(head("GET", "/metrics"))
        check(re.search(r"(?m)^stele_connections_refused_total 1$", held[0].read_answer("GET").body.decode()), "counted")
        held.pop().close()

        def served():
            connection = Connection(server)
            connection.send(head("GET", "/v2/", "Connection: close"))
            status = connection.read_answer("GET").status
            connection.close()
            return status == 200
        eventually(served, "room after one has left")
        for connection in held:
            connection.close()


def test_connection_limit_over_tls(stele):
    server, authority = tls_server(stele)
    server.config.write_text(server.config.read_text() + "limits: {connections: 1}\n")
    with server:
        context = authority.client()
        held = Connection(server, context)
        held.send(head("GET", "/v2/"))
        check(held.read_answer("GET").status == 200, "served")
        answer = request(server, "GET", "/v2/", tls=context)
        check(answer.status == 503 and answer.closes() and "limits.connections" in answer.message, "503", answer)
        held.close()


def test_beyond_what_can_be_refused_with_words(stele):
    """Past the limit a few more are answered; the rest find the connection closed, and all are served once there is room."""
    with Server(stele, "limits: {connections: 2}\n") as server:
        crowd = [Connection(server) for _ in range(200)]
        for connection in crowd:
            connection.send(head("GET", "/v2/"))
        seen = {"served": 0, "refused": 0, "closed": 0}
        for connection in crowd:
            if connection.at_end():
                seen["closed"] += 1
                continue
            answer = connection.read_answer("GET")
            seen["served" if answer.status == 200 else "refused"] += answer.status in (200, 503)
        for connection in crowd:
            connection.close()
        check(seen["served"] >= 2 and seen["refused"] >= 1 and sum(seen.values()) == 200, f"{seen}")

        def served():
            try:
                return request(server, "GET", "/v2/").status == 200
            except Failure:
                return False    # closed, while the server still learns that the others have left

        eventually(served, "room after they have left")


def test_what_comes_behind_the_last_request_costs_no_answer(stele):
    """Bytes behind a request with Connection: close are read away: a reset would take the answer with it."""
    with Server(stele) as server:
        digest = push_blob(server, "a", generated(3 << 20, "behind"))
        for _ in range(20):
            connection = Connection(server)
            connection.send(head("GET", f"/v2/a/blobs/{digest}", "Connection: close") + b"x" * 100_000)
            answer = connection.read_answer("GET")
            check(answer.status == 200 and sha256(answer.body) == digest, "complete", answer)
            connection.close()


def test_a_manifest_with_gaps_is_not_taken_again_where_they_are_not_allowed(stele):
    gaps = "references: [{repositories: ['**'], mode: %s}]\n"
    with Server(stele, gaps % "sparse") as server:
        lacking = manifest("sha256:" + "0" * 64)
        check(put_manifest(server, "a", "1", lacking).status == 201, "sparse")
        server.stop()
        server.config.write_text(gaps % "strict")
        server.start()
        answer = put_manifest(server, "a", "2", lacking)
        check(answer.status == 400 and answer.code == "MANIFEST_BLOB_UNKNOWN", "strict", answer)
        check(request(server, "GET", "/v2/a/manifests/1").status == 200, "what is there stays")


def test_limits_of_head_and_manifest(stele):
    with Server(stele, "limits: {header_bytes: 4KiB, manifest_bytes: 4000000}\n") as server:
        check(request(server, "GET", "/v2/", [f"X-Filler: {'a' * 3000}"]).status == 200, "below")
        check(request(server, "GET", "/v2/", [f"X-Filler: {'a' * 4100}"]).status == 431, "above")
        answer = put_manifest(server, "a", "1", b" " * 4000001)
        check(answer.status == 413 and "4000000" in answer.message, "413", answer)
        answer = put_manifest(server, "a", "1", b" " * 4000000)
        check(answer.status == 400, "not JSON, but not too large", answer)


def test_early_refusal_is_seen_by_a_client_that_goes_on_sending(stele):
    """Past what the server drains: a client that reads while it sends sees the answer before any reset."""
    with Server(stele) as server:
        connection = Connection(server)
        connection.send(head("PUT", "/v2/a/manifests/1", f"Content-Type: {IMAGE}", f"Content-Length: {1 << 30}"))
        answer = []
        reader = threading.Thread(target=lambda: answer.append(connection.read_answer("PUT")))
        reader.start()
        for _ in range(40):
            connection.send(b" " * (1 << 20))
        reader.join()
        check(answer and answer[0].status == 413 and answer[0].closes(), f"413: {answer}")
        check(connection.failed is None, f"40 MiB after the refusal are still taken: {connection.failed}")
        connection.close()


# --- bodies that break off --------------------------------------------------------------------------------------------

def test_a_body_that_breaks_off_is_never_taken_for_whole(stele):
    """All the bytes of the blob have come, only the end of the body has not: the digest would be right."""
    with Server(stele) as server:
        content = generated(300_000, "whole")
        digest = sha256(content)
        chunked = b"%x\r\n%s\r\n" % (len(content), content)
        breaks = {"length": (f"Content-Length: {len(content) + 1}", content), "chunk": ("Transfer-Encoding: chunked", chunked),
                  "last chunk": ("Transfer-Encoding: chunked", chunked + b"0\r\n"), "small": ("Content-Length: 20", b"0123456789")}
        for name, (framing, body) in breaks.items():
            wanted = sha256(b"0123456789") if name == "small" else digest
            upload = start_upload(server, "a")
            connection = Connection(server)
            connection.send(head("PUT", f"{upload}?digest={wanted}", framing) + body)
            connection.socket.shutdown(socket.SHUT_WR)
            answer = connection.read_answer("PUT")
            check(answer.status == 400, f"{name}: half-closed", answer)
            connection.close()
            check(request(server, "HEAD", f"/v2/a/blobs/{wanted}").status == 404, f"{name}: nothing was published")
            answer = request(server, "GET", upload)
            check(answer.status == 204, f"{name}: the session survives", answer)
            connection = Connection(server)
            connection.send(head("POST", f"/v2/a/blobs/uploads/?digest={wanted}", framing) + body)
            connection.socket.shutdown(socket.SHUT_WR)
            answer = connection.read_answer("POST")
            check(answer.status == 400, f"{name}: monolithic", answer)
            connection.close()
            check(request(server, "HEAD", f"/v2/a/blobs/{wanted}").status == 404, f"{name}: nothing was published")
            check(request(server, "DELETE", upload).status == 204, f"{name}: cancelled")
        image = manifest(push_blob(server, "a", b"{}"))
        connection = Connection(server)
        connection.send(head("PUT", "/v2/a/manifests/1", f"Content-Type: {IMAGE}", f"Content-Length: {len(image) + 1}") + image)
        connection.socket.shutdown(socket.SHUT_WR)
        check(connection.read_answer("PUT").status == 400, "a manifest that breaks off")
        check(request(server, "HEAD", "/v2/a/manifests/1").status == 404, "no manifest")
        server.count_files("uploads", 0)


def test_clients_that_leave_early_cost_nothing(stele):
    with Server(stele) as server:
        digest = push_blob(server, "a", generated(8 << 20, "early"))
        upload = start_upload(server, "a")

        def leave(number):
            connection = Connection(server)
            if number % 2:
                connection.send(head("GET", f"/v2/a/blobs/{digest}"))
                connection.fill()
            else:
                connection.send(head("PATCH", upload, "Content-Length: 1000000") + b"x" * (number * 1000))
            connection.close()
        in_threads(16, leave)

        def all_gone():
            text = request(server, "GET", "/metrics").body.decode()
            return re.search(r"(?m)^stele_connections_open 1$", text)
        eventually(all_gone, "the end of all connections")
        check(request(server, "GET", f"/v2/a/blobs/{digest}").body == generated(8 << 20, "early"), "served")


# --- smuggling --------------------------------------------------------------------------------------------------------

def test_no_pair_of_framing_headers_smuggles_a_request(stele):
    """Every pair of these lines, with a request behind it that would be seen if the two ends were told apart wrongly."""
    lines = ["Content-Length: 5", "Content-Length: 0", "content-length: 6", "Content-Length: 5, 5", "Content-Length : 5", "Content-Length: 05x",
             "Content-Length: \t5", "Content-Length: 4\r\n 5", "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "transfer-encoding: Chunked",
             "Transfer-Encoding: chunked, identity", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked",
             "Transfer-Encoding:\x0bchunked", "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked", "Transfer-Encoding: chunked\x00",
             " Transfer-Encoding: chunked", "Transfer-Encoding: ", "Transfer_Encoding: chunked", "Connection: Content-Length", "Host: y"]
    with Server(stele) as server:
        for number, (first, second) in enumerate(itertools.permutations(lines, 2)):
            raw = (f"POST /v2/ HTTP/1.1\r\nHost: x\r\n{first}\r\n{second}\r\n\r\n"
                   f"0\r\n\r\nGET /v2/smuggled{number} HTTP/1.1\r\nHost: x\r\n\r\n").encode("latin-1")
            connection = Connection(server)
            connection.send(raw)
            connection.socket.shutdown(socket.SHUT_WR)
            status = connection.read_answer("POST").status
            # Read by the standard's letter the body is unambiguous in these, and what follows it is a request.
            letter = [line.lower() for line in (first, second) if line not in ("Transfer_Encoding: chunked", "Connection: Content-Length")]
            lengths = [line for line in letter if re.fullmatch(r"content-length: \t?5", line)]
            empty = [line for line in letter if line == "content-length: 0" or not letter]
            six = [line for line in letter if line == "content-length: 6"]
            chunks = [line for line in letter if line == "transfer-encoding: chunked"]
            clear = len(letter) == len(lengths) + len(empty) + len(six) + len(chunks) and len(letter) <= 1
            check(status == 405 if clear else status in (400, 501), f"{first!r} and {second!r}: {status}")
            rest = b""
            while connection.fill():
                pass
            rest = connection.buffer
            if not clear:
                check(rest == b"", f"{first!r} and {second!r}: a second answer: {rest[:100]!r}")
            connection.close()
        check(not re.search(r"smuggled\d+\" 2", server.said()), "no smuggled request was served")


# --- many at once -----------------------------------------------------------------------------------------------------

def test_many_push_the_same_blob(stele):
    with Server(stele) as server:
        content = generated(700_000, "same")
        digests = in_threads(24, lambda number: push_blob(server, f"r{number % 6}", content))
        check(set(digests) == {sha256(content)}, "pushed")
        for number in range(6):
            check(request(server, "GET", f"/v2/r{number}/blobs/{digests[0]}").body == content, "served")
        server.count_files("blobs", 1)
        server.count_files("uploads", 0)


def test_one_session_has_one_writer(stele):
    with Server(stele) as server:
        upload = start_upload(server, "a")
        answers = in_threads(16, lambda number: request(server, "PATCH", upload, ["Content-Range: 0-99999"], bytes([number]) * 100_000))
        won = [number for number, answer in enumerate(answers) if answer.status == 202]
        check(len(won) == 1 and {answer.status for answer in answers} <= {202, 409, 416}, f"one has won: {[answer.status for answer in answers]}")
        content = bytes([won[0]]) * 100_000
        digest = sha256(content)
        answers = in_threads(16, lambda _: request(server, "PUT", f"{upload}?digest={digest}"))
        statuses = sorted(answer.status for answer in answers)
        check(201 in statuses and set(statuses) <= {201, 503}, f"each is told to come again or has what it wants: {statuses}")
        check(all(answer.get("Retry-After") for answer in answers if answer.status == 503), "when to come again")
        check("stele_uploads_finished_total 1\n" in request(server, "GET", "/metrics").body.decode(), "finished once")
        check(request(server, "GET", f"/v2/a/blobs/{digest}").body == content, "the winner's bytes")


def test_an_upload_whose_request_hangs_can_be_asked_and_is_not_disturbed(stele):
    with Server(stele) as server:
        content = generated(300_000, "hung")
        digest = sha256(content)
        upload = start_upload(server, "a")
        check(request(server, "PATCH", upload, body=content[:100_000]).get("Range") == "0-99999", "acknowledged")
        hung = Connection(server)
        # The server invites the body when the request has the session: from here on it is at work.
        hung.send(head("PATCH", upload, "Content-Length: 100000", "Expect: 100-continue"))
        check(hung.read_answer("PATCH").status == 100, "at work")
        hung.send(content[100_000:150_000])
        answer = request(server, "GET", upload)
        check(answer.status == 204 and answer.get("Range") == "0-99999", "what is acknowledged, at once", answer)
        answer = request(server, "PATCH", upload, ["Content-Range: 100000-199999"], content[100_000:200_000])
        check(answer.status == 409, "a second PATCH", answer)
        answer = request(server, "DELETE", upload)
        check(answer.status == 409, "a DELETE", answer)
        answer = request(server, "PUT", f"{upload}?digest={digest}", body=content[100_000:])
        check(answer.status == 503 and answer.get("Retry-After"), "a closing PUT comes again", answer)
        hung.send(content[150_000:200_000])
        answer = hung.read_answer("PATCH")
        check(answer.status == 202 and answer.get("Range") == "0-199999", "the first was not disturbed", answer)
        hung.close()
        check(request(server, "PUT", f"{upload}?digest={digest}", body=content[200_000:]).status == 201, "finished")
        check(request(server, "GET", f"/v2/a/blobs/{digest}").body == content, "whole")


def test_a_tag_that_many_move_is_always_one_of_theirs(stele):
    with Server(stele) as server:
        config = push_blob(server, "a", b"{}")
        images = [manifest(config, f"{number}") for number in range(12)]
        check(put_manifest(server, "a", "t", images[0]).status == 201, "pushed")

        def work(number):
            for turn in range(8):
                if number < 8:
                    check(put_manifest(server, "a", "t", images[(number + turn) % 12]).status == 201, "moved")
                else:
                    answer = request(server, "GET", "/v2/a/manifests/t")
                    check(answer.status == 200 and answer.body in images and answer.get("Docker-Content-Digest") == sha256(answer.body), "one of them", answer)
        in_threads(16, work)
        check(request(server, "GET", "/v2/a/tags/list").json()["tags"] == ["t"], "one tag")


def test_pushes_beside_deletions_leave_nothing_dangling(stele):
    """I2: a manifest that was acknowledged has its blob, whatever was deleted at the same time."""
    with Server(stele) as server:
        def work(number):
            for turn in range(12):
                if number % 2:
                    answer = request(server, "DELETE", f"/v2/a/blobs/{sha256(b'{}')}")
                    check(answer.status in (202, 404, 409), "deleted or needed", answer)
                else:
                    push_blob(server, "a", b"{}")
                    answer = put_manifest(server, "a", f"t{number}-{turn}", manifest(sha256(b"{}"), f"{number} {turn}"))
                    check(answer.status in (201, 400), "stored or refused", answer)
        in_threads(12, work)
        tags = request(server, "GET", "/v2/a/tags/list").json()["tags"]
        check(not tags or request(server, "GET", f"/v2/a/blobs/{sha256(b'{}')}").body == b"{}", "no tag dangles")


# --- lists ------------------------------------------------------------------------------------------------------------

def pages(server, target, kind):
    """Follows Link, which must stay on this server."""
    while target:
        answer = request(server, "GET", target)
        check(answer.status == 200 and answer.get("Content-Type") == kind, "a page", answer)
        yield answer
        link = answer.get("Link")
        match = link and re.fullmatch(r'<([^>]+)>; rel="next"', link)
        check(not link or (match and not urlsplit(match[1]).netloc), f"a Link of this server: {link}")
        target = match and match[1]


def test_referrers_are_paged_by_bytes(stele):
    with Server(stele) as server:
        config = push_blob(server, "a", b"{}")
        subject = {"mediaType": IMAGE, "digest": sha256(b"subject"), "size": 7}
        pushed = {"x/odd": [], "x/even": []}
        for number in range(64):
            kind = "x/odd" if number % 2 else "x/even"
            content = manifest(config, "n" * 150_000 + str(number), subject=subject, artifactType=kind)
            check(put_manifest(server, "a", sha256(content), content).status == 201, "pushed")
            pushed[kind].append(sha256(content))
        for query, wanted in (("", pushed["x/odd"] + pushed["x/even"]), ("?artifactType=x/odd", pushed["x/odd"])):
            got = list(pages(server, f"/v2/a/referrers/{subject['digest']}{query}", INDEX))
            check(len(got) > 1, f"{len(got)} pages of {query}")
            check(all(len(page.body) <= 4 << 20 for page in got), "no page is larger than 4 MiB")
            check(all(page.get("OCI-Filters-Applied") == ("artifactType" if query else None) for page in got), "the filter is named on every page")
            listed = [entry["digest"] for page in got for entry in page.json()["manifests"]]
            check(sorted(listed) == sorted(wanted), f"{len(listed)} of {len(wanted)} referrers, each once")


def test_tags_are_paged_to_the_last(stele):
    with Server(stele) as server:
        image = manifest(push_blob(server, "a", b"{}"))
        names = [f"v{number}" for number in range(2500)]
        for first in range(0, len(names), 100):
            query = "&".join(f"tag={name}" for name in names[first:first + 100])
            check(put_manifest(server, "a", f"{sha256(image)}?{query}", image).status == 201, "tagged")
        for size in (7, 999, 1000, 1001, 2499, 2500, 2501):
            got = list(pages(server, f"/v2/a/tags/list?n={size}", "application/json"))
            listed = [name for page in got for name in page.json()["tags"]]
            check(listed == sorted(names), f"all, in order, by {size}")
            check(len(got) == -(-len(names) // size), f"{len(got)} pages of {size}")
        check(request(server, "GET", "/v2/a/tags/list").json()["tags"] == sorted(names), "all at once")
        query = "&".join(f"tag=x{number}" for number in range(101))
        check(put_manifest(server, "a", f"{sha256(image)}?{query}", image).status == 400, "101 tags are too many")


def test_a_list_without_n_is_paged_too(stele):
    with Server(stele) as server:
        image = manifest(push_blob(server, "a", b"{}"))
        names = [f"v{number}" for number in range(10_100)]
        for first in range(0, len(names), 100):
            query = "&".join(f"tag={name}" for name in names[first:first + 100])
            check(put_manifest(server, "a", f"{sha256(image)}?{query}", image).status == 201, "tagged")
        got = list(pages(server, "/v2/a/tags/list", "application/json"))
        check([len(page.json()["tags"]) for page in got] == [10_000, 100], f"{len(got)} pages")
        check([name for page in got for name in page.json()["tags"]] == sorted(names), "all, in order")


def most_resident(server):
    """The most memory that the server ever had, in bytes."""
    for line in open(f"/proc/{server.process.pid}/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise Failure("the server is gone")


@measures_memory
def test_slow_readers_of_a_large_manifest_share_its_bytes(stele):
    with Server(stele) as server:
        image = manifest(push_blob(server, "a", b"{}"), "n" * 3_000_000)
        check(put_manifest(server, "a", "big", image).status == 201, "pushed")
        check(request(server, "GET", "/v2/a/manifests/big").body == image, "pulled")
        before = most_resident(server)
        slow = []
        for _ in range(100):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(head("GET", "/v2/a/manifests/big"))
            check(connection.recv(12) == b"HTTP/1.1 200", "each is served")
            slow.append(connection)
        grown = most_resident(server) - before
        check(grown < 40_000_000, f"100 slow readers of 3 MB took {grown:,} bytes (I10)")
        check(request(server, "GET", "/v2/a/manifests/big").body == image, "others are served")
        for connection in slow:
            connection.close()


@measures_memory
def test_slow_writers_of_large_manifests_do_not_fill_the_memory(stele):
    with Server(stele) as server:
        config = push_blob(server, "a", b"{}")
        large, small = manifest(config, "n" * 3_000_000), manifest(config)
        before = most_resident(server)
        sending, slow, refused = {}, [], 0
        for _ in range(60):
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(head("PUT", "/v2/a/manifests/x", f"Content-Type: {IMAGE}", f"Content-Length: {len(large)}"))
            connection.setblocking(False)
            sending[connection] = memoryview(large)[:-1]
            slow.append(connection)
        deadline = time.monotonic() + 30
        while refused < 50:  # of 60: there is room for a few
            check(time.monotonic() < deadline, f"60 bodies of 3 MB were held at once, {refused} were refused (I10)")
            readable, writable, _ = select.select(list(sending), [c for c, rest in sending.items() if rest], [], 1)
            for connection in readable:
                check(connection.recv(12) == b"HTTP/1.1 503", "what there is no room for is answered 503")
                refused += 1
                del sending[connection]
            for connection in writable:
                if connection in sending:
                    sending[connection] = sending[connection][connection.send(sending[connection]):]
        grown = most_resident(server) - before
        check(grown < 60_000_000, f"60 slow writers of 3 MB took {grown:,} bytes (I10)")
        check(put_manifest(server, "a", "small", small).status == 201, "a small one is taken meanwhile")
        for connection in slow:
            connection.close()
        eventually(lambda: put_manifest(server, "a", "big", large).status == 201, "room again when they have left")


# --- other listeners --------------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_metrics_on_a_listener_of_their_own(stele):
    port = free_port()
    with Server(stele, f"metrics: {{listen: '127.0.0.1:{port}'}}\n") as server:
        check(request(server, "GET", "/metrics").status == 404, "not on the main listener")
        check(request(server, "GET", "/readyz").status == 200, "readiness on both")
        there = ("127.0.0.1", port)
        for target, status in (("/metrics", 200), ("/livez", 200), ("/readyz", 200), ("/nothing", 404)):
            connection = Connection(server, address=there)
            connection.send(head("GET", target))
            answer = connection.read_answer("GET")
            check(answer.status == status, target, answer)
            connection.close()
        connection = Connection(server, address=there)
        connection.send(head("GET", "/v2/"))
        check(connection.read_answer("GET").status == 404, "no registry there")
        connection.close()


def identity(name):
    return [f"X-Stele-Test-Identity: {name}"]


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


def test_administration_beyond_loopback(stele):
    """Whoever can only push must not roll back, hold or delete repositories there."""
    server = Server(stele)
    server.listen = "0.0.0.0"
    server.config.write_text("insecure: true\n")
    with server:
        config = push_blob(server, "app", b"{}")
        for note in ("one", "two"):
            check(put_manifest(server, "app", "latest", manifest(config, note)).status == 201, note)
        repository = "/api/v1/repositories/app"
        refused = [("POST", f"{repository}/promote", b'{"reference": "latest", "to": "other"}'), ("POST", f"{repository}/tags/latest/rollback", b""), ("DELETE", repository, b""), ("POST", "/api/v1/holds", b"{}"),
                   ("POST", "/api/v1/holds/1/release", b"{}"), ("DELETE", f"{repository}/tags/latest/lock", b"{}"),
                   ("GET", "/api/v1/policy", None), ("POST", "/api/v1/clock/confirm", b""), ("DELETE", "/api/v1/in-use/eu", b"{}")]
        for method, target, body in refused:
            answer = request(server, method, target, body=body)
            check(answer.status == 403 and answer.json()["errors"][0]["code"] == "DENIED", target, answer)
            local = request(server, method, target, body=body, address=server.data / "stele.sock")
            check(local.status != 403, f"{target} on the socket", local)
        check(request(server, "GET", "/api/v1/policy/explain?repository=app&tag=1.0.0").status == 200, "explain")
        check(request(server, "PUT", "/api/v1/in-use/eu", body=b'{"images": ["app"]}').status == 200, "a report")


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


def routes_and_rights(face):
    """From the tables of the source: [(method, path, right)], so that a new route is tried without a word here."""
    root = Path(__file__).resolve().parents[2] / "api"
    header, source = (root / face / "route.hpp").read_text(), (root / face / f"{face}_handler.cpp").read_text()
    prefix = "/api/v1" if face == "admin" else ""
    paths = {name: prefix + re.sub(r"<(\w+)>", lambda part: {"name": "app", "id": "1", "cluster": "eu", "tag": "a", "reference": "a", "robot": "ci", "user": "ann"}.get(
        part[1], "sha256:" + 64 * "0"), path) for name, path in re.findall(r"^  (\w+), +// (/[^\s,]*)", header, re.M)}
    table = re.findall(r"\{\w*Endpoint::(\w+), Method::(\w+), Right::(\w+),", source)
    check(len(table) == len(re.findall(r"\{\w*Endpoint::\w+, Method::", source)) and {row[0] for row in table} == set(paths), f"{face}: a table that can be read")
    return [({"del": "DELETE"}.get(method, method.upper()), paths[endpoint], right) for endpoint, method, right in table]


def test_every_route_asks_for_its_right(stele):
    """Every route of both faces, for each way in: what is not allowed there is refused, naming the right; the rest is not."""
    network = {"pull", "push", "remove", "report_in_use"}
    names = {"remove": "delete"}
    rights = set()
    with Server(stele) as server:
        for method, path, right in routes_and_rights("admin") + routes_and_rights("oci"):
            rights.add(right)
            what = f"{method} {path} ({right})"
            body = None if method in ("GET", "HEAD") else b"{}"
            if path.endswith("/uploads/sha256:" + 64 * "0"):
                body = b""
            answer = request(server, method, path, ["Via: 1.1 proxy"], body=body)
            check((answer.status == 403) == (right not in network), f"{what} from the network", answer)
            if path == "/api/v1/first-administrator":
                check("the token for the first administrator is not accepted" in answer.message, what, answer)
            elif answer.status == 403:
                named = answer.json()["errors"][0]["detail"]["right"]
                check(named == names.get(right, right.replace("_", "-")), f"{what} names {named}")
            if right == "upkeep":
                check(request(server, method, path, body=body).status == 403, f"{what} from this machine")
    check(network < rights and {"admin", "promote", "rollback", "hold", "release_hold", "bypass_governance", "lifecycle", "upkeep"} < rights, rights)
    expected = {"GET": "pull", "HEAD": "pull", "PUT": "push", "POST": "push", "PATCH": "push", "DELETE": "remove"}
    for method, path, right in routes_and_rights("oci"):
        check(right == ("push" if "/uploads" in path else expected[method]), f"{method} {path} needs {right}")


def test_what_a_proxy_brings_is_never_local(stele):
    """Loopback alone is no right: behind the documented proxy nobody on the network is administrator."""
    target = "/api/v1/policy"
    forwarded = ("Forwarded: for=192.0.2.7", "Via: 1.1 proxy", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "x-real-ip: 192.0.2.7")
    with Server(stele) as server:
        check(request(server, "GET", target).status == 200, "from this machine, unconfigured")
        for field in forwarded:
            answer = request(server, "GET", target, [field])
            check(answer.status == 403 and answer.json()["errors"][0]["detail"]["right"] == "admin", field, answer)
            check(request(server, "GET", target, [field], address=server.data / "stele.sock").status == 200, f"{field} on the socket")
            check(request(server, "GET", "/v2/", [field]).status == 200, f"{field}: pulling goes on")
            promoted = request(server, "POST", "/api/v1/repositories/app/promote", [field], body=b'{"reference": "a", "to": "b"}')
            check(promoted.status == 403 and promoted.json()["errors"][0]["detail"]["right"] == "promote", field, promoted)
    for setting in ('trusted_proxies: [127.0.0.1, "::1"]\n', "external_url: https://registry.example.com\n"):
        server = Server(stele)
        server.config.write_text(setting)
        with server:
            for method, path in (("GET", target), ("DELETE", "/api/v1/repositories/app"), ("POST", "/api/v1/clock/confirm"), ("POST", "/api/v1/holds")):
                answer = request(server, method, path, body=b"{}" if method == "POST" else None)
                check(answer.status == 403 and answer.json()["errors"][0]["code"] == "DENIED", f"{setting}: {method} {path}", answer)
            check(request(server, "GET", target, address=server.data / "stele.sock").status == 200, f"{setting}: the socket")


def test_a_hold_is_told_to_who_may_see_holds(stele):
    """The others learn that there is one, by each way that meets it."""
    with Server(stele) as server:
        config = push_blob(server, "app", b"{}")
        check(put_manifest(server, "app", "latest", manifest(config)).status == 201, "pushed")
        held = request(server, "POST", "/api/v1/holds", body=json.dumps({"name": "merger", "case": "C-42", "repository": "app", "reference": "latest"}).encode())
        check(held.status // 100 == 2, "held", held)
        for method, target in (("DELETE", "/v2/app/manifests/latest"), ("GET", "/api/v1/repositories/app/why?tag=latest")):
            for fields, told in (((), True), (("Via: 1.1 proxy",), False)):
                answer = request(server, method, target, list(fields))
                check(answer.status == (409 if method == "DELETE" else 200) and b"HELD" in answer.body, f"{method} {target}", answer)
                check((b"merger" in answer.body) == told and (b"C-42" in answer.body) == told, f"{method} {target} {fields}", answer)


def test_strangers_do_not_ring_the_storage_alarm(stele):
    """What any scanner gets a 5xx for is no failure of storage (A13)."""
    server = Server(stele)
    server.config.write_text("limits: {connections: 8}\n")
    with server:
        def errors():
            text = request(server, "GET", "/metrics").body.decode()
            return re.search(r"(?m)^stele_store_errors_total (\d+)", text)[1]
        check(request(server, "GET", "/v2/").status == 200, "served")
        connection = Connection(server)
        connection.send(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n")
        check(connection.read_answer("GET").status == 505, "another version")
        connection.close()
        held = [Connection(server) for _ in range(8)]
        for one in held:
            one.send(head("GET", "/v2/"))
            check(one.read_answer("GET").status == 200, "held open")
        refused = Connection(server)
        refused.send(head("GET", "/v2/"))
        check(refused.read_answer("GET").status == 503, "one too many")
        refused.close()
        for one in held:
            one.close()
        server.wait_log(" 505 ")    # counted before it is logged
        check(errors() == "0", "none of it was storage's", errors())


def test_every_lock_is_listed(stele):
    """More of them than fit on a page: an auditor sees all (A14)."""
    server = Server(stele)
    policy = server.directory / "policy.yaml"
    policy.write_text("version: 1\ntag_rules: [{name: keep, tags: ['v*'], mutability: immutable, lock: {for: 30d, mode: governance}}]\n")
    server.config.write_text(f"policy: {policy}\n")
    with server:
        config = push_blob(server, "app", b"{}")
        check(put_manifest(server, "app", "v0", manifest(config)).status == 201, "pushed")
        tags = [f"v{i}" for i in range(1, 1101)]
        for i in range(0, len(tags), 100):
            body = json.dumps({"reference": "v0", "to": "app", "tags": tags[i:i + 100]}).encode()
            answer = request(server, "POST", "/api/v1/repositories/app/promote", body=body)
            check(answer.status == 201, "more tags", answer)
        page = request(server, "GET", "/api/v1/repositories/app/locks").json()
        check(len(page["locks"]) == 1000 and page["next"], "the first page says that there are more")
        check(request(server, "GET", "/api/v1/repositories/app/locks?after=x").status == 400, "no page begins there")
        done = subprocess.run([stele, "lock", "list", "app", "--json", "--data", server.data], capture_output=True, text=True, timeout=20)
        check(sorted(lock["tag"] for lock in json.loads(done.stdout)["locks"]) == sorted(["v0", *tags]), "all of them, once each", done)


def test_nothing_steers_the_terminal_of_who_reads_it(stele):
    """Control characters are refused where people write, and harmless where people read (A15)."""
    with Server(stele) as server:
        config = push_blob(server, "app", b"{}")
        check(put_manifest(server, "app", "latest", manifest(config)).status == 201, "pushed")
        hold = {"name": "trial", "case": "77", "repository": "app"}
        for member in ("name", "case", "reason"):
            for text in ("\x1b]0;x\x07", "a\nb", "\u009b2J", "x" * 501):
                answer = request(server, "POST", "/api/v1/holds", body=json.dumps({**hold, member: text}).encode())
                check(answer.status == 400 and member in answer.json()["errors"][0]["message"], f"{member} {text[:9]!r}", answer)
        for target in ("/api/v1/repositories/app/tags/latest/rollback", "/api/v1/gc/pause"):
            answer = request(server, "POST", target, body=json.dumps({"reason": "\x1b[2J"}).encode())
            check(answer.status == 400 and b"one line of text" in answer.body, target, answer)
        check(request(server, "POST", "/api/v1/holds", body=json.dumps({**hold, "reason": "é" * 250}).encode()).status == 201, "500 bytes")
        # What stands in the catalog from before.
        with contextlib.closing(sqlite3.connect(server.data / "stele.db")) as catalog, catalog:
            catalog.execute("UPDATE holds SET name = ?, case_number = ?", ("a\x1b]0;x\x07b", "c\u009b2J"))
        done = subprocess.run([stele, "hold", "list", "--data", server.data], capture_output=True, timeout=20)
        check(done.returncode == 0 and b"a?]0;x?b" in done.stdout, "shown", done)
        check(b"\x1b" not in done.stdout and b"\xc2\x9b" not in done.stdout, "nothing steers", done)


def test_no_web_page_administers(stele):
    """Neither by a simple request across sites nor by a name that it binds to this machine."""
    with Server(stele) as server:
        def ask(*fields, method="POST", target="/api/v1/gc/pause"):
            return request(server, method, target, fields, body=b"{}" if method == "POST" else None).status
        check(ask() == 200, "a program")
        check(ask("Content-Type: text/plain") == 400, "a simple request")
        check(ask("Origin: http://evil.example") == 403, "another page")
        check(ask("Origin: null") == 403, "a sandboxed page")
        check(ask("Sec-Fetch-Site: cross-site") == 403, "another site")
        check(ask("Origin: http://localhost", "Sec-Fetch-Site: same-origin", target="/api/v1/gc/resume") == 200, "a page of its own")
        check(ask("Host: evil.example") == 403, "a name bound to loopback")
        check(ask("Host: evil.example", method="GET", target="/api/v1/policy") == 403, "a name bound to loopback, reading")
        check(ask("Host: 127.0.0.1:1") == 200, "an address")


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
                return subprocess.run([stele, "policy", "explain", *by, name], capture_output=True, text=True, timeout=20).stdout
            matched, excluded = explain("prod/app:1.4.2"), explain("prod/app:1.4.2-rc1")
            check("releases (tags @semver, repositories prod/**)" in matched, f"{by[0]}: the pattern that matched: {matched}")
            check("nearly:     all: matches too, but rule releases stands before it" in matched, f"{by[0]}: who stands behind: {matched}")
            check("nearly:     releases: tags: @semver matches, but !*-rc* excludes it" in excluded, f"{by[0]}: what keeps it away: {excluded}")
        policy.write_text(rules.replace("prod/**", "Prod/**"))
        checked = subprocess.run([stele, "policy", "check", policy], capture_output=True, text=True, timeout=20)
        check(checked.returncode == 0 and 'did you mean "prod/**"?' in checked.stdout + checked.stderr, f"{checked}")


def test_the_command_line_speaks_to_the_server(stele):
    """Tables for people, --json for programs, exit codes for scripts."""
    with Server(stele) as server:
        config = push_blob(server, "app", b"{}")
        one, two = manifest(config, "one"), manifest(config, "two")
        for tag, content in (("1.0.0", one), ("latest", one), ("latest", two)):
            check(put_manifest(server, "app", tag, content).status == 201, tag)

        def run(*arguments, code=0, by=("--data", server.data)):
            done = subprocess.run([stele, *arguments, *by], capture_output=True, text=True, timeout=20)
            check(done.returncode == code, f"{arguments}: {done.returncode}, {done.stdout}{done.stderr}")
            check("\033" not in done.stdout, "colours only on a terminal")
            return done.stdout if code == 0 else done.stderr

        listed = run("tag", "list", "app").splitlines()
        check(listed[0].split() == ["TAG", "DIGEST", "MUTABILITY", "RULE", "PUSHED", "BY"], listed)
        check([line.split()[:4] for line in listed[1:]] == [["1.0.0", sha256(one)[:19], "immutable", "releases"],
                                                            ["latest", sha256(two)[:19], "mutable", "default"]], listed)
        tags = json.loads(run("tag", "list", "app", "--json"))["tags"]
        check([tag["digest"] for tag in tags] == [sha256(one), sha256(two)], tags)
        check("tag.set" in run("tag", "history", "app:latest"), "history")
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
        check(run("tag", "at", "app:latest", now).strip() == sha256(two), "at")
        run("tag", "at", "app:latest", "2001-01-01T00:00:00Z", code=4)
        run("tag", "at", "app:latest", "noon", code=2)
        check(f"points to {sha256(one)}" in run("tag", "rollback", "app:latest", "--reason", "broken"), "rollback")
        check("broken" in run("tag", "history", "app:latest"), "the reason is kept")
        check("is immutable (rule releases)" in run("tag", "promote", f"app@{sha256(two)}", "app:1.0.0", code=3), "refused")
        check(f"{sha256(two)} is now prod/app:2.0.0, prod/app:stable" in run("tag", "promote", f"app@{sha256(two)}", "prod/app:2.0.0", "--tag", "stable"), "promoted")
        url = f"http://{server.host}:{server.port}"
        check(json.loads(run("tag", "list", "prod/app", "--json", by=("--server", url)))["tags"][0]["tag"] == "2.0.0", "by URL")
        token = server.directory / "token"
        token.write_text("secret")
        for host in ("192.0.2.1", "localhost.example", "127.0.0.1:1@192.0.2.1"):
            said = run("tag", "list", "app", code=2, by=("--server", f"http://{host}", "--token-file", token))
            check("in the clear" in said, f"no token to {host} without TLS", said)
        run("tag", "list", "prod/app", by=("--server", url, "--token-file", token))
        with_proxy = subprocess.run([stele, "tag", "list", "app", "--data", server.data], capture_output=True, text=True, timeout=20,
                                    env={**os.environ, "ALL_PROXY": "socks5://127.0.0.1:1"})
        check(with_proxy.returncode == 0, "a proxy is not asked for the socket", with_proxy)
        run("tag", "list", "nobody", code=4)
        run("tag", "list", "app", code=1, by=("--data", server.directory / "nowhere"))
        run("tag", "list", "app", code=1, by=("--server", f"http://{server.host}:{free_port()}"))
        check("hold 1 (trial) is set on app:latest" in run("hold", "set", "trial", "app:latest", "--case", "77"), "hold")
        check(request(server, "DELETE", "/v2/app/manifests/latest").status == 409, "held")
        check(run("hold", "list").splitlines()[1].split()[:3] == ["1", "trial", "77"], "listed")
        run("hold", "release", "1", "--reason", "settled")
        check(request(server, "DELETE", "/v2/app/manifests/latest").status == 202, "released")
        check("immutable" in run("policy", "explain", "app:1.0.0") and sha256(one) in run("policy", "explain", "app:1.0.0"), "explained")
        check("locks go by 20" in run("clock", "show"), "clock")
        run("lock", "release", "app:1.0.0", "--reason", "none", code=4)


def test_upkeep_is_not_on_the_network(stele):
    with Server(stele) as server:
        for target in ("/api/v1/backup", "/api/v1/sweep?grace_seconds=0"):
            answer = request(server, "POST", target, body=b"")
            check(answer.status == 403 and "local socket" in answer.json()["errors"][0]["message"], target, answer)
        connection = Connection(server, address=server.data / "stele.sock")
        connection.send(head("GET", "/v2/"))
        check(connection.read_answer("GET").status == 404, "no registry on the socket")
        connection.send(head("POST", "/api/v1/sweep?grace_seconds=0", "Content-Length: 0"))
        answer = connection.read_answer("POST")
        check(answer.status == 200 and answer.json()["blobs_removed"] == 0, "a sweep", answer)
        connection.send(head("POST", "/api/v1/sweep?grace_seconds=-1", "Content-Length: 0"))
        check(connection.read_answer("POST").status == 400, "a bad grace")
        connection.close()


# --- TLS --------------------------------------------------------------------------------------------------------------

class Authority:
    """A certificate authority made for one test."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.ca, self.cert, self.key = (self.directory / name for name in ("ca.crt", "server.crt", "server.key"))
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=Test CA",
                     "-keyout", "ca.key", "-out", "ca.crt")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def issue(self, name, subject, serial):
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject}",
                     "-keyout", f"{name}.key.new", "-out", f"{name}.csr")
        (self.directory / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", str(serial), "-days", "2",
                     "-extfile", "san", "-out", f"{name}.crt.new")
        for suffix in ("key", "crt"):
            (self.directory / f"{name}.{suffix}.new").rename(self.directory / f"{name}.{suffix}")

    def client(self, certificate=None):
        context = ssl.create_default_context(cafile=self.ca)
        if certificate:
            context.load_cert_chain(self.directory / f"{certificate}.crt", self.directory / f"{certificate}.key")
        return context


def tls_server(stele, client_ca=False):
    server = Server(stele)
    authority = Authority(server.directory)
    authority.issue("server", "localhost", 1)
    lines = f"tls: {{cert: {authority.cert}, key: {authority.key}{f', client_ca: {authority.ca}' if client_ca else ''}}}\n"
    server.config.write_text(lines)
    return server, authority


def presented_serial(server, context):
    connection = Connection(server, context)
    try:
        return connection.socket.getpeercert()["serialNumber"]
    finally:
        connection.close()


def test_tls(stele):
    server, authority = tls_server(stele)
    with server:
        check("serves https://" in server.said(), server.said())
        context = authority.client()
        content = generated(5 << 20, "tls")
        digest = push_blob(server, "a", content, context)
        check(request(server, "GET", f"/v2/a/blobs/{digest}", tls=context).body == content, "the blob comes back")
        answer = request(server, "GET", f"/v2/a/blobs/{digest}", ["Range: bytes=100-199,1000000-3000000"], tls=context)
        check(answer.status == 206 and content[100:200] in answer.body and content[1000000:3000001] in answer.body, "ranges")
        context.set_alpn_protocols(["h2", "http/1.1"])
        connection = Connection(server, context)
        check(connection.socket.selected_alpn_protocol() == "http/1.1", "ALPN")
        check(connection.socket.version() in ("TLSv1.2", "TLSv1.3"), connection.socket.version())
        for _ in range(3):
            connection.send(head("GET", "/v2/"))
            check(connection.read_answer("GET").status == 200, "kept alive")
        connection.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            Connection(server, ssl.create_default_context()).close()
            raise Failure("a client that does not know the authority must not be content: the test is wrong")
        old = authority.client()
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        try:
            Connection(server, old).close()
            raise Failure("TLS 1.1 was accepted")
        except (ssl.SSLError, ConnectionError):
            pass
        plain = Connection(server)
        plain.send(head("GET", "/v2/"))
        while plain.fill():
            pass
        check(not plain.buffer.startswith(b"HTTP/1.1 2"), f"plain HTTP is not served: {plain.buffer[:100]!r}")
        check(request(server, "GET", "/v2/", tls=context).status == 200, "still served")
        check(server.stop() == 0, "stopped")


def test_client_certificates(stele):
    server, authority = tls_server(stele, client_ca=True)
    authority.issue("alice", "alice", 7)
    with server:
        answer = request(server, "GET", "/v2/", tls=authority.client("alice"))
        check(answer.status == 200, "with a certificate", answer)
        server.wait_log(f'{answer.get("X-Request-Id")} 127\\.0\\.0\\.1 "cert:alice" GET "/v2/" 200')
        authority.issue("eve", "eve\x1b[2J", 9)
        answer = request(server, "GET", "/v2/", tls=authority.client("eve"))
        server.wait_log(f'{answer.get("X-Request-Id")} 127\\.0\\.0\\.1 "?anonymous"? GET "/v2/" 200')
        other = Server(stele)
        stranger = Authority(other.directory)
        stranger.issue("alice", "alice", 8)
        for what, context in (("without", authority.client()), ("with a stranger's", authority.client())):
            if what != "without":
                context.load_cert_chain(stranger.directory / "alice.crt", stranger.directory / "alice.key")
            try:
                answer = request(server, "GET", "/v2/", tls=context)
                raise Failure(f"served {what} certificate", answer)
            except (ssl.SSLError, ConnectionError):
                pass
            except Failure as failure:      # TLS 1.3: the alert comes after the handshake
                check("ended before an answer" in str(failure), str(failure))
        other.remove()


def test_certificates_are_read_again(stele):
    server, authority = tls_server(stele)
    with server:
        context = authority.client()
        check(presented_serial(server, context) == "01", "the first")
        held = Connection(server, context)
        authority.issue("server", "localhost", 2)
        server.signal(signal.SIGHUP)
        eventually(lambda: presented_serial(server, context) == "02", "the second, on SIGHUP")
        authority.issue("server", "localhost", 3)
        eventually(lambda: presented_serial(server, context) == "03", "the third, for the file has changed")
        authority.cert.write_text("no certificate")
        server.wait_log("the old ones stay in force")
        check(presented_serial(server, context) == "03", "a broken file changes nothing")
        held.send(head("GET", "/v2/"))
        check(held.read_answer("GET").status == 200, "old connections go on")
        held.close()
        authority.issue("server", "localhost", 4)
        eventually(lambda: presented_serial(server, context) == "04", "the fourth, when the file is whole again")


def test_broken_tls_files_keep_the_server_from_starting(stele):
    server, authority = tls_server(stele)
    whole = authority.cert.read_text()
    authority.cert.write_text("nonsense")
    said = server.refuses()
    check("tls.cert" in said and str(authority.cert) in said, said)
    authority.cert.write_text(whole)
    authority.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "server.key")
    said = server.refuses()
    check("tls.key" in said, said)
    server.remove()
