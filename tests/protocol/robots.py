"""Robots and refresh tokens. Each test_* function is a test."""
import json
import re
import subprocess
import time

from logins import ALICES, ask, basic, bearer, claims, post, push, server_with_users, token_of
from common import check, events, sha256
from wire import Server, eventually, request

SECRET = re.compile(r"stele_[0-9a-f]{48}")


def admin(server, method, path, body=None):
    sent = None if method == "GET" else json.dumps(body or {}).encode()
    return request(server, method, "/api/v1" + path, ["Content-Type: application/json"], sent, address=server.data / "stele.sock")


def robot(server, name="ci", scopes=("**:*",), **more):
    answer = admin(server, "POST", "/robots", {"name": name, "scopes": list(scopes), **more})
    check(answer.status == 201 and answer.get("Cache-Control") == "no-store", name, answer)
    secret = answer.json()["secret"]
    check(SECRET.fullmatch(secret), "its form", answer)
    return secret


def robots(server):
    return {one["name"]: one for one in admin(server, "GET", "/robots").json()["robots"]}


def command(server, stele, *words):
    return subprocess.run([stele, *words, "--data", server.data], capture_output=True, text=True, timeout=60, check=False)


def test_a_robot_logs_in_wherever_a_password_is_taken(stele):
    with server_with_users(stele) as server:
        secret = robot(server)
        who = basic("ci", secret)
        check(push(server, who).status == 201, "Basic")
        check(request(server, "GET", "/v2/app/manifests/1", bearer(secret)).status == 200, "Bearer")
        asked = {"GET": ask(server, who, "repository:app:pull,push"),
                 "password": post(server, grant_type="password", username="ci", password=secret, scope="repository:app:pull"),
                 "refresh": post(server, grant_type="refresh_token", refresh_token=secret, scope="repository:app:pull")}
        for how, answer in asked.items():
            token = token_of(answer)
            check(claims(token)["sub"] == "robot:ci", how, answer)
            check(request(server, "GET", "/v2/app/manifests/1", bearer(token)).status == 200, how)
        offline = ask(server, who, "repository:app:pull", more="&offline_token=true")
        check("refresh_token" not in offline.json(), "its secret is one", offline)
        for name in ("CI", "alice", "", "robot:ci", "c"):
            check(request(server, "GET", "/v2/", basic(name, secret)).status == 401, f"not as {name}")
        wrong = secret[:-9] + ("0" if secret[-9] != "0" else "1") + secret[-8:]
        check(request(server, "GET", "/v2/", basic("ci", wrong)).status == 401, "another secret")
        check(request(server, "GET", "/v2/", basic("ci", "correct horse")).status == 401, "no secret")
        log = server.logged()
        check("robot:ci" in log and secret not in log and secret[6:46] not in log, "the log names it, and not its secret")
        events = (server.data / "stele.db").read_bytes() + (server.data / "stele.db-wal").read_bytes()
        check(secret[6:46].encode() not in events, "nor is it in the catalog")


def test_production_pulls_what_is_pinned_under_its_own_name(stele):
    """Principals of pull rules, without the header that only test builds believe."""
    with server_with_users(stele) as server:
        policy = server.directory / "policy.yaml"
        policy.write_text('version: 1\npull_rules:\n  - {name: prod-pins, principals: ["robot:k8s-prod-*", "user:bob"], repositories: ["prod/**"], require: pinned}\n')
        server.config.write_text(server.config.read_text() + f"policy: {policy}\n")
        server.stop()
        server.start()
        pinned, free = basic("k8s-prod-eu", robot(server, "k8s-prod-eu")), basic("k8s-test", robot(server, "k8s-test"))
        for tag in ("latest", "1.0.0"):
            check(push(server, ALICES, "prod/app", tag).status == 201, tag)
        for who, allowed in ((pinned, False), (basic("bob", "pässword:with colon"), False), (free, True), (ALICES, True)):
            for credentials in (who, bearer(token_of(ask(server, who, "repository:prod/app:pull")))):
                answer = request(server, "GET", "/v2/prod/app/manifests/latest", credentials)
                check((answer.status == 200) == allowed and answer.status in (200, 403), f"{who} latest", answer)
                check(request(server, "GET", "/v2/prod/app/manifests/1.0.0", credentials).status == 200, f"{who} 1.0.0")


