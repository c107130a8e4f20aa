"""Who the caller is: names and passwords, tokens. Each test_* function is a test."""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

from common import IMAGE, check, manifest, sha256
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


def server_with_users(stele, config="", ttl=None):
    server = Server(stele)
    server.users = server.directory / "users"
    server.users.write_text(f"# people\nalice:{ALICE}\nbob:{BOB}\n")
    tokens = "" if ttl is None else f", tokens: {{ttl: {ttl}}}"
    server.config.write_text(f"auth: {{htpasswd: {{file: {server.users}}}{tokens}}}\n{config}")
    return server


def push(server, who, repository="app", tag="1"):
    config = b"{}"
    answer = request(server, "POST", f"/v2/{repository}/blobs/uploads/?digest={sha256(config)}", who, body=config)
    check(answer.status == 201, "a blob", answer)
    content = manifest(sha256(config), tag)
    return request(server, "PUT", f"/v2/{repository}/manifests/{tag}", [*who, f"Content-Type: {IMAGE}"], body=content)


def test_who_logs_in_pulls_and_pushes_and_nobody_else(stele):
    with server_with_users(stele, ttl=0) as server:
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
                check(answer.status == 401 and answer.all("WWW-Authenticate") == [BASIC], f"{what}: {method} {target}", answer)
                if method != "HEAD":
                    check(answer.code == "UNAUTHORIZED", f"{what}: {method} {target}", answer)
                    if what in ("wrong", "unknown", "empty", "case"):
                        said.add(answer.message)
        check(len(said) == 1, f"what is wrong is not told: {said}")
        check(request(server, "GET", "/livez").status == 200, "health is for all")
        local = server.data / "stele.sock"
        check(request(server, "GET", "/api/v1/policy", address=local).status == 200, "the socket needs no password")
        log = server.logged()
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


def token_of(answer):
    check(answer.status == 200, "a token", answer)
    said = answer.json()
    check(said["token"] == said["access_token"] and said["expires_in"] >= 60 and "issued_at" not in said, f"{said}")
    check(answer.get("Cache-Control") == "no-store", "kept by nobody", answer)
    return said["token"]


def bearer(token):
    return [f"Authorization: Bearer {token}"]


def ask(server, who, *scopes, more=""):
    query = "&".join(["service=stele", *(f"scope={scope}" for scope in scopes)])
    return request(server, "GET", f"/token?{query}{more}", who)


