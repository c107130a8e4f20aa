"""Api tokens that users make for themselves. Each test_* function is a test."""
import datetime
import json
import re
import time

from logins import ALICES, ask, basic, bearer, claims, post, push, server_with_users, token_of, write, ALICE, BOB
from common import check, events
from robots import SECRET, admin
from users import server_with_local_users, stele_command, user
from wire import eventually, request

BOBS = basic("bob", "pässword:with colon")
JSON = ["Content-Type: application/json"]
OWN = "/api/v1/account/tokens"


def asked(server, who, method, path=OWN, body=None):
    return request(server, method, path, [*who, *JSON], None if body is None else json.dumps(body).encode())


def own_token(server, who=ALICES, name="laptop", scopes=("**:*",), **more):
    answer = asked(server, who, "POST", body={"name": name, "scopes": list(scopes), **more})
    check(answer.status == 201 and answer.get("Cache-Control") == "no-store", name, answer)
    secret = answer.json()["secret"]
    check(SECRET.fullmatch(secret), "its form", answer)
    return answer.json()["id"], secret


def test_when_a_token_was_last_used_is_told(stele):
    """Also what is made from it is a use; a refusal is none. Written down when the server stops, if not before."""
    with server_with_users(stele) as server:
        used, _, unused = own_token(server), own_token(server, name="refused"), own_token(server, name="unused")
        start = time.time()
        check(request(server, "GET", "/v2/", basic("alice", used[1])).status == 200, "used")
        check(request(server, "GET", "/v2/", basic("bob", unused[1])).status == 401, "not used")
        server.stop()
        server.start()
        listed = {one["name"]: one["last_used_at"] for one in asked(server, ALICES, "GET").json()["tokens"]}
        check(listed["refused"] is None and listed["unused"] is None, f"{listed}")
        told = datetime.datetime.fromisoformat(listed["laptop"].replace("Z", "+00:00")).timestamp()
        check(start - 1 <= told <= time.time() + 1, f"{listed}")
        of_all = {one["name"]: one["last_used_at"] for one in admin(server, "GET", "/tokens").json()["tokens"]}
        check(of_all["laptop"] == listed["laptop"], f"the administrator sees the same: {of_all}")


def test_what_is_left_of_a_token_is_nobodys_password(stele):
    """Cut off, mistyped or in quotes: it is refused as a secret, at once, and no wrong password is counted for anybody."""
    with server_with_users(stele) as server:
        _, secret = own_token(server)
        for number in range(12):
            for broken in (secret[:22 + number], secret[:30] + str(number) + secret[31:-1], f'"{secret}"', secret.upper().replace("STELE", "stele"), secret + str(number)):
                check(request(server, "GET", "/v2/", basic("alice", broken)).status == 401, broken)
        check(request(server, "GET", "/v2/", ALICES).status == 200, "nothing was counted")