def test_a_robots_secret_is_never_locked_out(stele):
    """P15: whatever others try from the same address."""
    with server_with_users(stele) as server:
        secret = robot(server)
        for number in range(15):
            request(server, "GET", "/v2/", basic("ci", f"guess {number}"))
        check(request(server, "GET", "/v2/", basic("ci", "guess")).status == 429, "guessing is limited")
        check(request(server, "GET", "/v2/", basic("ci", secret)).status == 200, "and the robot is not")


def test_an_expired_robot_is_told_so(stele):
    """A24: the message names the robot and the day; the list says so; renewing keeps the secret where that is asked."""
    with server_with_users(stele) as server:
        secret = robot(server, expires="1s")
        token = token_of(ask(server, basic("ci", secret), "repository:app:pull"))
        eventually(lambda: request(server, "GET", "/v2/", basic("ci", secret)).status == 401, "its end")
        today = time.strftime("%Y-%m-%d", time.gmtime())
        for what, answer in {"Basic": request(server, "GET", "/v2/", basic("ci", secret)), "a token": request(server, "GET", "/v2/app/tags/list", bearer(token)),
                             "/token": ask(server, basic("ci", secret)), "a form": post(server, grant_type="password", username="ci", password=secret)}.items():
            check(answer.status == 401 and f"the robot ci expired on {today}" in answer.message, what, answer)
        check(request(server, "GET", "/v2/", basic("other", secret)).message == "the user name or the password is wrong", "told to nobody else")
        check(robots(server)["ci"]["state"] == "expired", "the list")
        check("expired" in command(server, stele, "robot", "list").stdout, "the command")
        renewed = command(server, stele, "robot", "renew", "ci", "--expires", "30d", "--keep-secret")
        check(renewed.returncode == 0 and not renewed.stdout, f"{renewed}")
        check(request(server, "GET", "/v2/", basic("ci", secret)).status == 200, "the same secret again")
        metrics = request(server, "GET", "/metrics").body.decode()
        left = float(re.search(r"^stele_next_robot_expiry_seconds (\S+)", metrics, re.M)[1])
        check(29 * 86400 < left <= 30 * 86400, f"{left}")
        for method, result in (("robot", "accepted"), ("robot", "refused")):
            check(re.search(rf'^stele_logins_total{{method="{method}",result="{result}"}} [1-9]', metrics, re.M), f"{method} {result}")


def test_what_is_revoked_ends_at_once(stele):
    """A23: a robot's secret, its tokens, and on open connections."""
    with server_with_users(stele) as server:
        for how in ("revoke", "renew", "remove", "token"):
            secret = robot(server, how)
            token = token_of(ask(server, basic(how, secret), "repository:app:pull,push"))
            check(push(server, bearer(token)).status == 201, how)
            words = ["token", "revoke", str(robots(server)[how]["token"])] if how == "token" else ["robot", how, how]
            done = command(server, stele, *words)
            check(done.returncode == 0, f"{done}")
            check(request(server, "GET", "/v2/", basic(how, secret)).status == 401, f"{how}: the secret")
            answer = request(server, "GET", "/v2/app/manifests/1", bearer(token))
            check(answer.status == 401 and 'error="invalid_token"' in answer.get("WWW-Authenticate"), f"{how}: a token made from it", answer)
            check(ask(server, basic(how, secret)).status == 401, f"{how}: no other")
            if how == "renew":
                check(request(server, "GET", "/v2/", basic(how, done.stdout.strip())).status == 200, "the new one")
        states = {name: one["state"] for name, one in robots(server).items()}
        check(states == {"revoke": "revoked", "renew": "active", "token": "revoked"}, f"{states}")
        again = robot(server, "remove")
        check(request(server, "GET", "/v2/", basic("remove", again)).status == 200, "made again")
        check(command(server, stele, "robot", "renew", "revoke", "--keep-secret").returncode == 2, "none to keep")
        check(command(server, stele, "robot", "revoke", "nobody").returncode == 4, "no such robot")
        check(command(server, stele, "token", "revoke", "999999").returncode == 4, "no such token")


