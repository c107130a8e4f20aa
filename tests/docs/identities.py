#!/usr/bin/env python3
"""docs/ci.md, docs/authentication.md and docs/ldap.md, done as they say: a workflow's own lines with the variables of its CI, what is
typed at a terminal, a directory. Only the registry's name and its folder are others.

  identities.py [--clients] STELE [NAME...]      --clients: ci.md alone, with docker, its daemon and crane instead of a stand-in
"""
import contextlib
import importlib.util
import json
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
from pathlib import Path

import yaml

from pages import NAME, ROOT, Workplace, blocks, only
from common import Authority, check
from issuer import Issuer, Key
from logins import ask, basic, bearer, claims, push, token_of
from ports import held_port
from stand_in import Handler, StandIn
from wire import Server, die_with_parent, eventually, request

GITHUB = "https://token.actions.githubusercontent.com"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REAL = False


@contextlib.contextmanager
def at_work(stele, configuration="", policy=""):
    """A server with what a page has of configuration and rules, and a folder to work in."""
    with tempfile.TemporaryDirectory(prefix="stele-pages-") as directory:
        server = Server(stele)
        if policy:
            (server.directory / "policy.yaml").write_text("version: 1\n" + policy)
            configuration += f"policy: {server.directory}/policy.yaml\n"
        server.config.write_text(configuration)
        with server, Workplace(directory, stele, server.address, REAL) as work, daemon(work):
            yield server, work


@contextlib.contextmanager
def daemon(work):
    """dockerd, where docker itself is used."""
    if not REAL:
        yield
        return
    from daemon import Daemon
    work.env["DOCKER_HOST"] = f"unix://{work.directory}/d.sock"
    started = Daemon(["dockerd", "--data-root", work.directory / "data", "--exec-root", work.directory / "exec", "--host", work.env["DOCKER_HOST"],
                      "--pidfile", work.directory / "pid", "--storage-driver", "vfs", "--iptables=false", "--ip6tables=false", "--bridge=none"],
                     work.env, work.directory / "dockerd.log", lambda: daemon_answers(work))
    try:
        yield
    finally:
        started.stop()


def daemon_answers(work):
    from server import Failure as NotYet
    if subprocess.run(["docker", "version"], env=work.env, capture_output=True).returncode:
        raise NotYet("dockerd does not answer yet")


def of(issuer, text, name):
    """A configuration or rules of the page, of this issuer instead of the one named."""
    check(text.count(name) == 1, f"{name} once in {text}")
    return text.replace(name, f'"{issuer.url}"' if name == "github" else issuer.url)


def github(stele, issuer, more=""):
    [configuration] = blocks("ci.md", "yaml", "auth:\n  oidc:\n    - issuer: github")
    [rules] = blocks("ci.md", "yaml", "access_rules:\n  - {name: app")
    return at_work(stele, of(issuer, configuration, "github"), of(issuer, rules, "github") + more)


def of_github(issuer, **more):
    return issuer.token(aud=NAME, **{"repository_owner_id": "9919", "repository_id": "4711", "ref": "refs/heads/main", **more})


