"""Local users, `stele init` and `stele login`. Each test_* function is a test."""
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from canaries import Canaries
from logins import ALICES, ask, basic, bearer, post, push, server_with_users, token_of, write
from common import check, sha256
from wire import Server, eventually, request

sys.path.append(str(Path(__file__).resolve().parent.parent / "oidc"))
from issuer import Key, b64

TOKEN = re.compile(r"^stele_[0-9a-f]{48}$", re.M)
POLICY = """version: 1
access_rules:
  - {name: administrators, who: ["group:administrators"], repositories: ["**"], allow: [pull, push, delete, admin, audit]}
  - {name: team, who: ["group:dev"], repositories: ["team/**"], allow: [pull, push]}
"""


def stele_command(stele, *words, secret=None, home=None):
    environment = {**os.environ, "XDG_CONFIG_HOME": str(home)} if home else dict(os.environ)
    return subprocess.run([stele, *map(str, words)], input=secret, capture_output=True, text=True, timeout=60, check=False, env=environment, start_new_session=True)


def user(server, stele, *words, secret=None):
    done = stele_command(stele, "user", *words, "--data", server.data, secret=secret)
    check(done.returncode == 0, f"{words}: {done}")
    return done


def server_with_local_users(stele):
    server = Server(stele)
    server.policy = server.directory / "policy.yaml"
    server.policy.write_text(POLICY)
    server.config.write_text(f"auth: {{local_users: on}}\npolicy: {server.policy}\n")
    return server


def test_a_local_user_logs_in_with_the_rights_of_his_groups(stele):
    with server_with_local_users(stele) as server:
        check(request(server, "GET", "/v2/", basic("ann", "secret 1")).status == 401, "nobody is there yet")
        user(server, stele, "add", "ann", "--group", "dev", "--password-stdin", secret="secret 1\n")
        user(server, stele, "add", "boss", "--group", "administrators", "--password-stdin", secret="secret 2\n")
        ann, boss = basic("ann", "secret 1"), basic("Boss", "secret 2")
        for who in (ann, bearer(token_of(ask(server, ann, "repository:team/app:pull,push")))):
            check(push(server, who, "team/app").status == 201, "in the group's repositories")
            refused = request(server, "GET", "/v2/other/app/tags/list", who)
            check(refused.status in (401, 403), "and in no other", refused)
        check(request(server, "GET", "/api/v1/users", ann).status == 403, "no administrator")
        listed = request(server, "GET", "/api/v1/users", boss)
        check([one["name"] for one in listed.json()["users"]] == ["ann", "boss"], "an administrator, however he types his name", listed)
        check(b"secret" not in listed.body and b"$y$" not in listed.body, "no password and no hash", listed)
        for wrong in (basic("ann", "secret 2"), basic("nobody", "secret 1"), basic("ann", "")):
            check(request(server, "GET", "/v2/", wrong).status == 401, f"{wrong}")
        everything = server.logged().encode() + (server.data / "stele.db").read_bytes() + (server.data / "stele.db-wal").read_bytes()
        check(b"secret 1" not in everything, "the password is nowhere")


def test_access_of_a_local_user_is_explained_with_his_groups(stele):
    """Those of now, unless others are named; who is disabled, or nobody, is in none."""
    with server_with_local_users(stele) as server:
        user(server, stele, "add", "ann", "--group", "dev", "--password-stdin", secret="secret 1\n")

        def explained(who, *words):
            done = stele_command(stele, "access", "explain", "--who", who, "--action", "push", "--repository", "team/app", "--data", server.data, *words)
            return done.returncode, done.stdout + done.stderr
        status, said = explained("user:ann")
        check(status == 0 and "in the groups dev, as the server knows him now" in said and "which speaks of group:dev" in said, said)
        check(explained("user:Ann") == (status, said), "however his name is written")
        for who, words in (("user:ann", ["--group", "other"]), ("user:nobody", []), ("anonymous", [])):
            check(explained(who, *words)[0] == 3, f"{who} {words}")
        check("nobody of that name logs in here now" in explained("user:nobody")[1], "nobody")
        check(explained("user:nobody", "--group", "dev")[0] == 0, "what if he were in it?")
        user(server, stele, "disable", "ann")
        check("nobody of that name logs in here now" in explained("user:ann")[1], "disabled")
        answer = request(server, "GET", "/api/v1/access/explain?who=user:ann&group=dev&action=push&repository=team/app", address=server.data / "stele.sock").json()
        check((answer["groups"], answer["groups_from"], answer["allowed"]) == (["dev"], "request", True), f"{answer}")