def test_a_user_makes_a_token_that_is_as_good_as_his_password_within_its_scopes(stele):
    """It is he who asks, whatever way it is shown, and no further than its scopes; nothing of it is in the log or the catalog."""
    with server_with_users(stele) as server:
        for repository in ("team/app", "other/app"):
            check(push(server, ALICES, repository).status == 201, repository)
        number, secret = own_token(server, scopes=["team/**:pull"])
        who = basic("alice", secret)
        made = {"GET": ask(server, who, "repository:team/app:pull,push", "repository:other/app:pull"),
                "password": post(server, grant_type="password", username="alice", password=secret, scope="repository:team/app:pull"),
                "refresh": post(server, grant_type="refresh_token", refresh_token=secret, scope="repository:team/app:pull")}
        ways = {"Basic": who, "in other letters": basic("Alice", secret), "Bearer": bearer(secret)}
        for how, answer in made.items():
            check(claims(token_of(answer))["sub"] == "user:alice", how, answer)
            ways[f"a token by {how}"] = bearer(token_of(answer))
        for how, shown in ways.items():
            check(request(server, "GET", "/v2/team/app/manifests/1", shown).status == 200, f"{how}: pulling")
            refused = request(server, "POST", "/v2/team/app/blobs/uploads/", shown, body=b"")
            check(refused.status in (401, 403), f"{how}: pushing", refused)
            refused = request(server, "GET", "/v2/other/app/manifests/1", shown)
            check(refused.status in (401, 403), f"{how}: elsewhere", refused)
            if how in ("Basic", "Bearer"):
                check("the scopes of the api token of user:alice do not leave it" in refused.message, how, refused)
                check(refused.json()["errors"][0]["detail"]["reason"] == "TOKEN_SCOPE", how, refused)
            listed = request(server, "GET", "/v2/_catalog", shown)
            check(listed.status in (200, 401) and b"other/app" not in listed.body, f"{how}: lists", listed)
        check("refresh_token" not in ask(server, who, "repository:team/app:pull", more="&offline_token=true").json(), "it is what docker login keeps")
        for name in ("bob", "", "user:alice", "alic"):
            check(request(server, "GET", "/v2/", basic(name, secret)).status == 401, f"not as {name}")
        listed = asked(server, ALICES, "GET").json()["tokens"]
        check([(one["id"], one["name"], one["scopes"], one["kind"]) for one in listed] == [(number, "laptop", ["team/**:pull"], "api")], f"{listed}")
        check(asked(server, BOBS, "GET").json()["tokens"] == [], "bob sees his own")
        said = events(server, "token.create")
        check(len(said) == 1 and said[0][4] == "user:alice" and "laptop" in said[0][5] and "team/**:pull" in said[0][5], f"{said}")
        check(re.search(r'^stele_logins_total{method="api_token",result="accepted"} [1-9]', request(server, "GET", "/metrics").body.decode(), re.M), "counted")
        log = server.logged()
        check("user:alice" in log and secret[6:46] not in log, "the log names him, and not the token")
        kept = (server.data / "stele.db").read_bytes() + (server.data / "stele.db-wal").read_bytes()
        check(secret[6:46].encode() not in kept, "nor is it in the catalog")


def test_a_token_makes_and_ends_no_tokens(stele):
    """Who finds one does not keep himself in by it. Robots, strangers and names of others get nowhere either."""
    with server_with_users(stele) as server:
        number, secret = own_token(server)
        robot = admin(server, "POST", "/robots", {"name": "ci", "scopes": ["**:*"]}).json()["secret"]
        narrow = token_of(ask(server, ALICES, "repository:app:pull"))
        session = post(server, grant_type="refresh_token", scope="registry:*:*", refresh_token=ask(server, ALICES, more="&offline_token=true").json()["refresh_token"])
        session = bearer(token_of(session))
        wanted = {"name": "another", "scopes": ["**:*"]}
        for how, who in {"the token": basic("alice", secret), "as Bearer": bearer(secret), "made from it": bearer(token_of(ask(server, basic("alice", secret)))),
                         "a robot": basic("ci", robot), "a token for a repository": bearer(narrow)}.items():
            for method, path, body in (("POST", OWN, wanted), ("GET", OWN, None), ("DELETE", f"{OWN}/{number}", {})):
                answer = asked(server, who, method, path, body)
                check(answer.status == 403 and "api tokens are for who logs in with a password of this registry" in answer.message, f"{how}: {method}", answer)
        check(asked(server, [], "POST", body=wanted).status == 401, "a stranger")
        kept = asked(server, session, "POST", body=wanted)
        check(kept.status == 403 and "takes the password itself" in kept.message, "what docker login keeps, in whoever's hands", kept)
        check(len(asked(server, session, "GET").json()["tokens"]) == 1, "which may look")
        gone = asked(server, BOBS, "DELETE", f"{OWN}/{number}", {})
        check(gone.status == 404 and "you have no token" in gone.message, "bob", gone)
        check(request(server, "GET", "/v2/", basic("alice", secret)).status == 200, "it stands")