def post(server, headers=(), **form):
    return request(server, "POST", "/token", ["Content-Type: application/x-www-form-urlencoded", *headers], body=urlencode(form).encode())


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_tokens_are_asked_for_made_and_accepted(stele):
    with server_with_users(stele) as server:
        realm = f'Bearer realm="http://localhost/token",service="stele"'
        wanted = {("GET", "/v2/"): "", ("GET", "/v2/a/b/tags/list"): "repository:a/b:pull", ("HEAD", "/v2/a/manifests/1"): "repository:a:pull",
                  ("PUT", "/v2/a/manifests/1"): "repository:a:pull,push", ("POST", "/v2/a/blobs/uploads/"): "repository:a:pull,push",
                  ("POST", f"/v2/a/blobs/uploads/?mount={sha256(b'x')}&from=b/c"): "repository:a:pull,push repository:b/c:pull",
                  ("DELETE", "/v2/a/manifests/1"): "repository:a:delete", ("GET", "/v2/_catalog"): "registry:catalog:*"}
        for (method, target), scope in wanted.items():
            answer = request(server, method, target, body=b"" if method in ("PUT", "POST") else None)
            expected = realm + (f',scope="{scope}"' if scope else "")
            check(answer.status == 401 and answer.all("WWW-Authenticate") == [expected], f"{method} {target}", answer)
        check(request(server, "GET", "/v2/", ALICES).status == 200, "the password itself is accepted, too")

        token = token_of(ask(server, ALICES, "repository:app:pull,push"))
        check(request(server, "GET", "/v2/", bearer(token)).status == 200, "the version")
        check(push(server, bearer(token)).status == 201, "pushing")
        check(request(server, "GET", "/v2/app/manifests/1", bearer(token)).status == 200, "pulling")
        for method, target in (("GET", "/v2/other/tags/list"), ("GET", "/v2/_catalog"), ("POST", "/v2/other/blobs/uploads/")):
            answer = request(server, method, target, bearer(token), body=b"" if method == "POST" else None)
            check(answer.status == 401 and answer.get("WWW-Authenticate").endswith('error="insufficient_scope"'), f"{method} {target}", answer)
        reads = token_of(ask(server, ALICES, "repository:app:pull"))
        check(push(server, bearer(token)).status == 201 and request(server, "POST", "/v2/app/blobs/uploads/", bearer(reads), body=b"").status == 401, "only reads")
        for bad in (token[:-4] + "AAAA", "a.b.c", token.split(".")[0] + "." + token.split(".")[1] + "."):
            answer = request(server, "GET", "/v2/app/manifests/1", bearer(bad))
            check(answer.status == 401 and answer.get("WWW-Authenticate").endswith('scope="repository:app:pull",error="invalid_token"'), bad, answer)
        for more in ("", "&service=other", "&account=bob&client_id=docker"):
            check(claims(token_of(ask(server, ALICES, "repository:app:push,pull", "repository:app:pull", more=more)))["access"] ==
                  [{"type": "repository", "name": "app", "actions": ["delete", "pull", "push"]}], "united")
        check(claims(token_of(ask(server, ALICES, "repository:a:pull+repository:b:pull", "plugin:x:y")))["scopes"] == ["repository:a:pull", "repository:b:pull"], "spaces")
        check(ask(server, basic("alice", "wrong"), "repository:app:pull").status == 401, "a wrong password gets none")
        check(ask(server, bearer(token), "repository:app:pull").status == 401, "a token gets none")
        nobody = token_of(ask(server, [], "repository:app:pull"))
        check(claims(nobody)["sub"] == "anonymous" and claims(nobody)["scopes"] == ["none"], f"{claims(nobody)}")
        check(request(server, "GET", "/v2/app/manifests/1", bearer(nobody)).status == 401, "which gives nothing")
        keys = request(server, "GET", "/token/keys").json()["keys"]
        check([key["alg"] for key in keys] == ["ES256"] and "d" not in keys[0], f"{keys}")
        check(oct((server.data / "token-keys.json").stat().st_mode)[-3:] == "600", "the keys' file")
        for method in ("PUT", "DELETE", "HEAD"):
            check(request(server, method, "/token", body=b"" if method == "PUT" else None).status == 405, method)
        check(not any(one in server.logged() for one in (token, "correct horse")), "no secret in the log")
        server.stop()
        server.start()
        check(request(server, "GET", "/v2/app/manifests/1", bearer(token)).status == 200, "after a restart")


def test_a_mount_from_where_the_token_is_not_good_for_asks_for_one_that_is(stele):
    """I9: a token bounds what a mount reads; whoever could have a better one is told which, and who could not uploads."""
    with server_with_users(stele) as server:
        blob = b"a layer of another repository"
        check(request(server, "POST", f"/v2/other/blobs/uploads/?digest={sha256(blob)}", ALICES, body=blob).status == 201, "the blob")
        narrow = bearer(token_of(ask(server, ALICES, "repository:app:pull,push")))
        wide = bearer(token_of(ask(server, ALICES, "repository:app:pull,push", "repository:other:pull")))
        for more in ("&from=other", ""):
            target = f"/v2/app/blobs/uploads/?mount={sha256(blob)}{more}"
            answer = request(server, "POST", target, narrow, body=b"")
            if more:
                check(answer.status == 401 and answer.get("WWW-Authenticate").endswith(
                    'scope="repository:app:pull,push repository:other:pull",error="insufficient_scope"'), target, answer)
            else:
                check(answer.status == 202, "who names no source is told of none, and uploads", answer)
            check(request(server, "POST", target, wide, body=b"").status == 201, target)
            check(request(server, "DELETE", f"/v2/app/blobs/{sha256(blob)}", ALICES).status == 202, "once more")
        nowhere = f"/v2/app/blobs/uploads/?mount={sha256(b'nobody has it')}"
        check(request(server, "POST", nowhere, narrow, body=b"").status == 202, "what is nowhere is uploaded")


def test_a_token_ends_with_what_it_rests_on(stele):
    with server_with_users(stele) as server:
        token = token_of(ask(server, ALICES, "repository:app:pull,push"))
        check(push(server, bearer(token)).status == 201, "alice pushes")
        got = ask(server, ALICES, "repository:app:pull", more="&offline_token=true")
        refresh = got.json()["refresh_token"]
        write(server.users, f"bob:{BOB}\n")
        answer = request(server, "GET", "/v2/app/manifests/1", bearer(token))
        check(answer.status == 401 and 'error="invalid_token"' in answer.get("WWW-Authenticate"), "alice is gone", answer)
        check(post(server, grant_type="refresh_token", refresh_token=refresh, service="stele").status == 401, "and gets no other")
        write(server.users, f"alice:{ALICE}\n")
        check(request(server, "GET", "/v2/app/manifests/1", bearer(token)).status == 200, "alice is back")
        write(server.users, f"alice:{BOB}\n")
        check(request(server, "GET", "/v2/app/manifests/1", bearer(token)).status == 401, "with another password")