def test_what_is_changed_of_a_local_user_holds_at_once_whatever_his_tokens_say(stele):
    with server_with_local_users(stele) as server:
        user(server, stele, "add", "ann", "--group", "dev", "--password-stdin", secret="secret 1\n")
        ann = basic("ann", "secret 1")
        asked = ask(server, ann, "repository:team/app:pull,push", more="&offline_token=true").json()
        token, refresh = bearer(asked["token"]), asked["refresh_token"]
        check(push(server, token, "team/app").status == 201, "the token")
        user(server, stele, "group", "ann", "--remove", "dev")
        for who in (ann, token):
            check(request(server, "GET", "/v2/team/app/manifests/1", who).status in (401, 403), "out of the group")
        user(server, stele, "group", "ann", "--add", "dev")
        check(request(server, "GET", "/v2/team/app/manifests/1", token).status == 200, "in it again")
        for verb in ("disable", "passwd", "remove"):
            asked = ask(server, ann, "repository:team/app:pull", more="&offline_token=true").json()
            token, refresh = bearer(asked["token"]), asked["refresh_token"]
            check(request(server, "GET", "/v2/team/app/manifests/1", token).status == 200, verb)
            words = [verb, "ann", "--password-stdin"] if verb == "passwd" else [verb, "ann"]
            user(server, stele, *words, secret="secret 3\n")
            check(request(server, "GET", "/v2/team/app/manifests/1", token).status == 401, f"{verb}: the token")
            check(request(server, "GET", "/v2/", ann).status == 401, f"{verb}: the password")
            check(post(server, grant_type="refresh_token", refresh_token=refresh).status == 401, f"{verb}: the refresh token")
            if verb == "disable":
                user(server, stele, "enable", "ann")
                check(request(server, "GET", "/v2/", ann).status == 200, "he can log in again")
                check(request(server, "GET", "/v2/team/app/manifests/1", token).status == 401, "with no token from before")
            elif verb == "passwd":
                ann = basic("ann", "secret 3")
                check(request(server, "GET", "/v2/", ann).status == 200, "the other password")


def test_a_local_user_is_guessed_at_as_little_as_one_of_the_file(stele):
    """P15, one mechanism: ten different wrong passwords, and the account's owner elsewhere is not locked out."""
    with server_with_local_users(stele) as server:
        user(server, stele, "add", "ann", "--password-stdin", secret="secret 1\n")
        for _ in range(20):
            check(request(server, "GET", "/v2/", basic("ann", "last month's")).status == 401, "a forgotten job counts once")
        check(request(server, "GET", "/v2/", basic("ann", "secret 1")).status == 200, "and locks nobody out")
        for number in range(10):
            request(server, "GET", "/v2/", basic("ANN" if number % 2 else "ann", f"guess {number}"))
        limited = request(server, "GET", "/v2/", basic("ann", "secret 1"))
        check(limited.status == 429 and int(limited.get("Retry-After")) > 0, "guessing", limited)


def test_a_name_that_stands_in_the_file_cannot_be_a_local_user(stele):
    with server_with_users(stele) as server:
        taken = stele_command(stele, "user", "add", "alice", "--password-stdin", "--data", server.data, secret="secret 1\n")
        check(taken.returncode == 2 and "stands in" in taken.stderr and "auth.htpasswd.file" in taken.stderr, f"{taken}")
        user(server, stele, "add", "ann", "--password-stdin", secret="secret 1\n")
        check(request(server, "GET", "/v2/", basic("ann", "secret 1")).status == 200, "beside the file")
        check(request(server, "GET", "/v2/", ALICES).status == 200, "and the file's")


def test_users_where_nobody_can_log_in_are_refused_with_the_key_to_set(stele):
    with Server(stele) as server:
        refused = stele_command(stele, "user", "add", "ann", "--password-stdin", "--data", server.data, secret="secret 1\n")
        check(refused.returncode == 2 and "auth.local_users" in refused.stderr, f"{refused}")


def test_a_password_is_never_an_argument(stele):
    with server_with_local_users(stele) as server:
        for words in (["add", "ann"], ["passwd", "ann"]):
            asked = stele_command(stele, "user", *words, "--data", server.data)
            check(asked.returncode == 2 and "--password-stdin" in asked.stderr, f"{words}: {asked}")
        for empty in ("", "\n"):
            asked = stele_command(stele, "user", "add", "ann", "--password-stdin", "--data", server.data, secret=empty)
            check(asked.returncode == 2, f"{asked}")


