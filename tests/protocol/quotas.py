"""Storage quotas over the wire. Each test_* function is a test."""
import json
import threading

from common import IMAGE, check, manifest, put_manifest, sha256
from wire import Server, eventually, push_blob, request

LARGE = 60_000


def with_quota(stele, size="100KiB"):
    server = Server(stele)
    policy = server.directory / "policy.yaml"
    policy.write_text(f"version: 1\nquotas:\n  - {{name: small, repositories: [\"team/**\"], storage: {size}}}\n")
    with server.config.open("a") as config:
        config.write(f"policy: {policy}\n")
    return server, policy


def whole(server, repository, content):
    """POST with ?digest=: an upload in one request."""
    return request(server, "POST", f"/v2/{repository}/blobs/uploads/?digest={sha256(content)}", ["Content-Type: application/octet-stream"], content)


def refusals(server):
    text = request(server, "GET", "/metrics").body.decode()
    return int(next(line for line in text.splitlines() if line.startswith("stele_quota_refusals_total ")).split()[1])


def test_a_push_beyond_the_quota_is_denied_with_the_numbers(stele):
    server, policy = with_quota(stele)
    with server:
        config = push_blob(server, "team/app", b"{}")
        check(whole(server, "team/app", b"a" * LARGE).status == 201, "what has room comes in")
        check(put_manifest(server, "team/app", "v1", manifest(config, "one")).status == 201, "and its manifest")
        refused = whole(server, "team/app", b"b" * LARGE)
        check(refused.status == 403, "what has none is denied", refused)
        error = refused.json()["errors"][0]
        detail = error["detail"]
        check(error["code"] == "DENIED" and detail["reason"] == "QUOTA_EXCEEDED" and detail["rule"] == "quota small (line 3)", "by whom", refused)
        check(detail["quota_bytes"] == "102400" and detail["added_bytes"] == str(LARGE) and detail["pattern"] == "team/**", "with the numbers", refused)
        usage = next(row for row in request(server, "GET", "/api/v1/usage").json()["repositories"] if row["repository"] == "team/app")
        check(detail["used_bytes"] == str(usage["logical_bytes"]) and usage["quota_bytes"] == 102400, "those of usage", usage)
        check("team/app may hold 100 KiB" in error["message"] and "stele usage team/app" in error["message"], "in words", refused)
        check(request(server, "HEAD", f"/v2/team/app/blobs/{sha256(b'b' * LARGE)}").status == 404, "nothing of it is there")
        check(whole(server, "other/app", b"b" * LARGE).status == 201, "other repositories are not meant")
        check(request(server, "GET", "/v2/team/app/manifests/v1").status == 200, "pulling is never refused")
        # A mount is a push.
        mounted = request(server, "POST", f"/v2/team/app/blobs/uploads/?mount={sha256(b'b' * LARGE)}&from=other/app")
        check(mounted.status == 403 and mounted.json()["errors"][0]["code"] == "DENIED", "a mount", mounted)
        # A larger quota holds with the next request after it is in force.
        policy.write_text(policy.read_text().replace("100KiB", "200KiB"))
        eventually(lambda: whole(server, "team/app", b"b" * LARGE).status == 201, "the larger quota")
        check(refusals(server) >= 2, "counted")


def test_a_full_repository_takes_no_upload_but_moves_tags_and_deletes(stele):
    server, _ = with_quota(stele, "60KiB")
    with server:
        config = push_blob(server, "team/app", b"{}")
        one = manifest(config, "one")
        check(put_manifest(server, "team/app", "v1", one).status == 201, "a manifest")
        rest = 60 * 1024 - 2 - len(one)
        check(whole(server, "team/app", b"r" * rest).status == 201, "to the last byte")
        refused = request(server, "POST", "/v2/team/app/blobs/uploads/")
        check(refused.status == 403 and "nothing more can be pushed to it" in refused.json()["errors"][0]["message"], "no session begins", refused)
        check(whole(server, "team/app", b"r" * rest).status == 201, "what is there may be sent again")
        check(put_manifest(server, "team/app", "v2", one).status == 201, "a further tag takes nothing")
        check(put_manifest(server, "team/app", "v3", manifest(config, "two")).status == 403, "a further manifest does")
        check(request(server, "DELETE", "/v2/team/app/manifests/v2").status == 202, "deleting is never refused")
        check(request(server, "DELETE", f"/v2/team/app/blobs/{sha256(b'r' * rest)}").status == 202, "nor of a blob")
        check(request(server, "POST", "/v2/team/app/blobs/uploads/").status == 202, "and makes room")


def test_of_two_pushes_at_once_that_are_too_much_together_one_is_let_in(stele):
    server, _ = with_quota(stele, "100000")
    with server:
        for round_number in range(10):
            answers, ready = [], threading.Barrier(2)

            def push(letter, repository=f"team/r{round_number}"):
                content = letter * LARGE
                ready.wait()
                answers.append(whole(server, repository, content).status)
            threads = [threading.Thread(target=push, args=(letter,)) for letter in (b"x", b"y")]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            check(sorted(answers) == [201, 403], f"exactly one: {answers}")


def test_a_promotion_into_a_full_repository_is_denied(stele):
    server, _ = with_quota(stele)
    with server:
        config = push_blob(server, "ci/app", b"{}")
        layer = b"l" * 110_000
        image = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": {"mediaType": "a/b", "digest": config, "size": 2},
                            "layers": [{"mediaType": "a/b", "digest": push_blob(server, "ci/app", layer), "size": len(layer)}]}).encode()
        check(put_manifest(server, "ci/app", "v1", image).status == 201, "a build")
        body = json.dumps({"reference": "v1", "to": "team/app", "tags": ["v1"]}).encode()
        refused = request(server, "POST", "/api/v1/repositories/ci%2Fapp/promote", ["Content-Type: application/json"], body)
        check(refused.status == 403 and refused.json()["errors"][0]["detail"]["reason"] == "QUOTA_EXCEEDED", "denied", refused)
        check(request(server, "GET", "/v2/team/app/tags/list").status == 404, "and nothing is there")
