#!/usr/bin/env python3
"""Users of Active Directory, as docs/ldap.md has it, against Samba's domain controller: provisioned here into a directory of its own, with
the certificate that it makes for itself, users and groups by samba-tool.

  active_directory.py STELE [NAME...]

A domain controller has its fixed ports and is known by its name: it runs, as all of this does, in a network of its own, with its own
/etc/hosts. That needs root, as `make active-directory` says.
"""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))
from pages import ROOT, only   # noqa: E402
from common import check   # noqa: E402
from logins import ask, basic, bearer, post, push, token_of   # noqa: E402
from wire import Failure, Server, die_with_parent, eventually, request   # noqa: E402

APART = "--apart"      # it is in the network of its own
NEEDED = ("samba", "samba-tool", "ldapsearch", "unshare", "ip", "mount")
START_TIMEOUT = 180      # it makes two RSA keys of 4096 bits first
SEARCHERS = "Searchers-1"
GENERAL, ACTIVE, RULES = (only("ldap.md", "yaml", words) for words in ("ldaps://dc1", "sAMAccountName={user}", "access_rules"))
DOWN, UP = re.search(r"url: ldaps://(\S+) ldaps://(\S+)\n", GENERAL).groups()
PASSWORDS = {"alice": "Alices-1", "jane": "Janes-12", "carol": "Carols-1", "dora": "Doras-12", "erik": "Eriks-12", "frida": "Fridas-1"}


class DomainController:
    """Of the page's domain, whose second server it is."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="stele-samba-"))
        self.conf = self.directory / "etc/smb.conf"
        self.ca = self.directory / "private/tls/ca.pem"
        self.process = None

    def tool(self, *words, conf=None):
        done = subprocess.run(["samba-tool", *map(str, words), f"--configfile={conf or self.conf}"], capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise Failure(f"samba-tool {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout

    def provision(self):
        nothing = self.directory / "nothing.conf"
        nothing.touch()
        (self.directory / "run").mkdir()
        name, _, domain = UP.partition(".")
        options = {"pid directory": self.directory / "run", "ncalrpc dir": self.directory / "run/ncalrpc", "server services": "ldap",
                   "interfaces": "127.0.0.1/8", "bind interfaces only": "yes"}
        self.tool("domain", "provision", f"--realm={domain.upper()}", f"--domain={domain.partition('.')[0].upper()}", "--server-role=dc", "--dns-backend=NONE",
                  "--adminpass=Adm1nistrators", f"--targetdir={self.directory}", f"--host-name={name}", "--host-ip=127.0.0.1",
                  *(f"--option={key}={value}" for key, value in options.items()), conf=nothing)

    def people(self):
        """dev has developers, who are alice, jane and others; carol is in no group."""
        for unit in ("people", "groups", "services"):
            self.tool("ou", "create", f"OU={unit}")
        self.tool("user", "create", "stele", SEARCHERS, "--userou=OU=services")
        for name, password in PASSWORDS.items():
            self.tool("user", "create", name.capitalize(), password, "--userou=OU=people")
        self.tool("user", "rename", "jane", "--force-new-cn=Müller\\, Jane (née Doe) #1")
        for group in ("dev", "developers"):
            self.tool("group", "add", group, "--groupou=OU=groups")
        self.tool("group", "addmembers", "developers", ",".join(name for name in PASSWORDS if name != "carol"))
        self.tool("group", "addmembers", "dev", "developers")

    def __enter__(self):
        try:
            self.provision()
            self.people()
            with open(self.directory / "log", "wb") as log:
                self.process = subprocess.Popen(["samba", f"--configfile={self.conf}", "--foreground", "--no-process-group", "--model=single", "--debug-stdout"],
                                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
            eventually(self.listens, "the domain controller's start", START_TIMEOUT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise Failure(f"samba ended with {self.process.returncode}: {(self.directory / 'log').read_text(errors='replace')[-3000:]}")
        with contextlib.suppress(OSError), socket.create_connection((UP, 636), timeout=5):
            return True

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def says(self, name, password, *words, url=f"ldaps://{UP}"):
        """What the directory itself answers to a bind and a search: the exit code and the words."""
        done = subprocess.run(["ldapsearch", "-x", "-LLL", "-H", url, "-D", f"{name}@{UP.partition('.')[2]}", "-w", password, *(words or ("-s", "base", "-b", ""))],
                              env={**os.environ, "LDAPTLS_CACERT": str(self.ca)}, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr


def server_with(stele, controller, change=lambda text: text, more="groups_ttl: 1s"):
    """With the page's configuration: its files are here, its names and addresses stay."""
    server = Server(stele)
    etc = server.directory / "etc"
    (etc / "tls").mkdir(parents=True)
    (etc / "tls/dc.pem").write_text(controller.ca.read_text())
    (etc / "ldap-password").write_text(SEARCHERS + "\n")
    (server.directory / "policy.yaml").write_text("version: 1\n" + RULES)
    text = change(GENERAL + ACTIVE).replace("/etc/stele/", f"{etc}/")
    server.config.write_text(f"policy: {server.directory}/policy.yaml\n{text}" + (f"    {more}\n" if more else ""))
    return server


