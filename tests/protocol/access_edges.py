"""Access where it meets something else: time, size, names that come back, the machine's other users, paths that need no right."""
import glob
import os
import re
import signal
from pathlib import Path

from common import check, head, needs_root, sha256
from logins import ALICES, ask, basic, bearer, push, server_with_users, token_of, write
from wire import Connection, eventually, request

ROOT = Path(__file__).resolve().parents[2]
BOBS = basic("bob", "pässword:with colon")
LARGE = 8 << 20


def with_rules(server, rules):
    policy = server.directory / "policy.yaml"
    policy.write_text("version: 1\naccess_rules:\n" + "".join(f"  - {rule}\n" for rule in rules))
    with server.config.open("a") as config:
        config.write(f"policy: {policy}\n")
    return server


def test_a_token_from_before_a_repository_was_removed_is_good_for_what_the_rules_say_now(stele):
    """By name, as rules are: for the repository of that name, whoever made it; and for nothing of the one before."""
    with with_rules(server_with_users(stele), ['{who: ["user:alice"], repositories: ["app"], allow: [pull, push]}']) as server:
        local = server.data / "stele.sock"
        check(push(server, ALICES).status == 201, "an image")
        old = request(server, "GET", "/v2/app/manifests/1", ALICES)
        session = request(server, "POST", "/v2/app/blobs/uploads/", ALICES, body=b"").get("Location")
        token = bearer(token_of(ask(server, ALICES, "repository:app:pull,push")))
        removed = request(server, "DELETE", "/api/v1/repositories/app", address=local)
        check(removed.status in (200, 202, 204), "removed", removed)
        for what in ("manifests/1", f"manifests/{old.get('Docker-Content-Digest')}", f"blobs/{sha256(b'{}')}", "tags/list"):
            check(request(server, "GET", f"/v2/app/{what}", token).status == 404, f"{what}: nothing of it by the token")
        check(request(server, "GET", session, token).status == 204, "an upload that had begun is still his")
        check(push(server, token, tag="2").status == 201, "made anew by the same token, whose right stands")
        check(request(server, "GET", "/v2/app/manifests/1", token).status == 404, "what was there before is not")
        write(server.directory / "policy.yaml", 'version: 1\naccess_rules:\n  - {who: ["user:bob"], repositories: ["app"], allow: [pull, push]}\n')
        server.signal(signal.SIGHUP)
        eventually(lambda: request(server, "GET", "/v2/app/manifests/2", token).status == 403, "and ends with the rule")


def test_who_may_not_is_told_before_the_body(stele):
    """No 100 for it; and a client that sends first and reads later still sees why."""
    with with_rules(server_with_users(stele), ['{who: ["user:alice"], repositories: ["**"], allow: [pull, push]}']) as server:
        session = request(server, "POST", "/v2/app/blobs/uploads/", ALICES, body=b"").get("Location")
        narrow = bearer(token_of(ask(server, ALICES, "repository:other:pull,push")))
        routes = [("PATCH", session), ("PUT", f"{session}?digest={sha256(b'')}"), ("POST", f"/v2/app/blobs/uploads/?digest={sha256(b'')}"), ("PUT", "/v2/app/manifests/1")]
        for what, who, status, code in (("nobody", [], 401, "UNAUTHORIZED"), ("a wrong password", basic("alice", "wrong"), 401, "UNAUTHORIZED"),
                                        ("a token for another one", narrow, 401, "UNAUTHORIZED"), ("who has no right", BOBS, 403, "DENIED")):
            for method, target in routes:
                for length in (f"Content-Length: {LARGE}", "Transfer-Encoding: chunked"):
                    connection = Connection(server)
                    connection.send(head(method, target, *who, "Expect: 100-continue", length))
                    answer = connection.read_answer(method)
                    check(answer.status == status and answer.code == code, f"{what}: {method} {target}, {length}: at once", answer)
                    connection.close()
                connection = Connection(server)
                connection.send(head(method, target, *who, f"Content-Length: {LARGE}"))
                for _ in range(LARGE >> 20):
                    connection.send(b"x" * (1 << 20))
                answer = connection.read_answer(method)
                check(answer.status == status and answer.code == code, f"{what}: {method} {target}: after the body", answer)
                connection.close()
        check(request(server, "GET", session, ALICES).get("Range") == "0-0", "nothing of it came in")


def with_a_clock(server, stele):
    """Its time of day goes wrong by as many seconds as the file says."""
    libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    check(libraries, "libfaketime is needed and not installed: apt-get install libfaketime")
    offset, wrapper = server.directory / "offset", server.directory / "stele"
    offset.write_text("+0")
    wrapper.write_text(f"#!/bin/sh\nexec env LD_PRELOAD={libraries[0]} FAKETIME_TIMESTAMP_FILE={offset} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 {stele} \"$@\"\n")
    wrapper.chmod(0o755)
    server.stele = wrapper
    return offset