def test_what_is_wrong_with_a_token_that_is_asked_for_is_said(stele):
    with server_with_users(stele) as server:
        own_token(server)
        for body, words in (({"name": "laptop", "scopes": ["**:pull"]}, 'you have a token "laptop" already'), ({"name": "a"}, "scopes"), ({"scopes": ["**:pull"]}, "name"),
                            ({"name": "a", "scopes": ["**:fly"]}, "no right"), ({"name": "a", "scopes": ["**:pull"], "expires": "yesterday"}, "expires must be"),
                            ({"name": "a", "scopes": ["**:pull"], "expires": "2020-01-01T00:00:00Z"}, "later than now"), ({"name": "a\nb", "scopes": ["**:pull"]}, "name"),
                            ({"name": "a" * 101, "scopes": ["**:pull"]}, "100 bytes"), ({"name": "a", "scopes": ["**:pull"], "subject": "user:bob"}, "subject")):
            answer = asked(server, ALICES, "POST", body=body)
            check(answer.status == 400 and words in answer.message, f"{body}", answer)
        own_token(server, BOBS)     # another's name is nobody's business
        for number in range(1, 100):
            own_token(server, name=f"token {number}")
        answer = asked(server, ALICES, "POST", body={"name": "one more", "scopes": ["**:pull"]})
        check(answer.status == 429 and "100 tokens" in answer.message, "I10: bounded", answer)
        check(len(asked(server, ALICES, "GET").json()["tokens"]) == 100, "all are listed")
        first = ask(server, ALICES, "repository:app:pull", more="&offline_token=true").json()
        check(token_of(post(server, grant_type="refresh_token", refresh_token=first["refresh_token"])), "docker login goes on")


def test_a_token_of_a_user_ends_by_his_hand_by_an_administrators_and_by_its_time(stele):
    """With what was made from it, on the next request; others go on."""
    with server_with_users(stele) as server:
        check(push(server, ALICES).status == 201, "an image")
        other = own_token(server, name="other")[1]
        for how in ("himself", "administrator", "all"):
            number, secret = own_token(server, name=how)
            token = token_of(ask(server, basic("alice", secret), "repository:app:pull"))
            check(request(server, "GET", "/v2/app/manifests/1", bearer(token)).status == 200, how)
            if how == "himself":
                check(asked(server, ALICES, "DELETE", f"{OWN}/{number}", {"reason": "lost laptop"}).status == 200, how)
            else:
                words = [str(number)] if how == "administrator" else ["--subject", "user:alice"]
                done = stele_command(stele, "token", "revoke", *words, "--data", server.data)
                check(done.returncode == 0, f"{done}")
            for what, who in (("the token", basic("alice", secret)), ("made from it", bearer(token))):
                check(request(server, "GET", "/v2/app/manifests/1", who).status == 401, f"{how}: {what}")
            check((request(server, "GET", "/v2/", basic("alice", other)).status == 200) == (how != "all"), f"{how}: the other")
        said = events(server, "token.revoke")
        check(any(row[5].endswith(": lost laptop") for row in said) and len(said) == 4, f"{said}")
        number, secret = own_token(server, name="short", expires="1s")
        token = token_of(ask(server, basic("alice", secret), "repository:app:pull"))
        eventually(lambda: request(server, "GET", "/v2/", basic("alice", secret)).status == 401, "its end")
        over = request(server, "GET", "/v2/", basic("alice", secret))
        check('the token "short" of alice expired on' in over.message, "said", over)
        listed = {one["name"]: one["state"] for one in asked(server, ALICES, "GET").json()["tokens"]}
        check(listed == {"short": "expired"}, f"{listed}")
        own_token(server, name="short")     # it makes room
        check(request(server, "GET", "/v2/app/manifests/1", bearer(token)).status == 401, "and what was made from it")


