"""Who the caller is: names and passwords, tokens. Each function is a scenario, as in scenarios.py."""
import base64
import os

from scenarios import IMAGE, check, manifest, sha256
from wire import Connection, Server, eventually, in_threads, request

# "correct horse" and "pässword:with colon", as cheap as they come.
ALICE = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
BOB = "$2b$04$zbcdefghijklmnopqrstuu.9YNtuJ9MzUaAOHof3eEXvC8izGh3zS"
BASIC = 'Basic realm="stele", charset="UTF-8"'


def basic(user, password):
    return ["Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()]


ALICES = basic("alice", "correct horse")


def write(file, text):
    """At once, as an editor does."""
    following = file.with_suffix(".next")
    following.write_text(text)
    os.replace(following, file)


def server_with_users(stele, config=""):
    server = Server(stele)
    server.users = server.directory / "users"
    server.users.write_text(f"# people\nalice:{ALICE}\nbob:{BOB}\n")
    server.config.write_text(f"auth: {{htpasswd: {{file: {server.users}}}}}\n{config}")
    return server


def push(server, who, repository="app", tag="1"):
    config = b"{}"
    answer = request(server, "POST", f"/v2/{repository}/blobs/uploads/?digest={sha256(config)}", who, body=config)
    check(answer.status == 201, "a blob", answer)
    content = manifest(sha256(config), tag)
    return request(server, "PUT", f"/v2/{repository}/manifests/{tag}", [*who, f"Content-Type: {IMAGE}"], body=content)


def test_who_logs_in_pulls_and_pushes_and_nobody_else(stele):
    with server_with_users(stele) as server:
        check(push(server, ALICES).status == 201, "alice pushes")
        for who in (ALICES, basic("bob", "pässword:with colon")):
            check(request(server, "GET", "/v2/", who).status == 200, "the version")
            check(request(server, "GET", "/v2/app/manifests/1", who).status == 200, "pulling")
            check(request(server, "GET", "/v2/_catalog", who).status == 200, "the catalog")
            refused = request(server, "GET", "/api/v1/policy", who)
            check(refused.status == 403 and not refused.all("WWW-Authenticate"), "administration is for the socket", refused)
        routes = [("GET", "/v2/"), ("HEAD", "/v2/"), ("GET", "/v2/_catalog"), ("GET", "/v2/app/tags/list"), ("GET", "/v2/app/manifests/1"),
                  ("HEAD", "/v2/app/manifests/1"), ("GET", "/v2/app/manifests/absent"), ("GET", f"/v2/app/blobs/{sha256(b'{}')}"),
                  ("POST", "/v2/app/blobs/uploads/"), ("DELETE", "/v2/app/manifests/1"), ("GET", "/api/v1/policy")]
        wrong = {"nobody": [], "wrong": basic("alice", "wrong"), "unknown": basic("carol", "wrong"), "empty": basic("alice", ""),
                 "empty name": basic("", "correct horse"), "case": basic("Alice", "correct horse"), "no colon": ["Authorization: Basic YWxpY2U="],
                 "NUL": basic("alice", "correct horse\0"), "no scheme": ["Authorization: correct horse"], "digest": ["Authorization: Digest a"],
                 "twice": ALICES + ALICES, "long": basic("alice", "x" * 20000), "bearer": ["Authorization: Bearer a.b.c"]}
        said = set()
        for what, who in wrong.items():
            for method, target in routes:
                answer = request(server, method, target, who, body=b"" if method == "POST" else None)
                check(answer.status == 401 and len(answer.all("WWW-Authenticate")) == 1, f"{what}: {method} {target}", answer)
                if method != "HEAD":
                    check(answer.code == "UNAUTHORIZED", f"{what}: {method} {target}", answer)
                    if what in ("wrong", "unknown", "empty", "case"):
                        said.add(answer.message)
        check(len(said) == 1, f"what is wrong is not told: {said}")
        check(request(server, "GET", "/livez").status == 200, "health is for all")
        local = server.data / "stele.sock"
        check(request(server, "GET", "/api/v1/policy", address=local).status == 200, "the socket needs no password")
        log = server.log_text()
        check("user:alice" in log, "the log names who asked")
        secrets = ("correct horse", "pässword", "Y29ycmVjdCBob3JzZQ", ALICES[0].split()[-1], ALICE, BOB)
        check(not any(secret in log for secret in secrets), "and no secret")


def test_a_change_of_the_users_holds_at_the_next_request(stele):
    with server_with_users(stele) as server:
        for round_ in range(3):
            check(request(server, "GET", "/v2/", ALICES).status == 200, "alice is there")
            write(server.users, f"bob:{BOB}\n")
            check(request(server, "GET", "/v2/", ALICES).status == 401, f"alice is gone, {round_}")
            write(server.users, f"alice:{ALICE}\n")
        # On one connection, too.
        connection = Connection(server)
        lines = "\r\n".join(["GET /v2/ HTTP/1.1", "Host: localhost", *ALICES]) + "\r\n\r\n"
        connection.send(lines.encode())
        check(connection.read_answer("GET").status == 200, "alice on a connection")
        write(server.users, f"alice:{BOB}\n")
        connection.send(lines.encode())
        check(connection.read_answer("GET").status == 401, "another password")
        connection.close()
        write(server.users, f"alice:{ALICE}\nbob:plain\n")
        eventually(lambda: "users:2: user \"bob\": the password's form is not known" in server.said(), "the complaint")
        check(request(server, "GET", "/v2/", basic("alice", "pässword:with colon")).status == 200, "the one before stays in force")
        check(request(server, "GET", "/v2/", ALICES).status == 401, "nothing of the broken one holds")
        server.stop()
        check("users:2:" in server.refuses(), "it does not start with it")


def test_guessing_is_slowed_down_where_it_comes_from(stele):
    with server_with_users(stele, "trusted_proxies: [127.0.0.1]\n") as server:
        def ask(password, address, user="alice"):
            return request(server, "GET", "/v2/", [*basic(user, password), f"X-Forwarded-For: {address}"])
        # A forgotten job's old password counts once.
        for _ in range(30):
            check(ask("old", "192.0.2.1").status == 401, "the old password")
        check(ask("correct horse", "192.0.2.1").status == 200, "the right one")
        for number in range(10):
            check(ask(f"guess{number}", "192.0.2.1").status == 401, "a guess")
        answer = ask("another", "192.0.2.1")
        check(answer.status == 429 and answer.code == "TOOMANYREQUESTS" and 800 < int(answer.get("Retry-After")) <= 900, "too many", answer)
        check(ask("correct horse", "192.0.2.1").status == 429, "also when it is right")
        check(ask("correct horse", "192.0.2.2").status == 200, "not elsewhere")


def test_many_log_in_at_once(stele):
    """Sixty-four connections with the same password, right after the start: none is refused."""
    with server_with_users(stele) as server:
        answers = in_threads(64, lambda _: request(server, "GET", "/v2/", ALICES).status)
        check(set(answers) == {200}, f"{answers}")