class Runner(StandIn):
    """What a GitHub runner's job asks for an ID token."""

    def __init__(self, token):
        self.asked = []
        runner = self

        class Asked(Handler):
            def do_GET(self):
                path, _, query = self.path.partition("?")
                runner.asked.append((path, dict(urllib.parse.parse_qsl(query)), self.headers["Authorization"]))
                self.answer(200, json.dumps({"count": len(token), "value": token}).encode(), Content_Type="application/json")
        super().__init__(Asked)

    def variables(self):
        return {"ACTIONS_ID_TOKEN_REQUEST_URL": self.url + "/idtoken/1?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "the job's", "GITHUB_SHA": COMMIT}


def test_the_steps_of_the_github_workflow_build_and_push(stele):
    """`run:` as a runner runs it: bash -e, with what it knows of the job."""
    workflow = yaml.safe_load(only("ci.md", "yaml", "ACTIONS_ID_TOKEN_REQUEST_URL"))
    check(workflow["permissions"]["id-token"] == "write", "without it there is no ID token")
    steps = [step["run"] for step in workflow["jobs"]["build"]["steps"]]
    with Issuer() as issuer, github(stele, issuer) as (server, work):
        with Runner(of_github(issuer)) as runner:
            token = of_github(issuer)
            said = [work.run(step, "bash -e", **runner.variables()) for step in steps]
            check(runner.asked == [("/idtoken/1", {"api-version": "2.0", "audience": NAME}, "bearer the job's")], f"asked as GitHub wants it: {runner.asked}")
            check(re.search(r"^::add-mask::[\w-]+\.[\w-]+\.[\w-]+$", said[0], re.M), "the token is masked in the job's log")
        check(request(server, "GET", f"/v2/team/app/manifests/{COMMIT}", bearer(token)).status == 200, "the image is there")
        with Runner(of_github(issuer, ref="refs/heads/feature")) as runner:
            work.run(steps[0], "bash -e", **runner.variables())
            refused = work.run(steps[1], "bash -e", right=False, **runner.variables())
            check("access_rules" in refused, f"another branch logs in and pushes nothing, and is told why: {refused}")
        with Runner(of_github(issuer, repository_owner_id="1")) as runner:
            check("repository_owner_id" in work.run(steps[0], "bash -e", right=False, **runner.variables()), "another owner does not log in")


def of_gitlab(issuer, **more):
    """As GitLab has them: numbers as texts, a list of identities."""
    return issuer.token(aud=NAME, sub="project_path:team/app:ref_type:branch:ref:main", repository=None, repository_id=None, repository_owner_id=None, **{
        "project_id": "123", "project_path": "team/app", "namespace_id": "72", "ref": "main", "ref_type": "branch", "ref_protected": "true",
        "user_identities": [{"provider": "github", "extern_uid": "1"}], "pipeline_id": "1212", "groups_direct": ["team"], **more})


def test_the_script_of_the_gitlab_job_builds_and_pushes(stele):
    job = yaml.safe_load(only("ci.md", "yaml", "id_tokens"))["build"]
    [(variable, wanted)] = job["id_tokens"].items()
    check(wanted == {"aud": NAME}, "whom its token is for")
    script = "\n".join(job["script"])
    with Issuer() as issuer:
        configuration, rules = (of(issuer, only("ci.md", "yaml", words), "https://gitlab.example.com") for words in ("name: gitlab-here", "ref_protected"))
        with at_work(stele, configuration, rules) as (server, work):
            token = of_gitlab(issuer)
            work.run(script, "sh -e", CI_COMMIT_SHA=COMMIT, **{variable: token})
            check(request(server, "GET", f"/v2/team/app/manifests/{COMMIT}", bearer(token)).status == 200, "the image is there")
            check("oidc:gitlab-here:project_path:team/app" in server.logged(), "the log names the job")
            for other in ({"ref": "feature"}, {"ref_protected": "false"}, {"project_id": "1234"}):
                check("access_rules" in work.run(script, "sh -e", right=False, CI_COMMIT_SHA=COMMIT, **{variable: of_gitlab(issuer, **other)}), f"not with {other}")


def test_a_pod_pushes_with_the_token_of_its_service_account(stele):
    """The cluster is asked for its keys as the page says, and never by the server."""
    rules = only("ci.md", "yaml", "kubernetes.io/namespace")
    uid = yaml.safe_load(rules)["access_rules"][0]["who"][0]["kubernetes.io/serviceaccount/uid"]
    cluster = "https://kubernetes.default.svc"
    commands = re.findall(r"`(kubectl get --raw [^`]*)`", (ROOT / "docs/ci.md").read_text())
    check(len(commands) == 2, f"{commands}")
    with Issuer() as issuer, tempfile.TemporaryDirectory() as directory:
        issuer.answers["/openid/v1/jwks"] = (200, {}, issuer.key_set())
        kubectl = Path(directory) / "kubectl"
        real = shutil.which("kubectl")
        kubectl.write_text("#!/bin/sh\n" + (f'exec {real} --server={issuer.url} "$@"\n' if real else f'[ "$1 $2" = "get --raw" ] && exec curl -sf "{issuer.url}$3"\n'))
        kubectl.chmod(0o755)
        configured, keys = (subprocess.run(command.split(), env={"PATH": f"{directory}:/usr/bin:/bin", "HOME": directory}, check=True, capture_output=True).stdout for command in commands)
        check("jwks_uri" in json.loads(configured) and issuer.asked[-1] == "/openid/v1/jwks", "a cluster is an issuer")
        asked = len(issuer.asked)
        file = Path(directory) / "jwks.json"
        file.write_bytes(keys)

        def token(**account):
            said = {"namespace": "build", "serviceaccount": {"name": "builder", "uid": uid}, "pod": {"name": "builder-1", "uid": "1"}, **account}
            return issuer.token(iss=cluster, aud=[NAME], sub="system:serviceaccount:build:builder", **{"kubernetes.io": said})
        configuration = f"auth:\n  oidc:\n    - {{issuer: {cluster}, audience: {NAME}, claims: {{}}, jwks_file: {file}}}\n"
        with at_work(stele, configuration, rules) as (server, _):
            for who in (bearer(token()), basic("any", token())):
                check(push(server, who, "team/app").status == 201, "a pod of this account")
            for other in ({"namespace": "other"}, {"serviceaccount": {"name": "builder", "uid": "made again"}}):
                check(push_refused(server, token(**other)), f"not with {other}")
        check(len(issuer.asked) == asked, f"the server asks nobody: {issuer.asked}")


def push_refused(server, token):
    return request(server, "POST", "/v2/team/app/blobs/uploads/", basic("ci", token), body=b"").status == 403


def test_an_id_token_is_exchanged_and_crane_keeps_the_session(stele):
    with Issuer() as issuer, github(stele, issuer) as (server, work):
        work.run(only("ci.md", "sh", "token-exchange") + 'printf %s "$session" >session\n', TOKEN=of_github(issuer, exp=int(time.time()) - 45))
        session = (work.checkout / "session").read_text()
        check(claims(session)["exp"] > time.time() + 3000, "it holds longer than the ID token")
        check(push(server, basic("ci", session), "team/app").status == 201, "the session is good for a push")
        if REAL:
            listed = work.run(f"crane copy {server.address}/team/app:1 {server.address}/team/app:2 && crane ls {server.address}/team/app")
            check({"1", "2"} <= set(listed.split()), f"crane works with what it keeps: {listed}")
        else:
            check(work.said()[0][:3] == ["auth", "login", server.address], f"{work.said()}")


def test_access_explain_tells_a_job_what_its_token_says(stele):
    """By the page's own rules, which speak of GitHub."""
    block = only("ci.md", "sh", "--id-token -")
    [rules] = blocks("ci.md", "yaml", "access_rules:\n  - {name: app")
    with Issuer() as issuer, at_work(stele) as (_, work):
        (work.checkout / "policy.yaml").write_text("version: 1\n" + rules)
        check("allowed by rule app" in work.run(block, TOKEN=of_github(issuer, iss=GITHUB)), "its rule is named")
        check("nearly: rule app" in work.run(block, right=False, TOKEN=of_github(issuer, iss=GITHUB, ref="refs/heads/x")), "and the one that comes near")
    with Issuer() as issuer, github(stele, issuer, "  - {who: [\"user:boss\"], repositories: [\"**\"], allow: [admin]}\n") as (server, work):
        work.run(f"echo secret-of-boss | stele user add boss --password-stdin --data {server.data}")
        boss = ask(server, basic("boss", "secret-of-boss"), "registry:*:*")
        for who, token, right, says in (("a job", of_github(issuer), False, "needs the right admin"), ("an administrator", token_of(boss), True, "allowed by rule app")):
            (work.checkout / "token").write_text(token)
            asked = block.replace("--policy policy.yaml", f"--server http://{server.address} --token-file token")
            check(asked != block and says in work.run(asked, right=right, TOKEN=of_github(issuer)), f"of a running server, for {who}")
        asked = block.replace("--policy policy.yaml", f"--data {server.data}")
        check("allowed by rule app" in work.run(asked, TOKEN=of_github(issuer)), "and on its own machine")


class Site(Workplace):
    """Where the commands of authentication.md are run: /etc/stele, a server over TLS on a port of its own."""

    def __init__(self, directory, stele):
        self.port = held_port()
        super().__init__(directory, stele, f"localhost:{self.port}")
        self.env["STELE_LISTEN"] = f"127.0.0.1:{self.port}"
        self.etc = self.directory / "etc"
        self.etc.mkdir()
        self.process = None

    def serve(self, command):
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(["bash", "-euc", "exec " + self.here(command)], env=self.env, cwd=self.directory, stdout=log, stderr=log, preexec_fn=die_with_parent)
        eventually(lambda: "serves " in (self.directory / "log").read_text() or self.process.poll() is not None, "the start")
        check(self.process.poll() is None, (self.directory / "log").read_text())

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()

    def status(self, name, password, ca):
        self.host = "127.0.0.1"
        return request(self, "GET", "/v2/", basic(name, password), tls=ssl.create_default_context(cafile=ca)).status

    @staticmethod
    def external_url():
        return ""


def test_a_new_registry_from_init_to_its_second_user(stele):
    """What is asked for is typed at a terminal."""
    made, used = blocks("authentication.md", "sh")[:2]
    initialise, serve = made.splitlines()
    users = used.replace(f"{NAME}:5000", "HERE")
    with tempfile.TemporaryDirectory(prefix="stele-pages-") as directory, Site(directory, stele) as site:
        token = re.search(r"^stele_[0-9a-f]{48}$", site.run(initialise.replace(NAME, "localhost")), re.M)[0]
        site.serve(serve)
        answers = [("oken", token), ("New password of admin: ", "correct horse 1"), ("The same again: ", "correct horse 1"), ("assword", "correct horse 1"),
                   ("New password of ann: ", "correct horse 2"), ("The same again: ", "correct horse 2")]
        site.typed(users.replace("https://HERE", f"https://{site.address}").replace("HERE", site.address), *answers, cwd=site.etc / "site")
        ca = site.etc / "site/tls/cert.pem"
        check(site.status("admin", "correct horse 1", ca) == 200 and site.status("ann", "correct horse 2", ca) == 200, "both log in")
        check(site.status("admin", "correct horse 2", ca) == 401, "each with his own")


def hashes(site):
    """By the commands of the page, typed: {what made it: its hash}, all of one password."""
    page = (ROOT / "docs/authentication.md").read_text()
    table = re.search(r"^\| form \| made with.*?\n\n", page, re.S | re.M)[0]
    found = {command: command for command in re.findall(r"`((?:htpasswd|mkpasswd|openssl) [^`]*)`", table)}
    found["PBKDF2"] = only("authentication.md", "sh", "pbkdf2_hmac")
    check(len(found) == 4, f"the four forms: {list(found)}")
    for name, command in found.items():
        command = command.replace(" FILE NAME", f" -c {site.directory}/made NAME")
        twice = ("openssl", "htpasswd")
        answers = [("assword:", "correct horse")] + [("assword:", "correct horse")] * name.startswith(twice)
        if name.startswith("openssl"):
            answers = [("assword:", "correct horse"), ("assword:", "correct horse")]
        shown = site.typed(command, *answers)
        text = (site.directory / "made").read_text() if name.startswith("htpasswd") else shown
        found[name] = re.search(r"\$(?:y|2y|6|pbkdf2-sha512)\$\S+", text)[0]
    return found


def test_what_the_page_makes_hashes_with_lets_in(stele):
    """yescrypt, bcrypt, SHA-512 crypt and PBKDF2, each as the page makes it; the file of users by the page's configuration."""
    configuration, command = only("authentication.md", "yaml", "htpasswd"), only("authentication.md", "sh", "htpasswd -c")
    with tempfile.TemporaryDirectory(prefix="stele-pages-") as directory, Site(directory, stele) as site:
        (site.etc / "tls").mkdir()
        authority = Authority(site.etc / "tls")
        authority.issue("server", "localhost", 1)
        for name, its in (("fullchain.pem", "server.crt"), ("privkey.pem", "server.key")):
            (site.etc / "tls" / its).rename(site.etc / "tls" / name)
        first, login = site.here(command.replace(NAME, "HERE")).splitlines()
        check(login == "docker login HERE", f"then {login}")
        site.typed(first.partition("#")[0], ("assword:", "correct horse"), ("assword:", "correct horse"))
        made = hashes(site)
        with open(site.etc / "users", "a") as users:
            users.writelines(f"user{number}:{text}\n" for number, text in enumerate(made.values()))
        (site.etc / "stele.yaml").write_text(site.here(configuration) + f"data: {directory}/data\n")
        site.run("stele config check /etc/stele/stele.yaml")
        site.serve("stele serve --config /etc/stele/stele.yaml")
        for name in ("alice", *(f"user{number}" for number in range(len(made)))):
            check(site.status(name, "correct horse", authority.ca) == 200, f"{name} logs in")
            check(site.status(name, "correct horses", authority.ca) == 401, f"{name}, not with another password")


def test_the_other_configurations_of_the_page_are_what_the_program_takes(stele):
    with tempfile.TemporaryDirectory(prefix="stele-pages-") as directory, Site(directory, stele) as site:
        (site.etc / "tls").mkdir()
        Authority(site.etc / "tls").ca.rename(site.etc / "tls/clients.pem")
        (site.etc / "token-server-keys.json").write_text(json.dumps({"keys": [Key("first").jwk()]}))
        for words in ("mtls", "external_tokens"):
            text = only("authentication.md", "yaml", words)
            if words == "mtls":     # it is of TLS
                authority = Authority(site.directory)
                authority.issue("server", "localhost", 1)
                text = f"tls: {{cert: {authority.cert}, key: {authority.key}}}\n" + text
            (site.etc / "stele.yaml").write_text(text.replace("/etc/stele/", f"{site.etc}/"))
            site.run("stele config check /etc/stele/stele.yaml")


def ldap_tests():
    """tests/ldap's slapd, with the tree that the page has."""
    spec = importlib.util.spec_from_file_location("ldap_tests", ROOT / "tests/ldap/run.py")
    ldap = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ldap)
    for name in ("CONFIG", "CONTENT"):
        text = getattr(ldap, name).replace("cn=stele,dc=example", "cn=stele,ou=services,dc=example").replace("dc=example", "dc=example,dc=com")
        setattr(ldap, name, text)
    services = ldap.entry("ou=services,dc=example,dc=com", "objectClass: organizationalUnit", "ou: services")
    ldap.CONTENT = ldap.CONTENT.replace("dn: cn=stele,", services + "dn: cn=stele,", 1)
    return ldap