def test_a_secret_is_replaced_without_a_gap(stele):
    """Both are good for a while, with what was made from them; then the one before is told that it was replaced."""
    with server_with_users(stele) as server:
        first = robot(server)
        old = token_of(ask(server, basic("ci", first), "repository:app:pull,push"))
        done = command(server, stele, "robot", "renew", "ci", "--overlap", "1h")
        check(done.returncode == 0 and "the secret before is good for another 1h" in done.stderr, f"{done}")
        second = done.stdout.strip()
        for secret in (first, second):
            check(push(server, basic("ci", secret)).status == 201, "both push")
        check(push(server, bearer(old)).status == 201, "and a token of the one before")
        listed = admin(server, "GET", "/tokens?subject=robot:ci").json()["tokens"]
        check(len(listed) == 2 and listed[0]["expires_at"] and listed[1]["expires_at"] is None and robots(server)["ci"]["token"] == listed[1]["id"], f"{listed}")
        check(command(server, stele, "token", "revoke", str(listed[0]["id"])).returncode == 0, "ended early")
        for who in (basic("ci", first), bearer(old)):
            check(request(server, "GET", "/v2/app/manifests/1", who).status == 401, "the one before, and what it made")
        check(push(server, basic("ci", second)).status == 201, "the other one goes on")
        third = command(server, stele, "robot", "renew", "ci", "--overlap", "1s").stdout.strip()
        eventually(lambda: request(server, "GET", "/v2/", basic("ci", second)).status == 401, "it ends by itself")
        check(push(server, basic("ci", third)).status == 201, "the third one")
        for body in ({"overlap": "31d"}, {"overlap": "0"}, {"overlap": "soon"}, {"overlap": 7}, {"overlap": "1h", "secret": "keep"}):
            check(admin(server, "POST", "/robots/ci/renew", body).status == 400, f"{body}")
        check(push(server, basic("ci", third)).status == 201, "nothing of that changed anything")


def test_a_refresh_token_is_revoked_alone(stele):
    """A23: at once, for it and for what was made from it; others go on."""
    with server_with_users(stele) as server:
        one, other = (ask(server, ALICES, "repository:app:pull,push", more="&offline_token=true").json() for _ in range(2))
        check(push(server, bearer(one["token"])).status == 201, "the token beside it")
        made = token_of(post(server, grant_type="refresh_token", refresh_token=one["refresh_token"], scope="repository:app:pull"))
        listed = admin(server, "GET", "/tokens?subject=user:alice").json()["tokens"]
        check([token["kind"] for token in listed] == ["refresh", "refresh"], f"{listed}")
        check(admin(server, "GET", "/tokens?subject=user:bob").json()["tokens"] == [], "bob has none")
        check(command(server, stele, "token", "revoke", str(listed[0]["id"]), "--reason", "lost laptop").returncode == 0, "revoked")
        for what, token in (("beside it", one["token"]), ("made from it", made)):
            check(request(server, "GET", "/v2/app/manifests/1", bearer(token)).status == 401, what)
        check(post(server, grant_type="refresh_token", refresh_token=one["refresh_token"]).status == 401, "itself")
        check(request(server, "GET", "/v2/app/manifests/1", bearer(other["token"])).status == 200, "the other goes on")
        check(token_of(post(server, grant_type="refresh_token", refresh_token=other["refresh_token"])), "and gets others")
        check(request(server, "GET", "/v2/app/manifests/1", ALICES).status == 200, "as does the password")