class Initialised(Server):
    """What `stele init` made, served on a free port."""

    def __init__(self, stele, *words):
        super().__init__(stele)
        self.site = self.directory / "site"
        made = stele_command(stele, "init", self.site, *words)
        check(made.returncode == 0, f"{made}")
        self.token = made.stdout.strip()
        check(TOKEN.fullmatch(self.token), f"{made}")
        self.home = self.directory / "home"
        self.config, self.data = self.site / "stele.yaml", self.site / "data"
        self.ca = self.site / "tls/cert.pem"

    @property
    def url(self):
        return f"https://localhost:{self.port}"

    def command(self, *words, secret=None):
        return stele_command(self.stele, *words, secret=secret, home=self.home)

    def become_first(self, token, name="admin"):
        file = self.directory / "token"
        file.write_text(token + "\n")
        return self.command("user", "first", name, "--server", self.url, "--ca", self.ca, "--one-time-token", file, "--password-stdin", secret="secret 1\n")


def test_init_makes_a_site_with_tls_and_no_password_and_a_token_lets_the_first_administrator_in(stele):
    site = Initialised(stele, "--host", "localhost")
    for name, mode in {"tls/key.pem": 0o600, "data/first-administrator": 0o600, "data": 0o700}.items():
        check(stat.S_IMODE((site.site / name).stat().st_mode) == mode, name)
    again = site.command("init", site.site)
    check(again.returncode == 2 and "is there already" in again.stderr and not again.stdout, f"{again}")
    policy = site.command("policy", "check", site.site / "policy.yaml")
    check(policy.returncode == 0, f"{policy}")
    with site:
        trusting = ssl.create_default_context(cafile=site.ca)
        check(request(site, "GET", "/v2/", tls=trusting).status == 401, "nobody is let in")
        wrong = site.become_first("stele_" + "0" * 48)
        check(wrong.returncode == 3 and "stele user add NAME" in wrong.stderr, f"{wrong}")
        bad = site.become_first(site.token, "No Name")
        check(bad.returncode == 2, f"{bad}")
        made = site.become_first(site.token)
        check(made.returncode == 0 and "administrators" in made.stdout, f"{made}")
        for name in ("admin", "other"):
            used = site.become_first(site.token, name)
            check(used.returncode == 3, f"a second time: {used}")
        check(not (site.site / "data/first-administrator").exists(), "the file is gone")

        # And what stele login keeps is enough for the rest.
        before = site.command("user", "list", "--server", site.url, "--ca", site.ca)
        check(before.returncode == 3, f"{before}")
        wrong = site.command("login", site.url, "--username", "admin", "--password-stdin", "--ca", site.ca, secret="secret 2\n")
        check(wrong.returncode == 3 and not (site.home / "stele/logins.json").exists(), f"{wrong}")
        login = site.command("login", site.url, "--username", "admin", "--password-stdin", "--ca", site.ca, secret="secret 1\n")
        check(login.returncode == 0, f"{login}")
        kept = site.home / "stele/logins.json"
        check(stat.S_IMODE(kept.stat().st_mode) == 0o600 and "secret 1" not in kept.read_text(), "what is kept")
        listed = site.command("user", "list", "--server", site.url + "/")
        check(listed.returncode == 0 and "admin" in listed.stdout, f"{listed}")
        robot = site.command("robot", "create", "ci", "--scope", "**:pull", "--server", site.url)
        check(robot.returncode == 0 and TOKEN.fullmatch(robot.stdout.strip()), f"{robot}")
        os.chmod(kept, 0o644)
        refused = site.command("user", "list", "--server", site.url)
        check(refused.returncode == 2 and "chmod 600" in refused.stderr, f"{refused}")
        os.chmod(kept, 0o600)
        # It is revoked as any other.
        number = json.loads(site.command("token", "list", "--of", "user:admin", "--json", "--server", site.url).stdout)["tokens"][0]["id"]
        check(site.command("token", "revoke", number, "--data", site.site / "data").returncode == 0, "revoked")
        over = site.command("user", "list", "--server", site.url)
        check(over.returncode == 2 and "stele login" in over.stderr, f"{over}")
        out = site.command("logout", site.url)
        check(out.returncode == 0 and json.loads(kept.read_text()) == {}, f"{out}")