def changed(old, new):
    def change(text):
        check(old in text, f"the page has {old}")
        return text.replace(old, new)
    return change


def groups_of_alice(server):
    """As `access explain` tells them."""
    done = subprocess.run([server.stele, "access", "explain", "--who", "user:alice", "--repository", "team/app", "--action", "push", "--data", server.data],
                          capture_output=True, text=True, timeout=60)
    known = re.search(r"in the groups (.*), as the server knows him now", done.stdout)
    check(done.returncode == 0 and known, f"{done}")
    return set(known[1].split(", "))


def pulls(server, who):
    return request(server, "GET", "/v2/team/app/manifests/1", who).status


def test_the_page_s_configuration_lets_users_of_a_nested_group_in(stele, controller):
    """As it stands there, with its default times. The first of its two servers is down."""
    with server_with(stele, controller, more="") as server:
        alice = basic("alice", PASSWORDS["alice"])
        check(push(server, alice, "team/app").status == 201, "Basic, by a group in a group")
        got = ask(server, alice, "repository:team/app:pull,push", more="&offline_token=true").json()
        check(push(server, bearer(got["token"]), "team/app").status == 201, "a token")
        renewed = token_of(post(server, grant_type="refresh_token", refresh_token=got["refresh_token"], scope="repository:team/app:pull", service="stele"))
        check(pulls(server, bearer(renewed)) == 200, "what docker login keeps")
        check(request(server, "GET", "/v2/other/tags/list", alice).status == 403, "no other right")
        check(pulls(server, basic("carol", PASSWORDS["carol"])) == 403, "who is in no group has none")
        for who in (basic("alice", "Wrong-12"), basic("nobody", PASSWORDS["alice"]), basic("alice", ""), basic("alice", PASSWORDS["jane"]), basic("*", PASSWORDS["alice"])):
            check(request(server, "GET", "/v2/", who).status == 401 and ask(server, who).status == 401, f"{who}")
        check(groups_of_alice(server) == {"dev", "developers"}, "both are known")
        check(not any(secret in server.logged() for secret in (*PASSWORDS.values(), SEARCHERS)), "no secret in the log")


def test_a_name_in_capital_letters_is_the_same_principal(stele, controller):
    with server_with(stele, controller) as server:
        for name in ("alice", "ALICE", "Alice", "aLiCe"):
            check(push(server, basic(name, PASSWORDS["alice"]), "team/app").status == 201, name)
        check("user:alice" in (log := server.logged()) and not re.search("user:(?!alice)alice", log, re.I), "one name")


def test_a_user_whose_dn_has_a_comma_and_more_is_in_his_groups(stele, controller):
    found = controller.tool("user", "show", "jane", "--attributes=cn")
    check("Müller" in found or "TcO8bGxlci" in found, f"{found}")
    with server_with(stele, controller) as server:
        jane = basic("jane", PASSWORDS["jane"])
        check(push(server, jane, "team/app").status == 201, "Basic")
        check(pulls(server, bearer(token_of(ask(server, jane, "repository:team/app:pull")))) == 200, "a token")
        check(request(server, "GET", "/v2/", basic("Müller, Jane (née Doe) #1", PASSWORDS["jane"])).status == 401, "the CN is no login name")