def test_all_tokens_of_one_user_are_revoked_at_once(stele):
    """Those of others, and the password, go on. Each is an event; who is misspelled is told so."""
    with server_with_users(stele) as server:
        alices = [ask(server, ALICES, "repository:app:pull", more="&offline_token=true").json() for _ in range(3)]
        secret = robot(server, "bystander")
        check(push(server, ALICES).status == 201, "an image")
        check(command(server, stele, "token", "revoke", "--subject", "alice").returncode == 4, "nobody is called so")
        check(command(server, stele, "token", "revoke").returncode == 2, "whose?")
        check(command(server, stele, "token", "revoke", "1", "--subject", "user:alice").returncode == 2, "one or all")
        done = command(server, stele, "token", "revoke", "--subject", "user:alice", "--reason", "lost laptop")
        check(done.returncode == 0 and "3 tokens of user:alice are good for nothing any more" in done.stdout, f"{done}")
        for one in alices:
            check(request(server, "GET", "/v2/app/manifests/1", bearer(one["token"])).status == 401, "the token beside it")
            check(post(server, grant_type="refresh_token", refresh_token=one["refresh_token"]).status == 401, "itself")
        check(admin(server, "GET", "/tokens?subject=user:alice").json()["tokens"] == [], "none is left")
        check(request(server, "GET", "/v2/", basic("bystander", secret)).status == 200, "others go on")
        check(request(server, "GET", "/v2/app/manifests/1", ALICES).status == 200, "as does the password")
        said = events(server, "token.revoke")
        check([row[4] for row in said] == ["user:alice"] * 3 and all(row[5].endswith(": lost laptop") for row in said), f"{said}")
        check(command(server, stele, "token", "revoke", "--subject", "user:alice").returncode == 4, "nothing is left to end")
        check(command(server, stele, "token", "revoke", "--subject", "robot:bystander").returncode == 0, "a robot's secret")
        check(request(server, "GET", "/v2/", basic("bystander", secret)).status == 401, "ends")


def test_a_robots_scopes_are_an_upper_bound(stele):
    """For routes, lists, tokens and mounts; the rules decide within."""
    with server_with_users(stele) as server:
        policy = server.directory / "policy.yaml"
        policy.write_text('''version: 1
access_rules:
  - {who: ["user:alice"], repositories: ["**"], allow: [pull, push, delete, admin]}
  - {who: ["robot:*"], repositories: ["team/**", "other/**"], allow: [pull, push, delete]}
  - {who: ["robot:*"], repositories: ["team/closed"], deny: [pull]}
''')
        with server.config.open("a") as config:
            config.write(f"policy: {policy}\n")
        server.stop()
        server.start()
        for repository in ("team/a", "team/closed", "other/a", "third/a"):
            check(push(server, ALICES, repository).status == 201, repository)
        check(request(server, "POST", f"/v2/other/a/blobs/uploads/?digest={sha256(b'there')}", ALICES, body=b"there").status == 201, "a blob of other/a")
        secret = robot(server, scopes=["team/**:pull,push", "third/**:pull"])
        token = token_of(ask(server, basic("ci", secret), "repository:team/a:*", "repository:other/a:pull", "registry:catalog:*"))
        check(claims(token)["scopes"] == ["repository:team/a:*,pull,push", "registry:catalog:*"], f"{claims(token)}")
        for how, who in (("Basic", basic("ci", secret)), ("a token", bearer(token))):
            check(request(server, "GET", "/v2/team/a/manifests/1", who).status == 200, f"{how}: pulling")
            check(push(server, who, "team/a", "2").status == 201, f"{how}: pushing")
            refused = request(server, "DELETE", "/v2/team/a/manifests/2", who)
            check(refused.status == 403 and "the scopes of robot:ci do not leave it" in refused.message, f"{how}: deleting", refused)
            catalog = request(server, "GET", "/v2/_catalog", who).json()["repositories"]
            check(catalog == ["team/a"], f"{how}: {catalog}")
            for origin in ("&from=other/a", ""):
                mount = request(server, "POST", f"/v2/team/a/blobs/uploads/?mount={sha256(b'there')}{origin}", who, body=b"")
                check(mount.status == 202, f"{how}: nothing is mounted", mount)
        for repository in ("other/a", "third/a", "team/closed"):
            check(request(server, "GET", f"/v2/{repository}/manifests/1", basic("ci", secret)).status == 403, repository)
        check(request(server, "GET", "/api/v1/robots", basic("ci", secret)).status == 403, "administration")
        check(request(server, "GET", "/api/v1/robots", ALICES).status == 200, "of an administrator")

        def explained(*words):
            return command(server, stele, "access", "explain", "--who", "robot:ci", *words)
        check(explained("--action", "push", "--repository", "team/a").returncode == 0, "explained")
        said = explained("--action", "delete", "--repository", "team/a")
        check(said.returncode == 3 and "the robot's scopes do not leave it" in said.stdout, f"{said}")