def test_the_token_of_init_is_over_when_there_is_an_administrator(stele):
    site = Initialised(stele, "--host", "localhost")
    with site:
        made = site.command("user", "add", "boss", "--group", "administrators", "--password-stdin", "--data", site.data, secret="secret 1\n")
        check(made.returncode == 0, f"{made}")
        late = site.become_first(site.token)
        check(late.returncode == 3 and "not accepted" in late.stderr, f"{late}")
        short = site.command("user", "add", "ann", "--password-stdin", "--data", site.data, secret="short 1\n")
        check(short.returncode == 2 and "at least 8" in short.stderr, f"{short}")


def test_no_secret_of_the_first_administrator_is_in_any_file_log_or_answer(stele):
    """The one-time token, right, wrong, broken, used and over; the passwords, and what is kept by `stele login`."""
    site, canaries = Initialised(stele, "--host", "localhost"), Canaries()
    with site.config.open("a") as config:
        config.write("log: {level: trace}\n")
    with site:
        trusting = ssl.create_default_context(cafile=site.ca)
        token = canaries.add("the one-time token", site.token, "admin")
        made_up = canaries.add("one that is made up", "stele_" + "0" * 48, "admin")
        for one in (made_up, canaries.add("a part of it", site.token[:40], "admin"), token, token):
            canaries.said(site.become_first(one))
        first = json.dumps({"token": token, "name": "other", "password": canaries.add("a password that came too late", "c4nary late", "other")}).encode()
        for headers, body in ((["Content-Type: application/json"], first), ([], first), (["Content-Type: application/json"], first[:-1])):
            canaries.seen(request(site, "POST", "/api/v1/first-administrator", headers, body=body, tls=trusting))
        for who in (basic("admin", token), bearer(token)):
            check(canaries.seen(request(site, "GET", "/v2/", who, tls=trusting)).status == 401, "it is no password")
        canaries.add("the administrator's password", "secret 1", "admin")
        following = canaries.add("his next one", "c4nary next", "admin")
        login = ["login", site.url, "--username", "admin", "--password-stdin", "--ca", site.ca]
        check(canaries.said(site.command(*login, secret="secret 1\n")).returncode == 0, "logged in")
        check(canaries.said(site.command("user", "passwd", "admin", "--password-stdin", "--server", site.url, secret=following + "\n")).returncode == 0, "another password, over the network")
        check(canaries.said(site.command(*login, secret="secret 1\n")).returncode == 3, "the one before is over")
        check(canaries.said(site.command(*login, secret=following + "\n")).returncode == 0, "logged in again")
        canaries.add("what is kept", json.loads((site.home / "stele/logins.json").read_text())[site.url]["refresh_token"], "admin")
        check(canaries.said(site.command("user", "list", "--server", site.url)).returncode == 0, "and it is used")
        canaries.process(site.process.pid)
        check(canaries.said(site.command("backup", site.site / "backup.db", "--data", site.data)).returncode == 0, "a backup")
        site.stop()
        files = [path for path in (site.log_path, *site.site.rglob("*")) if path.is_file()]
        check({"stele.db", "log", "backup.db"} <= {path.name for path in files} and b"user:admin" in site.log_path.read_bytes(), f"{files}")
        found = canaries.found((path.read_bytes(), str(path.relative_to(site.directory))) for path in files)
        check(not found, f"{found}")


def test_a_password_does_not_go_over_the_network_in_the_clear(stele):
    home = Path("nowhere")
    for words in (["login", "http://registry.example:5000", "--username", "ann", "--password-stdin"],
                  ["user", "first", "ann", "--server", "http://registry.example:5000", "--password-stdin"]):
        refused = stele_command(stele, *words, secret="secret 1\n", home=home)
        check(refused.returncode == 2 and "in the clear" in refused.stderr, f"{refused}")


def test_a_login_that_is_kept_is_not_sent_in_the_clear(stele):
    """No `stele login` keeps one for such an address; the file may have been written by hand, or by a version that did (A29)."""
    with tempfile.TemporaryDirectory() as home, socket.create_server(("127.0.0.1", 0)) as nobody:
        logins = Path(home) / ".config/stele/logins.json"
        logins.parent.mkdir(parents=True)
        port = nobody.getsockname()[1]
        far = f"http://registry.example:{port}"
        entry = {"user": "ann", "refresh_token": "stele_r_secret"}
        logins.write_text(json.dumps({far: entry}))
        logins.chmod(0o600)
        # A proxy would carry it anywhere: the name need not be known here.
        listed = subprocess.run([stele, "tag", "list", "app", "--server", far], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                                env={**os.environ, "HOME": home, "XDG_CONFIG_HOME": "", "http_proxy": f"http://127.0.0.1:{port}"})
        check(listed.returncode == 2 and "in the clear" in listed.stderr, f"{listed}")
        nobody.setblocking(False)
        try:
            nobody.accept()
            check(False, "nothing was sent")
        except BlockingIOError:
            pass