def test_nothing_is_asked_without_encryption(stele, controller):
    """The directory refuses it by itself, and Stele says so; StartTLS and LDAPS are good, with the right authority and name only."""
    code, said = controller.says("alice", PASSWORDS["alice"], url=f"ldap://{UP}")
    check(code == 8 and "Strong(er) authentication required" in said, f"the directory's own rule: {said}")
    alice, urls = basic("alice", PASSWORDS["alice"]), re.search(r"url: .*", GENERAL)[0]
    with server_with(stele, controller, changed(urls, f"url: ldap://{UP}")) as server:
        check(push(server, alice, "team/app").status == 201, "StartTLS, which is the default")
    for what, change, says in (("plain", changed(urls, f"url: ldap://{UP}\n    start_tls: off"), "Strong(er) authentication required"),
                               ("another name", changed(urls, "url: ldaps://localhost"), "cannot be asked"),
                               ("another authority", changed("/etc/stele/tls/dc.pem", "/etc/ssl/certs/ca-certificates.crt"), "cannot be asked")):
        with server_with(stele, controller, change) as server:
            answer = request(server, "GET", "/v2/", alice)
            check(answer.status == 503 and says in answer.message, what, answer)


def test_a_disabled_account_is_refused_and_loses_its_tokens(stele, controller):
    """Within groups_ttl; what is enabled again has them back. The page has the filter twice."""
    listed = re.search(r"^\| Active Directory \| `(.*)` \|$", (ROOT / "docs/ldap.md").read_text(), re.M)[1]
    check(f"user_filter: {listed}\n" in ACTIVE, f"{listed} is another than in {ACTIVE}")
    with server_with(stele, controller) as server:
        dora, alice = basic("dora", PASSWORDS["dora"]), basic("alice", PASSWORDS["alice"])
        check(push(server, dora, "team/app").status == 201, "before")
        got = ask(server, dora, "repository:team/app:pull,push", more="&offline_token=true").json()
        check(pulls(server, bearer(got["token"])) == 200, "with a token")
        controller.tool("user", "disable", "dora")
        for what, who in (("the token", bearer(got["token"])), ("the password", dora)):
            eventually(lambda who=who: pulls(server, who) == 401, f"{what} is over")
        check(post(server, grant_type="refresh_token", refresh_token=got["refresh_token"]).status == 401, "with what docker login keeps")
        check(pulls(server, alice) == 200, "others go on")
        controller.tool("user", "enable", "dora")
        eventually(lambda: pulls(server, bearer(got["token"])) == 200, "what is enabled again")
    controller.tool("user", "disable", "dora")
    with server_with(stele, controller) as server:
        check(request(server, "GET", "/v2/", dora).status == 401, "who is disabled from the beginning")


def test_a_password_that_is_changed(stele, controller):
    """The new one holds at once. The directory itself takes the one before for an hour, and no older one; where it was used Stele keeps it for
    five minutes, so that a server that knows none is asked."""
    old, second, third = PASSWORDS["erik"], "Eriks-new-2", "Eriks-new-3"

    def statuses(server, *passwords):
        return [request(server, "GET", "/v2/", basic("erik", password)).status for password in passwords]
    with server_with(stele, controller) as server:
        check(statuses(server, old, third) == [200, 401], "before")
        token = bearer(token_of(ask(server, basic("erik", old), "repository:team/app:pull,push")))
        controller.tool("user", "setpassword", "erik", f"--newpassword={second}")
        check(statuses(server, second, old) == [200, 200] and push(server, token, "team/app").status == 201, "the new one, the one that was used, tokens")
        server.stop()
        server.start()
        check(controller.says("erik", old)[0] == 0 and statuses(server, old, second) == [200, 200], "the directory says so itself")
        controller.tool("user", "setpassword", "erik", f"--newpassword={third}")
        server.stop()
        server.start()
        check(controller.says("erik", old)[0] == 49 and statuses(server, old, third) == [401, 200], "the oldest, where it was not used")
        check(pulls(server, token) == 200, "tokens go on")