def test_an_upload_outlives_its_token(stele):
    """A9: what has begun is received to its end; what comes after it asks for another token, and loses no byte."""
    server = server_with_users(stele)
    offset = with_a_clock(server, stele)
    with server:
        content = b"0123456789" * 1000
        digest = sha256(content)
        session = request(server, "POST", "/v2/app/blobs/uploads/", ALICES, body=b"").get("Location")
        token = bearer(token_of(ask(server, ALICES, "repository:app:pull,push")))
        connection = Connection(server)
        connection.send(head("PATCH", session, *token, f"Content-Length: {len(content)}", "Expect: 100-continue"))
        check(connection.read_answer("PATCH").status == 100, "it may begin")
        connection.send(content[:4000])
        write(offset, "+7200")
        check(request(server, "GET", "/v2/", token).status == 401, "the token has ended meanwhile")
        for at in range(4000, len(content), 1000):
            connection.send(content[at:at + 1000])
        answer = connection.read_answer("PATCH")
        check(answer.status == 202 and answer.get("Range") == f"0-{len(content) - 1}", "received to its end", answer)
        closing = f"{session}?digest={digest}"
        connection.send(head("PUT", closing, *token, "Content-Length: 0"))
        answer = connection.read_answer("PUT")
        check(answer.status == 401 and answer.get("WWW-Authenticate").endswith('scope="repository:app:pull,push",error="invalid_token"'), "the next one is told", answer)
        connection.close()
        token = bearer(token_of(ask(server, ALICES, "repository:app:pull,push")))
        check(request(server, "GET", session, token).get("Range") == f"0-{len(content) - 1}", "as it was")
        check(request(server, "PUT", closing, token, body=b"").status == 201, "with another token it ends")
        check(request(server, "GET", f"/v2/app/blobs/{digest}", token).body == content, "every byte")


test_an_upload_outlives_its_token.preloads = True     # before the program: not where that has a sanitizer in it


def as_another(server, uid, method, target):
    """One exchange on the local socket by somebody else: the kernel notes who connects."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        connection = Connection(server, address=server.data / "stele.sock")
    finally:
        os.seteuid(0)
        os.setegid(0)
    connection.send(head(method, target, "Content-Length: 0"))
    answer = connection.read_answer(method)
    connection.close()
    return answer


@needs_root
def test_the_local_socket_is_for_its_users_whoever_can_open_it(stele):
    """The kernel says who is at the other end."""
    for login in (True, False):
        server = server_with_users(stele) if login else server_with_users(stele, ttl=0)
        if not login:
            server.config.write_text("")
        with server:
            socket_path = server.data / "stele.sock"
            for path in (server.directory, server.data):
                path.chmod(0o711)
            socket_path.chmod(0o666)

            for method, target in (("GET", "/api/v1/policy"), ("GET", "/api/v1/robots"), ("POST", "/api/v1/gc"), ("GET", "/v2/_catalog"), ("POST", "/v2/app/blobs/uploads/")):
                answer = as_another(server, 65534, method, target)
                check(answer.status == 403 and answer.code == "DENIED", f"{method} {target}, with users {login}", answer)
            check(as_another(server, 0, "GET", "/api/v1/policy").status == 200, "root")
            check("local:65534" in server.logged(), "by the name that the kernel vouches for")


# What is answered to all, whoever they are: a new one is to be thought about, and put here.
OPEN = {"/livez", "/readyz", "/metrics", "/token", "/token/keys", "/"}


def test_paths_that_need_no_right_are_these_and_no_others(stele):
    """Routes below /v2/ and /api/v1/ have a right each, or do not compile; these are answered before."""
    front = (ROOT / "server/front_handler.cpp").read_text()
    handled = front[front.index("FrontHandler::handle("):]
    sources = [handled, (ROOT / "api/operations/operations_handler.cpp").read_text(), (ROOT / "api/token/token_handler.cpp").read_text()]
    paths = {path for text in sources for path in re.findall(r'(?:==|_path =) "(/[^"]*)"', text)}
    check(paths == OPEN, f"{paths ^ OPEN}")
    check(re.findall(r"(\w+)::serves\(", handled) == ["OperationsHandler", "TokenHandler", "AdminHandler"] and handled.count("co_return") == 5, "no other way past the tables")
    with with_rules(server_with_users(stele), ['{who: ["user:alice"], repositories: ["**"], allow: [pull, push, admin]}']) as server:
        check(push(server, ALICES, "team/app").status == 201, "an image")
        for path in OPEN:
            answer = request(server, "GET", path)
            check(answer.status == 200 and b"team/app" not in answer.body and b"alice" not in answer.body, f"{path}: to all, and nothing of anybody's", answer)
        for path in ("/v2/", "/v2/_catalog", "/api/v1/policy", "/api/v1/usage"):
            check(request(server, "GET", path).status == 401, path)
        for path in ("/livez/", "/LIVEZ", "/metrics/all", "/token/", "/token/keys/1", "/api", "/api/v2", "/v1/", "/debug", "/.well-known/x", "/stele.db"):
            answer = request(server, "GET", path)
            check(answer.status in (401, 404), f"{path}: nothing is there", answer)