def test_init_takes_a_certificate_that_is_given_and_refuses_one_whose_key_is_another(stele):
    first, second = Initialised(stele), Initialised(stele)
    try:
        tls = first.site / "tls"
        taken = stele_command(stele, "init", first.directory / "next", "--cert", tls / "cert.pem", "--key", tls / "key.pem")
        check(taken.returncode == 0, f"{taken}")
        check((first.directory / "next/tls/cert.pem").read_text() == (tls / "cert.pem").read_text(), "the same")
        for words in (["--cert", tls / "cert.pem"], ["--cert", tls / "cert.pem", "--key", second.site / "tls/key.pem"],
                      ["--host", "no name"], ["--listen", "nowhere"]):
            refused = stele_command(stele, "init", first.directory / "refused", *words)
            check(refused.returncode == 2 and not (first.directory / "refused").exists(), f"{words}: {refused}")
    finally:
        first.remove()
        second.remove()


def test_tokens_of_another_token_server_are_an_upper_bound_of_live_rights(stele):
    keys = Key("first", "ES256"), Key("second", "RS256")
    server = Server(stele)
    file = server.directory / "keys.json"
    policy = server.directory / "policy.yaml"
    rule = 'version: 1\naccess_rules:\n  - {{name: team, who: ["user:alice"], repositories: ["team/**"], allow: [{rights}]}}\n'
    policy.write_text(rule.format(rights="pull, push, delete"))
    file.write_text(json.dumps({"keys": [keys[0].jwk()]}))
    server.config.write_text(f"policy: {policy}\nauth: {{external_tokens: {{issuer: tokens.example, audience: registry.example, jwks_file: {file}, "
                             "realm: \"https://tokens.example/auth\"}}\n")

    def token(key, access, **more):
        body = {"iss": "tokens.example", "sub": "alice", "aud": "registry.example", "exp": int(time.time()) + 300,
                "access": [{"type": "repository", "name": name, "actions": actions} for name, actions in access], **more}
        text = b64({"alg": key.algorithm, "typ": "JWT", "kid": key.name}) + "." + b64(body)
        return bearer(text + "." + key.sign(text))

    with server:
        challenge = request(server, "GET", "/v2/team/app/tags/list").get("WWW-Authenticate")
        check(challenge.startswith('Bearer realm="https://tokens.example/auth",service="registry.example",scope="repository:team/app:pull"'), challenge)
        whole = token(keys[0], [("team/app", ["pull", "push"]), ("other/app", ["pull", "push"])])
        check(push(server, whole, "team/app").status == 201, "what both allow")
        refused = request(server, "GET", "/v2/other/app/tags/list", whole)
        check(refused.status == 403 and "no rule of access_rules" in refused.message, "what the token alone allows", refused)
        less = token(keys[0], [("team/app", ["pull"])])
        check(request(server, "GET", "/v2/team/app/manifests/1", less).status == 200, "pulling")
        for method, target in (("POST", "/v2/team/app/blobs/uploads/"), ("DELETE", "/v2/team/app/manifests/1"), ("GET", "/v2/team/two/tags/list"), ("GET", "/v2/_catalog")):
            refused = request(server, method, target, less, body=b"" if method == "POST" else None)
            check(refused.status == 401 and 'error="insufficient_scope"' in refused.get("WWW-Authenticate"), f"what the rules alone allow: {target}", refused)
        now = int(time.time())
        for what, bad in {"another audience": token(keys[0], [], aud="other.example"), "expired": token(keys[0], [], exp=now - 120),
                          "not yet": token(keys[0], [], nbf=now + 120), "another key": token(keys[1], []),
                          "of another name": token(keys[0], [], iss="other.example")}.items():
            refused = request(server, "GET", "/v2/", bad)
            check(refused.status == 401 and 'error="invalid_token"' in refused.get("WWW-Authenticate"), what, refused)
        check(request(server, "GET", "/v2/", basic("alice", whole[0].partition("Bearer ")[2])).status == 401, "it is no password")
        check(ask(server, whole, "repository:team/app:pull").status == 401, "a token gets no other token")

        # A right that is taken away, a user who is disabled here, a key that is rotated: at once.
        policy.write_text(rule.format(rights="pull"))
        eventually(lambda: request(server, "POST", "/v2/team/app/blobs/uploads/", whole, body=b"").status == 403, "the rule")
        user(server, stele, "add", "alice", "--password-stdin", secret="secret 1\n")
        check(request(server, "GET", "/v2/team/app/manifests/1", whole).status == 200, "a local user of that name changes nothing")
        user(server, stele, "disable", "alice")
        check(request(server, "GET", "/v2/team/app/manifests/1", whole).status == 401, "disabled")
        user(server, stele, "enable", "alice")
        write(file, json.dumps({"keys": [keys[1].jwk()]}))
        eventually(lambda: request(server, "GET", "/v2/team/app/manifests/1", token(keys[1], [("team/app", ["pull"])])).status == 200, "the next key")
        check(request(server, "GET", "/v2/team/app/manifests/1", whole).status == 401, "the key before")