def test_pull_rules_speak_of_robots(stele):
    """By their names, whether they show the secret or a token."""
    with server_with_users(stele) as server:
        policy = server.directory / "policy.yaml"
        policy.write_text('version: 1\npull_rules:\n  - {name: pins, principals: ["robot:prod-*"], repositories: ["prod/**"], require: pinned}\n')
        with server.config.open("a") as config:
            config.write(f"policy: {policy}\n")
        server.stop()
        server.start()
        for tag in ("latest", "1.0.0"):
            check(push(server, ALICES, "prod/app", tag).status == 201, tag)
        bound, other = (basic(name, robot(server, name, ["prod/**:pull"])) for name in ("prod-eu", "ci"))
        token = bearer(token_of(ask(server, bound, "repository:prod/app:pull")))
        for who, status in ((bound, 403), (token, 403), (other, 200), (ALICES, 200)):
            check(request(server, "GET", "/v2/prod/app/manifests/latest", who).status == status, f"latest: {status}")
            check(request(server, "GET", "/v2/prod/app/manifests/1.0.0", who).status == 200, "what cannot move")


def test_robots_alone_can_log_in(stele):
    """auth.robots, without any user: everybody is asked to."""
    with Server(stele, "auth: {robots: on}\n") as server:
        secret = robot(server)
        answer = request(server, "GET", "/v2/")
        check(answer.status == 401 and answer.get("WWW-Authenticate").startswith("Bearer "), "asked to log in", answer)
        check(push(server, basic("ci", secret)).status == 201, "it pushes")
        check(push(server, bearer(token_of(ask(server, basic("ci", secret), "repository:app:pull,push")))).status == 201, "with a token")
        check(request(server, "GET", "/v2/", basic("alice", "correct horse")).status == 401, "there are no users")
        server.stop()
        server.start()
        check(request(server, "GET", "/v2/", basic("ci", secret)).status == 200, "after a restart")
        used = robots(server)["ci"]["last_used_at"]
        check(used is not None, "the use before the stop was written down")
    with Server(stele) as server:
        refused = admin(server, "POST", "/robots", {"name": "ci", "scopes": ["**:pull"]})
        check(refused.status == 400 and "auth.robots" in refused.message, "where nobody can log in", refused)


def test_robots_are_made_as_they_are_asked_for(stele):
    with server_with_users(stele) as server:
        for body in ({}, {"name": "ci"}, {"name": "CI", "scopes": ["**:pull"]}, {"name": "ci", "scopes": []}, {"name": "ci", "scopes": ["**"]},
                     {"name": "ci", "scopes": ["**:everything"]}, {"name": "ci", "scopes": ["**:pull,"]}, {"name": "ci", "scopes": ["**:upkeep"]},
                     {"name": "ci", "scopes": ["!a:pull"]}, {"name": "ci", "scopes": ["a{b:pull"]}, {"name": "ci", "scopes": [7]}, {"name": "ci", "scopes": "**:pull"},
                     {"name": "ci", "scopes": ["**:pull"], "expires": "soon"}, {"name": "ci", "scopes": ["**:pull"], "expires": "2001-01-01T00:00:00Z"},
                     {"name": "ci", "scopes": ["**:pull"], "expires": "0"}, {"name": "ci", "scopes": ["**:pull"], "secret": "mine"},
                     {"name": "ci", "scopes": ["**:pull"], "description": "two\nlines"}, {"name": "ci", "scopes": ["**:pull"] * 101}):
            answer = admin(server, "POST", "/robots", body)
            check(answer.status == 400, f"{body}", answer)
        check(robots(server) == {}, "none is there")
        made = command(server, stele, "robot", "create", "ci", "--scope", "team/**:pull,push", "--scope", "**:pull", "--expires", "never", "--description", "of the team")
        check(made.returncode == 0 and SECRET.fullmatch(made.stdout.strip()), f"{made}")
        check(request(server, "GET", "/v2/", basic("ci", made.stdout.strip())).status == 200, "what is printed logs in")
        check("already" in admin(server, "POST", "/robots", {"name": "ci", "scopes": ["**:pull"]}).message, "twice")
        one = robots(server)["ci"]
        check(one["expires_at"] is None and one["scopes"] == ["team/**:pull,push", "**:pull"] and one["description"] == "of the team", f"{one}")
