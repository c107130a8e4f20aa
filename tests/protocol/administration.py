"""Who may administer, and what that shows. Each test_* function is a test."""
import contextlib
import json
import re
import sqlite3
import subprocess

from common import check, head, manifest, put_manifest, routes_and_rights
from wire import Connection, Server, push_blob, request


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
            if path.startswith("/api/v1/account/tokens"):   # no right opens it: where nobody logs in nobody has one
                check(answer.status == 403 and "api tokens are for who logs in with a password" in answer.message, what, answer)
                continue
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
        done = subprocess.run([stele, "lock", "list", "app", "--json", "--data", server.data], capture_output=True, text=True, timeout=60)
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
        done = subprocess.run([stele, "hold", "list", "--data", server.data], capture_output=True, timeout=60)
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