def test_bytes_are_limited_by_who_moves_them_and_from_where(stele):
    """What was begun goes on to its end; then 429 with Retry-After. Probes and the local socket are never limited, and nobody pays for another."""
    large = b"x" * (3 << 20)
    with server_with_users(stele, "limits: {principal_bytes: 1MiB}\n") as server:
        bob = basic("bob", "pässword:with colon")
        check(push(server, bob, "app").status == 201, "small things")
        check(request(server, "POST", f"/v2/app/blobs/uploads/?digest={sha256(large)}", ALICES, large).status == 201, "three minutes' worth, to its end")
        limited = eventually(lambda: (answer := request(server, "GET", "/v2/", ALICES)).status == 429 and answer, "who is beyond it")
        check(60 < int(limited.get("Retry-After")) <= 120 and "user:alice has sent and received more than 1MiB in a minute" in limited.message, "the words", limited)
        check(limited.json()["errors"][0]["code"] == "TOOMANYREQUESTS", "the code", limited)
        check(request(server, "GET", "/v2/", bob).status == 200, "another user")
        check(request(server, "GET", f"/v2/app/blobs/{sha256(large)}", bob).body == large, "a pull, to its end")
        eventually(lambda: request(server, "GET", "/v2/", bob).status == 429, "what is sent counts, too")
        check(request(server, "GET", "/livez").status == 200, "a probe")
        check(request(server, "GET", "/api/v1/policy", address=server.data / "stele.sock").status == 200, "the local socket")
    with server_with_users(stele, "limits: {address_bytes: 1MiB}\n") as server:
        check(request(server, "POST", f"/v2/app/blobs/uploads/?digest={sha256(large)}", ALICES, large).status == 201, "an address")
        limited = eventually(lambda: (answer := request(server, "GET", "/v2/", basic("bob", "pässword:with colon"))).status == 429 and answer, "everybody from there")
        check("your address has sent and received more than 1MiB in a minute" in limited.message, "the words", limited)


def test_requests_are_limited_by_who_makes_them_and_from_where(stele):
    """429 with Retry-After and the limit in words; probes are never limited; one user does not pay for another."""
    with server_with_users(stele, "limits: {principal_requests: 5}\n") as server:
        answers = [request(server, "GET", "/v2/", ALICES) for _ in range(12)]
        limited = [answer for answer in answers if answer.status == 429]
        check(answers[0].status == 200 and limited, f"{[answer.status for answer in answers]}")
        check(int(limited[0].get("Retry-After")) >= 1 and "user:alice has made more than 5 requests in a minute" in limited[0].message, "the words", limited[0])
        check(request(server, "GET", "/api/v1/policy", ALICES).status == 429, "each face")
        check(request(server, "GET", "/v2/", basic("bob", "pässword:with colon")).status == 200, "another user")
        check(request(server, "GET", "/livez").status == 200, "a probe")
        check(request(server, "GET", "/api/v1/policy", address=server.data / "stele.sock").status == 200, "the local socket")
    with server_with_users(stele, "limits: {address_requests: 5}\n") as server:
        answers = [request(server, "GET", "/v2/", basic("alice", f"guess {number}")) for number in range(12)]
        limited = [answer for answer in answers if answer.status == 429]
        check(limited and "your address has made more than 5 requests" in limited[-1].message, "an address", limited[-1])
        check(all(request(server, "GET", "/readyz").status == 200 for _ in range(12)), "probes")