def test_the_form_and_refresh_tokens(stele):
    with server_with_users(stele) as server:
        check("refresh_token" not in ask(server, ALICES).json(), "none that was not asked for")
        password = {"grant_type": "password", "username": "alice", "password": "correct horse", "service": "stele", "scope": "repository:app:pull,push"}
        check(push(server, bearer(token_of(post(server, **password)))).status == 201, "a form")
        check("refresh_token" not in post(server, **password).json(), "none that was not asked for")
        got = post(server, **password, access_type="offline", client_id="docker")
        refresh = got.json()["refresh_token"]
        for _ in range(3):
            again = post(server, grant_type="refresh_token", refresh_token=refresh, service="stele", scope="repository:app:pull", client_id="docker")
            check("refresh_token" not in again.json(), "it goes on", again)
            check(request(server, "GET", "/v2/app/manifests/1", bearer(token_of(again))).status == 200, "pulling")
        check(request(server, "GET", "/v2/", bearer(refresh)).status == 401, "it is for /token alone")
        check(post(server, grant_type="refresh_token", refresh_token=token_of(got)).status == 401, "and no token is one")
        check(token_of(post(server, **(password | {"username": "bob", "password": "pässword:with colon"}))), "any character")
        for form, status in (({"grant_type": "password", "username": "alice", "password": "wrong"}, 401), ({"grant_type": "password", "username": "alice"}, 401),
                             ({"grant_type": "refresh_token"}, 401), ({"grant_type": "client_credentials"}, 400), ({}, 400)):
            answer = post(server, **form)
            check(answer.status == status, f"{form}", answer)
        answer = request(server, "POST", "/token", ["Content-Type: application/json"], body=b"{}")
        check(answer.status == 400, "no form", answer)
        answer = request(server, "POST", "/token", ["Content-Type: application/x-www-form-urlencoded"], body=b"a" * 70000)
        check(answer.status == 413, "too large", answer)
        check(refresh not in (log := server.logged()) and "wrong" not in log.replace("is wrong", ""), "no secret in the log")


def test_the_realm_is_where_the_client_reaches_the_server(stele):
    forwarded = ["Host: registry.example.com", "X-Forwarded-Proto: https"]
    for config, realm in (("", "http://registry.example.com"), ("trusted_proxies: [127.0.0.1]\n", "https://registry.example.com"),
                          ("external_url: https://other.example.com:8443\n", "https://other.example.com:8443")):
        with server_with_users(stele, config) as server:
            said = request(server, "GET", "/v2/", forwarded).get("WWW-Authenticate")
            check(re.match(r'Bearer realm="([^"]*)/token"', said)[1] == realm, f"{config}: {said}")


def test_what_the_documentation_writes_into_the_file_logs_in(stele):
    """The script of docs/authentication.md for PBKDF2, and the other programs it names that are here."""
    page = (Path(__file__).resolve().parents[2] / "docs/authentication.md").read_text()
    script = re.search(r"^python3 -c '\n(.*?)'\n", page, re.S | re.M)[1]
    secret = "pässword: with ' and \\"
    made = {}

    def run(*words, text=secret + "\n"):
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, start_new_session=True)     # without a terminal, passwords are read from its input
        check(done.returncode == 0, f"{words}: {done}")
        return done.stdout.strip().splitlines()[-1]
    made["pbkdf2"] = run(sys.executable, "-W", "ignore", "-c", script)
    made["sha512"] = run("openssl", "passwd", "-6", "-stdin")
    if shutil.which("htpasswd"):
        made["bcrypt"] = run("htpasswd", "-niBC", "10", "bcrypt").partition(":")[2]
    if shutil.which("mkpasswd"):
        made["yescrypt"] = run("mkpasswd", "-m", "yescrypt", "--stdin")
    with server_with_users(stele) as server:
        write(server.users, "".join(f"{name}:{hashed}\n" for name, hashed in made.items()))
        for name in made:
            check(request(server, "GET", "/v2/", basic(name, secret)).status == 200, f"{name}: {made[name][:16]}…")
            check(request(server, "GET", "/v2/", basic(name, secret + "x")).status == 401, f"{name}: another one")