def test_a_group_taken_out_of_a_group_takes_its_users_rights(stele, controller):
    with server_with(stele, controller) as server:
        alice = basic("alice", PASSWORDS["alice"])
        check(push(server, alice, "team/app").status == 201, "before")
        token = bearer(token_of(ask(server, alice, "repository:team/app:pull,push")))
        controller.tool("group", "removemembers", "dev", "developers")
        try:
            for who in (alice, token):
                eventually(lambda who=who: pulls(server, who) == 403, "the right is gone")
        finally:
            controller.tool("group", "addmembers", "dev", "developers")
        for who in (alice, token):
            eventually(lambda who=who: pulls(server, who) == 200, "and back")


def test_an_account_that_expires_keeps_its_tokens(stele, controller):
    """As the page says: no filter knows the time, and only the bind tells. Disabled, it loses them."""
    with server_with(stele, controller, more="groups_ttl: 0") as server:
        token = bearer(token_of(ask(server, basic("frida", PASSWORDS["frida"]), "repository:team/app:pull,push")))
        check(push(server, token, "team/app").status == 201, "before")
        controller.tool("user", "setexpiry", "frida", "--days=-1")
        check(controller.says("frida", PASSWORDS["frida"])[0] == 49, "the directory refuses it")
        server.stop()
        server.start()      # it remembers no password
        check(request(server, "GET", "/v2/", basic("frida", PASSWORDS["frida"])).status == 401 and pulls(server, token) == 200, "the password is over, the token is not")
        controller.tool("user", "disable", "frida")
        check(pulls(server, token) == 401, "with the next request")


def test_the_whole_domain_can_be_the_base(stele, controller):
    """Its answers have referrals to the other parts of the forest, which are not followed. The primary group is nobody's there."""
    def change(text):
        return re.sub(r"(user_base|group_base): ou=\w+,", r"\1: ", text)
    base = re.search(r"user_base: (.*)", change(GENERAL))[1]
    code, said = controller.says("alice", PASSWORDS["alice"], "-b", base, "(cn=Domain Users)", "cn")
    check(code == 0 and "# refldap" in said and "dn: CN=Domain Users" in said, said)
    with server_with(stele, controller, change) as server:
        check(push(server, basic("alice", PASSWORDS["alice"]), "team/app").status == 201, "who is in the group pushes")
        check(request(server, "GET", "/v2/", basic("nobody", PASSWORDS["alice"])).status == 401, "nobody")
        check(groups_of_alice(server) == {"dev", "developers"}, "and no other")


def apart():
    """All of this again, in a network and with mounts of its own."""
    missing = [program for program in NEEDED if not shutil.which(program)]
    if missing:
        sys.exit(f"active_directory.py: {', '.join(missing)} not found; scripts/dependencies.sh active-directory installs them")
    if os.geteuid():
        sys.exit("active_directory.py: a network of its own and a domain controller need root; run it as root")
    os.execvpe("unshare", ["unshare", "--net", "--mount", sys.executable, sys.argv[0], APART, *sys.argv[1:]], os.environ)


def main():
    if sys.argv[1:2] != [APART]:
        apart()
    stele, names = str(Path(sys.argv[2]).resolve()), sys.argv[3:]
    tests = [one for name, one in globals().items() if name.startswith("test_") and (not names or any(part in name for part in names))]
    failed = 0
    with tempfile.NamedTemporaryFile("w", prefix="stele-hosts-") as hosts:
        hosts.write(f"127.0.0.1 localhost {UP}\n127.0.0.2 {DOWN}\n")
        hosts.flush()
        subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with DomainController() as controller:
            for test in tests:
                started = time.monotonic()
                try:
                    test(stele, controller)
                    print(f"ok   {test.__name__[5:]} ({time.monotonic() - started:.1f} s)", flush=True)
                except Exception:   # the others are run all the same
                    failed += 1
                    print(f"FAIL {test.__name__[5:]}\n{traceback.format_exc()}", flush=True)
    print(f"active-directory: {len(tests) - failed} passed, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