def test_a_token_ends_with_its_user_and_with_the_password_it_was_made_under(stele):
    """Of the file and of this registry; who comes later under the name has none of it."""
    with server_with_users(stele) as server:
        secret, bobs = own_token(server)[1], own_token(server, BOBS)[1]
        write(server.users, f"alice:{BOB}\nbob:{BOB}\n")
        check(request(server, "GET", "/v2/", basic("alice", secret)).status == 401, "another password")
        now = basic("alice", "pässword:with colon")
        check([one["state"] for one in asked(server, now, "GET").json()["tokens"]] == ["password changed"], "and it is said")
        check(request(server, "GET", "/v2/", basic("bob", bobs)).status == 200, "bob's is what it was")
        write(server.users, f"bob:{BOB}\n")
        check(request(server, "GET", "/v2/", basic("alice", secret)).status == 401, "no user")
        write(server.users, f"alice:{ALICE}\nbob:{BOB}\n")
        check(request(server, "GET", "/v2/", basic("alice", secret)).status == 200, "the file says the same again")
    with server_with_local_users(stele) as server:
        for name in ("ann", "ben", "cid"):
            user(server, stele, "add", name, "--group", "dev", "--password-stdin", secret=f"secret of {name}\n")
        secrets = {name: own_token(server, basic(name, f"secret of {name}"), scopes=["team/**:pull,push"])[1] for name in ("ann", "ben", "cid")}
        check(push(server, basic("ann", secrets["ann"]), "team/app").status == 201, "groups count")
        user(server, stele, "group", "ann", "--remove", "dev")
        refused = request(server, "POST", "/v2/team/app/blobs/uploads/", basic("ann", secrets["ann"]), body=b"")
        check(refused.status == 403, "those of now", refused)
        user(server, stele, "passwd", "ann", "--password-stdin", secret="another secret\n")
        user(server, stele, "disable", "ben")
        user(server, stele, "remove", "cid")
        for name, secret in secrets.items():
            check(request(server, "GET", "/v2/", basic(name, secret)).status == 401, name)
        user(server, stele, "enable", "ben")
        user(server, stele, "add", "cid", "--group", "dev", "--password-stdin", secret="secret of cid\n")
        for name in ("ben", "cid"):
            check(request(server, "GET", "/v2/", basic(name, secrets[name])).status == 401, f"{name} again")


def test_the_commands_make_list_and_end_ones_own_tokens(stele):
    with server_with_local_users(stele) as server:
        user(server, stele, "add", "ann", "--group", "dev", "--password-stdin", secret="secret of ann\n")
        home = server.directory / "home"
        home.mkdir()
        at = ["--server", f"http://127.0.0.1:{server.port}"]
        done = stele_command(stele, "login", at[1], "--username", "ann", "--password-stdin", secret="secret of ann\n", home=home)
        check(done.returncode == 0, f"{done}")
        make = ["token", "create", "nightly backup", "--scope", "team/**:pull", "--expires", "30d", "--password-stdin"]
        wrong = stele_command(stele, *make, *at, secret="secret of anne\n", home=home)
        check(wrong.returncode == 3 and "wrong" in wrong.stderr, f"{wrong}")
        made = stele_command(stele, *make, *at, secret="secret of ann\n", home=home)
        check(made.returncode == 0 and SECRET.fullmatch(made.stdout.strip()), f"{made}")
        check("docker login --username ann" in made.stderr and "nightly backup" in made.stderr, f"{made}")
        check(request(server, "GET", "/v2/", basic("ann", made.stdout.strip())).status == 200, "good")
        listed = stele_command(stele, "token", "list", "--own", *at, home=home)
        check(listed.returncode == 0 and "nightly backup" in listed.stdout and "team/**:pull" in listed.stdout, f"{listed}")
        number = stele_command(stele, "token", "list", "--own", "--json", *at, home=home)
        number = str(json.loads(number.stdout)["tokens"][0]["id"])
        check(stele_command(stele, "token", "list", *at, home=home).returncode != 0, "everybody's takes a right")
        check(stele_command(stele, "token", "list", "--own", "--of", "user:bob", *at, home=home).returncode == 2, "one or the other")
        everybodys = stele_command(stele, "token", "list", "--data", server.data)
        check("nightly backup" in everybodys.stdout and "user:ann" in everybodys.stdout, f"{everybodys}")
        done = stele_command(stele, "token", "revoke", number, "--own", "--reason", "done", *at, home=home)
        check(done.returncode == 0 and "of user:ann is good for nothing any more" in done.stdout, f"{done}")
        check(request(server, "GET", "/v2/", basic("ann", made.stdout.strip())).status == 401, "over")
        check(stele_command(stele, "token", "revoke", number, "--own", *at, home=home).returncode == 4, "there is none")
        refused = stele_command(stele, "token", "create", "x", "--scope", "**:pull", "--data", server.data)
        check(refused.returncode == 2 and "--server" in refused.stderr, f"{refused}")
        refused = stele_command(stele, "token", "create", "x", "--scope", "**:pull", *at)
        check(refused.returncode == 2 and "--username" in refused.stderr, f"{refused}")