def test_the_directory_of_the_page_lets_its_users_in(stele):
    """Of its two servers the first is down. What is added for Active Directory is valid beside it."""
    general, active = (only("ldap.md", "yaml", words) for words in ("ldaps://dc1", "sAMAccountName={user}"))
    rules = only("ldap.md", "yaml", "access_rules")
    ldap = ldap_tests()
    with tempfile.TemporaryDirectory(prefix="stele-pages-") as directory, ldap.Directory() as people, Site(directory, stele) as site:
        (site.etc / "tls").mkdir()
        (site.etc / "tls/dc.pem").write_text((people.directory / "ca.pem").read_text())
        (site.etc / "ldap-password").write_text(ldap.SEARCHERS + "\n")
        (site.etc / "policy.yaml").write_text("version: 1\n" + rules)
        urls = re.search(r"url: (\S+) (\S+)\n", general)
        check(urls[1] != urls[2], "two of them")
        configuration = site.here(general.replace(urls[1], f"ldaps://127.0.0.1:{held_port()}").replace(urls[2], people.tls_url))
        (site.etc / "stele.yaml").write_text(configuration + site.here(active))
        site.run("stele config check /etc/stele/stele.yaml && stele policy check /etc/stele/policy.yaml")
        with at_work(stele, configuration, rules) as (server, _):
            check(push(server, basic("Alice", "alices"), "team/app").status == 201, "who is in the group pushes")
            check(request(server, "GET", "/v2/team/app/tags/list", basic("crowd", "crowds")).status == 403, "who is not does not")
            check(request(server, "GET", "/v2/", basic("alice", "crowds")).status == 401, "nor who has not the password")


def main():
    global REAL
    words = sys.argv[1:]
    REAL = words[0] == "--clients"
    stele, *names = words[1:] if REAL else words
    tests = [one for name, one in globals().items() if name.startswith("test_") and (not names or any(part in name for part in names))]
    if REAL:
        tests = [one for one in tests if re.search("github|gitlab|crane", one.__name__)]
    failed = 0
    for test in tests:
        started = time.monotonic()
        try:
            test(str(Path(stele).resolve()))
            print(f"ok   {test.__name__[5:]} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception:   # the others are run all the same
            failed += 1
            print(f"FAIL {test.__name__[5:]}\n{traceback.format_exc()}", flush=True)
    print(f"docs: {len(tests) - failed} passed, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
