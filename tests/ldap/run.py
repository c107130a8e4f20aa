#!/usr/bin/env python3
"""Users and groups of a directory, against a real slapd that is started here: a database in a directory of its own, ports of its
own, its log read for what it was asked.

  run.py STELE [NAME...]
"""
import base64
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("protocol", "oidc", "support")]
from issuer import AUDIENCE, Issuer, Key, b64   # noqa: E402
from logins import ask, basic, bearer, post, push, token_of, write   # noqa: E402
from canaries import Canaries   # noqa: E402
from common import check, routes_and_rights   # noqa: E402
from ports import held_port   # noqa: E402
from wire import Server, die_with_parent, eventually, in_threads, request   # noqa: E402

BASE = "dc=example"
SEARCHER, SEARCHERS = "cn=stele,dc=example", "searcher's secret"
GROUPS = 3000
TOKEN_SERVER = Key("token server", "ES256")

CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {directory}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
allow bind_anon_cred bind_anon_dn
moduleload ppolicy
{schema}TLSCACertificateFile {directory}/ca.pem
TLSCertificateFile {directory}/cert.pem
TLSCertificateKeyFile {directory}/key.pem
database mdb
suffix "dc=example"
rootdn "cn=root,dc=example"
rootpw root
directory {directory}/db
maxsize 268435456
index objectClass,uid,member eq
limits dn.exact="cn=stele,dc=example" size.soft=500 size.hard=500 size.pr=500 size.prtotal={paged}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=stele,dc=example" read by * none
overlay ppolicy
"""
# What Active Directory and 389 know an account's state by, under their own names.
ACCOUNTS = """
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 2.16.840.1.113730.3.1.610 NAME 'nsAccountLock' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP top AUXILIARY MAY ( sAMAccountName $ userAccountControl $ nsAccountLock ) )
"""


def entry(dn, *lines):
    return "\n".join([f"dn: {dn}", *lines]) + "\n\n"


def person(dn, uid, password):
    return entry(dn, "objectClass: inetOrgPerson", f"uid: {uid}", "cn: somebody", "sn: somebody", f"userPassword: {password}")


def group(name, *members):
    return entry(f"cn={name},ou=groups,{BASE}", "objectClass: groupOfNames", f"cn: {name}", *(f"member: {one}" for one in members))


ALICE, CROWD = f"uid=alice,ou=people,{BASE}", f"uid=crowd,ou=people,{BASE}"
JANE = f"cn=Doe\\, Jane #1,ou=people,{BASE}"
CONTENT = (entry(BASE, "objectClass: dcObject", "objectClass: organization", "o: example", "dc: example") +
           "".join(entry(f"ou={name},{BASE}", "objectClass: organizationalUnit", f"ou: {name}") for name in ("people", "groups")) +
           entry(SEARCHER, "objectClass: organizationalRole", "objectClass: simpleSecurityObject", "cn: stele", f"userPassword: {SEARCHERS}") +
           person(ALICE, "Alice", "alices") + person(JANE, "jane", "janes") + person(CROWD, "crowd", "crowds") +
           group("dev", ALICE, JANE) + "".join(group(f"g{number:04}", CROWD) for number in range(GROUPS - 1)) + group("zz-last", CROWD))
RULES = """version: 1
access_rules:
  - {who: ["group:dev"], repositories: ["team/**"], allow: [pull, push]}
  - {who: ["group:zz-last"], repositories: ["last/**"], allow: [pull, push]}
  - {who: ["group:g0000"], repositories: ["last/closed"], deny: [push]}
"""


def certificates(directory):
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=directory", "-keyout", "key.pem", "-out", "request.pem")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "cert.pem")


class Directory:
    def __init__(self, paged="unlimited"):
        self.directory = Path(tempfile.mkdtemp(prefix="stele-ldap-"))
        (self.directory / "db").mkdir()
        certificates(self.directory)
        (self.directory / "slapd.conf").write_text(CONFIG.format(directory=self.directory, paged=paged, schema=ACCOUNTS))
        self.port, self.tls_port = held_port(), held_port()
        self.url, self.tls_url = f"ldap://127.0.0.1:{self.port}", f"ldaps://127.0.0.1:{self.tls_port}"
        self.process = None

    def __enter__(self):
        subprocess.run(["slapadd", "-q", "-f", self.directory / "slapd.conf"], input=CONTENT.encode(), check=True, capture_output=True, timeout=60)
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(["slapd", "-f", self.directory / "slapd.conf", "-h", f"{self.url}/ {self.tls_url}/", "-d", "256"],
                                            stdout=log, stderr=log, preexec_fn=die_with_parent)
        eventually(lambda: "slapd starting" in self.log(), "the directory")
        return self

    def stop(self):
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self):
        return (self.directory / "log").read_text(errors="replace")

    def binds(self, dn, result=None):
        """How often somebody tried to be this one, and with which result."""
        tries = re.findall(r"(conn=\d+ op=\d+) BIND dn=\"" + re.escape(dn) + '" method=128', self.log())
        if result is None:
            return len(tries)
        return sum(f"{one} RESULT tag=97 err={result}" in self.log() for one in tries)

    def asked(self):
        """How many connections, binds and searches there have been."""
        return [len(re.findall(pattern, self.log())) for pattern in (r" ACCEPT from ", r" BIND dn=\"[^\"]+\" method=128", r" SRCH base=")]

    def add(self, ldif):
        self.change(re.sub(r"^(dn: .*)$", r"\1\nchangetype: add", ldif, flags=re.M))

    def change(self, ldif):
        subprocess.run(["ldapmodify", "-x", "-H", self.url, "-D", "cn=root,dc=example", "-w", "root"], input=ldif.encode(), check=True, capture_output=True, timeout=60)


def server_with(stele, directory, url=None, more="start_tls: off", groups_ttl="1h", users=""):
    server = Server(stele)
    (server.directory / "policy.yaml").write_text(RULES)
    (server.directory / "secret").write_text(SEARCHERS + "\n")
    server.config.write_text(f"""policy: {server.directory}/policy.yaml
auth:
  {users}
  ldap:
    url: {url or directory.url}
    {more}
    bind_dn: {SEARCHER}
    bind_password_file: {server.directory}/secret
    user_base: ou=people,{BASE}
    group_base: ou=groups,{BASE}
    groups_ttl: {groups_ttl}
""")
    return server


def test_a_user_logs_in_and_has_the_rights_of_his_groups(stele):
    with Directory() as directory, server_with(stele, directory) as server:
        alice = basic("alice", "alices")
        check(push(server, alice, "team/app").status == 201, "Basic")
        token = token_of(ask(server, alice, "repository:team/app:pull,push", more="&offline_token=true"))
        check(push(server, bearer(token), "team/app").status == 201, "a token")
        check(request(server, "GET", "/v2/other/tags/list", alice).status == 403, "no other right")
        check(directory.binds(ALICE) == 1, "one bind for all of it")
        # However the name is typed it is one user, as the directory writes him, in lower case.
        for name in ("ALICE", "Alice"):
            check(push(server, basic(name, "alices"), "team/app").status == 201, name)
        check("user:alice" in (log := server.logged()) and "user:ALICE" not in log and "user:Alice" not in log, "one name")
        check(request(server, "GET", "/v2/", basic("nobody", "alices")).status == 401, "nobody")
        secrets = ("alices", SEARCHERS)
        check(not any(secret in server.logged() for secret in secrets), "no secret in the log")


def test_an_empty_password_is_nobodys(stele):
    """A16: the directory takes it for an anonymous bind, which succeeds; it is not asked."""
    with Directory() as directory, server_with(stele, directory) as server:
        for who in (basic("alice", ""), basic("alice", "\0"), basic("alice", "alices\0"), ["Authorization: Basic YWxpY2U="], basic("", "alices"), basic("", "")):
            check(request(server, "GET", "/v2/", who).status == 401, f"{who}")
        check(post(server, grant_type="password", username="alice", password="").status == 401, "a form")
        check(post(server, grant_type="password", username="alice").status == 401, "a form without one")
        check(directory.binds(ALICE) == 0, "no bind was seen")


def test_a_wrong_password_is_sent_once(stele):
    """A15: so that no account is locked in the directory by one mistake repeated."""
    with Directory() as directory, server_with(stele, directory) as server:
        for turn in range(40):
            name = ("alice", "Alice", "ALICE", "aLiCe")[turn % 4]   # one account, however it is typed
            check(request(server, "GET", "/v2/", basic(name, "wrong")).status == 401, "wrong")
            check(post(server, grant_type="password", username="alice", password="wrong").status == 401, "a form")
        check(directory.binds(ALICE, result=49) == 1, f"{directory.binds(ALICE, result=49)} failed binds")
        said = in_threads(16, lambda _: request(server, "GET", "/v2/", basic("crowd", "wrong")).status)
        check(said == [401] * 16, f"many at once: {said}")
        check(directory.binds(CROWD, result=49) == 1, f"{directory.binds(CROWD, result=49)} failed binds of many at once")
        check(push(server, basic("alice", "alices"), "team/app").status == 201, "the right one")
        for number in range(10):
            check(request(server, "GET", "/v2/", basic("aliCE" if number % 2 else "alice", f"guess {number}")).status == 401, "a guess")
        for name in ("alice", "ALICE"):
            check(request(server, "GET", "/v2/", basic(name, "one more")).status == 429, "guessing is limited")


def test_who_is_in_the_directory_is_not_told_by_what_an_answer_costs(stele):
    """A name that nobody has, or two, costs as many connections, searches and binds as a known one with a wrong password, and the same words."""
    twice = "".join(person(f"cn={number},ou=people,{BASE}", "twin", "twins") for number in (1, 2))
    for url in ("url", "tls_url"):
        with Directory() as directory:
            directory.add(twice)
            more = "start_tls: off" if url == "url" else f"ca: {directory.directory}/ca.pem"
            with server_with(stele, directory, getattr(directory, url), more) as server:
                costs, said = {}, set()
                for name in ("alice", "nobody", "ALICE2", "twin", "a*)(uid=*", "jane"):
                    before = directory.asked()
                    answer = request(server, "GET", "/v2/", basic(name, "wrong"))
                    check(answer.status == 401, name, answer)
                    said.add(answer.message)
                    eventually(lambda: directory.log().count(" UNBIND") == directory.log().count(" ACCEPT from"), "its connections are over")
                    costs[name] = [now - then for now, then in zip(directory.asked(), before)]
                check(costs["alice"] == [2, 2, 1] and all(cost == costs["alice"] for cost in costs.values()) and len(said) == 1, f"{costs}, {said}")
                check(re.search(rf'BIND dn="cn=stele-asks-as-nobody-[0-9a-f]{{16}},ou=people,{BASE}" method=128', directory.log()), "as whom, where there is nobody")


def test_what_a_name_means_in_a_filter_is_escaped(stele):
    """A19"""
    with Directory() as directory, server_with(stele, directory) as server:
        for name in ("a*)(uid=*", "*", "alice)(objectClass=*", "ali*", "\\61lice"):
            check(request(server, "GET", "/v2/", basic(name, "alices")).status == 401, name)
        check('filter="(uid=a\\2A\\29\\28uid=\\2A)"' in directory.log(), "escaped, as the directory saw it")
        check(directory.binds(ALICE) == 0, "nobody was found by them")
        check(push(server, basic("jane", "janes"), "team/app").status == 201, "a DN with a comma and more is in its group")


def test_all_pages_of_groups_are_read(stele):
    """A18: three thousand, of which the directory gives five hundred at a time."""
    with Directory() as directory, server_with(stele, directory) as server:
        crowd = basic("crowd", "crowds")
        check(push(server, crowd, "last/app").status == 201, "the last group's right")
        refused = request(server, "POST", "/v2/last/closed/blobs/uploads/", crowd, body=b"")
        check(refused.status == 403 and "rule 3 (line 5)" in refused.message, "and what the first is denied", refused)


def test_a_directory_that_does_not_tell_all_groups_is_an_error(stele):
    """A18: a size limit without pages. 503, and not somebody without groups, whom no deny rule would stop."""
    with Directory(paged="disabled") as directory, server_with(stele, directory) as server:
        answer = request(server, "GET", "/v2/", basic("crowd", "crowds"))
        check(answer.status == 503 and "did not tell all groups" in answer.message, "said", answer)
        check(request(server, "GET", "/v2/", basic("crowd", "wrong")).status == 401, "who is known here is told to nobody")
        check(request(server, "GET", "/v2/", basic("nobody", "wrong")).status == 401, "as for those who are not")


def test_a_group_or_user_that_is_taken_away_has_lost_its_rights(stele):
    """A28: within groups_ttl, tokens and open logins included."""
    with Directory() as directory, server_with(stele, directory, groups_ttl="1s") as server:
        alice, jane = basic("alice", "alices"), basic("jane", "janes")
        for who in (alice, jane):
            check(push(server, who, "team/app").status == 201, "both push")
        token = bearer(token_of(ask(server, alice, "repository:team/app:pull,push")))
        got = ask(server, jane, "repository:team/app:pull", more="&offline_token=true").json()
        directory.change(f"dn: cn=dev,ou=groups,{BASE}\nchangetype: modify\ndelete: member\nmember: {ALICE}\n\n")
        for who in (alice, token):
            eventually(lambda who=who: request(server, "GET", "/v2/team/app/manifests/1", who).status == 403, "the group is gone")
        check(request(server, "GET", "/v2/team/app/manifests/1", jane).status == 200, "the other is still in it")
        directory.change(f"dn: {JANE}\nchangetype: delete\n\n")
        eventually(lambda: request(server, "GET", "/v2/team/app/manifests/1", bearer(got["token"])).status == 401, "the user is gone")
        check(post(server, grant_type="refresh_token", refresh_token=got["refresh_token"]).status == 401, "with what he kept")
        check(request(server, "GET", "/v2/", jane).status == 401, "and his password")


def test_what_is_taken_away_is_gone_with_the_next_request_where_each_asks(stele):
    """groups_ttl: 0, for those who have few requests and no minute to lose."""
    with Directory() as directory, server_with(stele, directory, groups_ttl="0") as server:
        alice = basic("alice", "alices")
        check(push(server, alice, "team/app").status == 201, "alice pushes")
        token = bearer(token_of(ask(server, alice, "repository:team/app:pull,push")))
        for turn in range(3):
            directory.change(f"dn: cn=dev,ou=groups,{BASE}\nchangetype: modify\ndelete: member\nmember: {ALICE}\n")
            for who in (alice, token):
                check(request(server, "GET", "/v2/team/app/manifests/1", who).status == 403, f"the group is gone, {turn}")
            directory.change(f"dn: cn=dev,ou=groups,{BASE}\nchangetype: modify\nadd: member\nmember: {ALICE}\n")
            for who in (alice, token):
                check(request(server, "GET", "/v2/team/app/manifests/1", who).status == 200, f"and back, {turn}")
        check(directory.binds(ALICE) == 1, "the password was asked about once")


def account_filters():
    """Of docs/ldap.md: {which directory: filter}."""
    page = (ROOT / "docs/ldap.md").read_text()
    return dict(re.findall(r"^\| ([^|`]+?) \| `(\(.*\))` \|", page, re.M))


def test_an_account_that_is_locked_in_the_directory_loses_its_tokens(stele):
    """Within groups_ttl, as the filters of docs/ldap.md have it: what a session rests on is asked, though no password is sent any more."""
    locks = {"Active Directory": ("userAccountControl: 514", "userAccountControl: 512"), "OpenLDAP": ("pwdAccountLockedTime: 000001010000Z", None), "389 Directory Server": ("nsAccountLock: TRUE", "nsAccountLock: FALSE")}
    filters = account_filters()
    check(filters.keys() == locks.keys(), f"{filters}")
    for name, (locked, free) in locks.items():
        with Directory() as directory, server_with(stele, directory, more=f"start_tls: off\n    user_filter: {filters[name]}", groups_ttl="1s") as server:
            state = f"replace: userAccountControl\nuserAccountControl: 512\n-\nadd: sAMAccountName\nsAMAccountName: " if name == "Active Directory" else None
            for uid, dn in (("alice", ALICE), ("jane", JANE)):
                directory.change(f"dn: {dn}\nchangetype: modify\nadd: objectClass\nobjectClass: user\n" + (f"-\n{state}{uid}\n" if state else ""))
            def change(line):
                attribute = (line or locked).partition(":")[0]
                directory.change(f"dn: {ALICE}\nchangetype: modify\nreplace: {attribute}\n" + (line + "\n" if line else ""))
            alice, jane = basic("alice", "alices"), basic("jane", "janes")
            for who in (alice, jane):
                check(push(server, who, "team/app").status == 201, f"{name}: both push")
            got = ask(server, alice, "repository:team/app:pull,push", more="&offline_token=true").json()
            pull = lambda who: request(server, "GET", "/v2/team/app/manifests/1", who).status
            check(pull(bearer(got["token"])) == 200, f"{name}: with a token")
            change(locked)
            for what, who in (("a token", bearer(got["token"])), ("the password", alice)):
                eventually(lambda who=who: pull(who) == 401, f"{name}: {what} is over")
            check(post(server, grant_type="refresh_token", refresh_token=got["refresh_token"]).status == 401, f"{name}: with what docker login keeps")
            check(pull(jane) == 200, f"{name}: others go on")
            change(free)
            eventually(lambda: pull(bearer(got["token"])) == 200, f"{name}: what is unlocked again")


def test_access_is_explained_with_the_groups_of_the_directory(stele):
    """Those of now, without a password; those that are named instead of them; and no answer where the directory gives none."""
    with Directory() as directory, server_with(stele, directory, groups_ttl="1s") as server:
        def explained(who, repository, *words):
            done = subprocess.run([stele, "access", "explain", "--who", who, "--repository", repository, "--action", "push", "--data", server.data, *words],
                                  capture_output=True, text=True, timeout=60)
            return done.returncode, done.stdout + done.stderr
        status, said = explained("user:alice", "team/app")
        check(status == 0 and "in the groups dev, as the server knows him now" in said and "speaks of group:dev" in said, said)
        check(explained("user:ALICE", "team/app")[0] == 0, "however it is written")
        status, said = explained("user:crowd", "last/app")
        check(status == 0 and f"and {GROUPS - 20} more" in said, said)
        status, said = explained("user:alice", "team/app", "--group", "other")
        check(status == 3 and "as the server knows" not in said, "the groups that are named, and no others")
        status, said = explained("user:nobody", "team/app")
        check(status == 3 and "nobody of that name logs in here now" in said, said)
        directory.change(f"dn: cn=dev,ou=groups,{BASE}\nchangetype: modify\ndelete: member\nmember: {ALICE}\n")
        eventually(lambda: explained("user:alice", "team/app")[0] == 3, "the group that was taken away")
    with Directory() as directory, server_with(stele, directory, url=f"ldap://127.0.0.1:{held_port()}") as server:
        done = subprocess.run([stele, "access", "explain", "--who", "user:alice", "--action", "push", "--data", server.data], capture_output=True, text=True, timeout=60)
        check(done.returncode == 1, f"{done}")


def test_connections_are_encrypted_and_the_directory_is_who_it_says(stele):
    with Directory() as directory:
        ca = f"ca: {directory.directory}/ca.pem"
        for url, more in ((directory.tls_url, ca), (directory.url, ca)):
            with server_with(stele, directory, url, more) as server:
                check(push(server, basic("alice", "alices"), "team/app").status == 201, url)
        check("STARTTLS" in directory.log(), "StartTLS by itself")
        before = directory.binds(SEARCHER)
        for url in (directory.tls_url, directory.url):
            with server_with(stele, directory, url, "timeout: 3s") as server:
                answer = request(server, "GET", "/v2/", basic("alice", "alices"))
                check(answer.status == 503 and "cannot be asked" in answer.message, f"{url}: a stranger", answer)
                check("its certificate is signed by no authority of the system's; auth.ldap.ca names another" in answer.message, f"{url}: and why", answer)
                check("its certificate is signed by no authority" in server.logged(), "and in the log")
        for url in (directory.tls_url.replace("127.0.0.1", "localhost"), directory.url.replace("127.0.0.1", "localhost")):
            with server_with(stele, directory, url, f"timeout: 3s\n    {ca}") as server:
                answer = request(server, "GET", "/v2/", basic("alice", "alices"))
                check(answer.status == 503 and "its certificate is for another name than the one in auth.ldap.url" in answer.message, f"{url}: another name", answer)
        check(directory.binds(SEARCHER) == before, "no password was sent to a stranger")


def test_another_directory_is_asked_when_one_is_down(stele):
    with Directory() as directory:
        with server_with(stele, directory, f"ldap://127.0.0.1:{held_port()} {directory.url}") as server:
            check(push(server, basic("alice", "alices"), "team/app").status == 201, "the second")
        with server_with(stele, directory, f"ldap://127.0.0.1:{held_port()}") as server:
            answer = request(server, "GET", "/v2/", basic("alice", "alices"))
            check(answer.status == 503 and answer.get("Retry-After"), "none", answer)
            check(request(server, "GET", "/v2/").status == 401, "who says nothing is asked all the same")


def test_users_of_the_file_come_first(stele):
    from logins import ALICE as HASH
    with Directory() as directory:
        users = directory.directory / "users"
        users.write_text(f"alice:{HASH}\n")
        with server_with(stele, directory, users=f"htpasswd: {{file: {users}}}") as server:
            check(request(server, "GET", "/v2/", basic("alice", "correct horse")).status == 200, "of the file")
            check(request(server, "GET", "/v2/", basic("alice", "alices")).status == 401, "whom the directory is not asked about")
            check(directory.binds(ALICE) == 0, "at all")
            check(request(server, "GET", "/v2/", basic("ALICE", "alices")).status == 401, "however his name is typed")
            check(push(server, basic("jane", "janes"), "team/app").status == 201, "others are the directory's")


def test_no_answer_tells_which_source_has_a_name(stele):
    """A wrong password costs a search and a bind as nobody, is counted and is answered alike, whether the file, the catalog, the directory or nobody has
    the name, while the directory answers and while it is down; what was typed beside a name of the file stays here."""
    from logins import ALICE as HASH
    with Directory() as directory:
        users = directory.directory / "users"
        users.write_text("".join(f"{name}:{HASH}\n" for name in ("clerk", "porter", "jane")))      # jane is in the directory as well
        with server_with(stele, directory, users=f"htpasswd: {{file: {users}}}") as server:
            subprocess.run([stele, "user", "add", "bob", "--password-stdin", "--data", server.data], input="local secret\n", text=True, timeout=60, check=True, capture_output=True)
            names = ("clerk", "jane", "JANE", "bob", "BOB", "alice", "nobody")
            owner = {"clerk": "correct horse", "jane": "correct horse", "bob": "local secret"}

            def answer(name, secret):
                said = request(server, "GET", "/v2/", basic(name, secret))
                return said.status, said.body, sorted(field for field in said.fields if field[0].lower() not in ("x-request-id", "date"))
            before = directory.asked()
            for name, secret in owner.items():
                check(request(server, "GET", "/v2/", basic(name, secret)).status == 200, f"{name} logs in")
            check(directory.asked() == before, "a right password of another source is no question for the directory")
            costs, said = {}, []
            for name in names:
                before = directory.asked()
                said.append(answer(name, f"wrong {name}"))
                check(answer(name, f"wrong {name}") == said[-1], f"twice: {said[-1]}")
                eventually(lambda: directory.log().count(" UNBIND") == directory.log().count(" ACCEPT from"), "its connections are over")
                costs[name] = [now - then for now, then in zip(directory.asked(), before)]
            check(said[0][0] == 401 and all(one == said[0] for one in said), f"{said}")
            check(all(cost == [2, 2, 1] for cost in costs.values()), f"{costs}")
            check(request(server, "GET", "/v2/", basic("JANE", "correct horse")).status == 401 and directory.binds(JANE) == 0, "however the name is typed, nothing of it goes to the directory's entry")
            for name, right in (("porter", "correct horse"), ("crowd", "crowds")):
                check(all(answer(name, f"typo {number}")[0] == 401 for number in range(6)), f"typos of {name}")
                check(request(server, "GET", "/v2/", basic(name, right)).status == 200, f"{name} logs in")
                check(all(answer(name, f"typo {number}")[0] == 401 for number in range(6, 12)), f"{name} was forgiven, at each source")
            for name in ("clerk", "alice", "nobody"):       # each has had one wrong one
                check([answer(name, f"guess {number}")[0] for number in range(12)] == [401] * 9 + [429] * 3, f"guesses at {name}")
            directory.stop()
            said = [answer(name, "another one") for name in ("jane", "JANE", "carol", "crowd")]
            check(said[0][0] == 503 and all(one == said[0] for one in said), f"{said}")
            check(request(server, "GET", "/v2/", basic("jane", "correct horse")).status == 200, "who is right goes on")


def test_who_was_refused_in_the_name_of_another_source_is_the_directorys_when_that_is_gone(stele):
    """That a password was not asked about says nothing of it."""
    from logins import ALICE as HASH
    with Directory() as directory:
        users = directory.directory / "users"
        users.write_text(f"jane:{HASH}\n")
        with server_with(stele, directory, users=f"htpasswd: {{file: {users}}}") as server:
            check(request(server, "GET", "/v2/", basic("jane", "janes")).status == 401, "the file's")
            write(users, f"clerk:{HASH}\n")
            check(push(server, basic("jane", "janes"), "team/app").status == 201, "the directory's")


def test_a_local_user_who_is_disabled_does_not_come_in_through_the_directory(stele):
    """The first source that knows the name decides, also when it says no; and a token of the directory's user is over."""
    def user(server, *words):
        done = subprocess.run([stele, "user", *words, "--data", server.data], input="local secret\n", capture_output=True, text=True, timeout=60, check=False)
        check(done.returncode == 0, f"{words}: {done}")

    with Directory() as directory, server_with(stele, directory) as server:
        alice = basic("alice", "alices")
        token = bearer(token_of(ask(server, alice, "repository:team/app:pull,push")))
        check(push(server, token, "team/app").status == 201, "the directory's")
        user(server, "add", "alice", "--password-stdin")
        check(request(server, "GET", "/v2/team/app/manifests/1", token).status == 401, "whom a local user stands before")
        for disabled in (False, True):
            if disabled:
                user(server, "disable", "alice")
            for typed in ("alice", "Alice", "ALICE"):
                check(request(server, "GET", "/v2/", basic(typed, "alices")).status == 401, f"{typed}, disabled: {disabled}")
                local = request(server, "GET", "/v2/", basic(typed, "local secret"))
                check(local.status == (401 if disabled else 200), f"{typed}, disabled: {disabled}", local)
        user(server, "remove", "alice")
        check(request(server, "GET", "/v2/team/app/manifests/1", alice).status == 200, "the directory's again")


def own_tokens(server, canaries, passwords):
    """Api tokens of a user of each source: shown right, beside another name, broken, revoked, and asked for in ways that are refused."""
    for name, password in passwords.items():
        def own(method, body=None, path=""):
            return request(server, method, "/api/v1/account/tokens" + path, [*basic(name, password), "Content-Type: application/json"], body=None if body is None else json.dumps(body).encode())
        made = own("POST", {"name": "laptop", "scopes": ["team/**:pull,push"]})
        check(made.status == 201, f"{name} makes a token", made)
        secret = canaries.add(f"{name}'s api token", made.json()["secret"], name, "other")
        for broken in (secret[:-1], secret[:30], secret[:-1] + ("0" if secret[-1] != "0" else "1"), f"'{secret}'"):
            canaries.add(f"{name}'s api token, broken ({len(broken)})", broken, name)
            for who in (basic(name, broken), bearer(broken)):
                check(canaries.seen(request(server, "GET", "/v2/", who)).status == 401, "a broken one")
            canaries.seen(post(server, grant_type="refresh_token", refresh_token=broken))
            canaries.seen(post(server, grant_type="password", username=name, password=broken))
        for who in (basic(name, secret), bearer(secret)):
            check(canaries.seen(request(server, "GET", "/v2/team/app/manifests/1", who)).status == 200, f"{name} pulls")
            canaries.seen(request(server, "GET", "/v2/other/app/manifests/1", who))
            canaries.seen(request(server, "POST", "/api/v1/account/tokens", [*who, "Content-Type: application/json"], body=b'{"name": "more", "scopes": ["**:pull"]}'))
        canaries.add(f"{name}'s token by an api token", token_of(post(server, grant_type="refresh_token", refresh_token=secret)))
        check(canaries.seen(request(server, "GET", "/v2/", basic("other", secret))).status == 401, "beside another name")
        for body in ({"name": "laptop", "scopes": ["**:pull"]}, {"name": "x", "scopes": ["**:pull"], "secret": secret}):
            answer = own("POST", body)
            check(answer.status == 400, f"{body}", answer)
        check(canaries.seen(own("GET")).status == 200, "listed")
        check(canaries.seen(own("DELETE", {"reason": "over"}, f"/{made.json()['id']}")).status == 200, "revoked")
        check(canaries.seen(request(server, "GET", "/v2/", basic(name, secret))).status == 401, "over")


def external_tokens(server, canaries):
    """Of the other token server: one that holds, and one for each reason that it does not."""
    def token(key=TOKEN_SERVER, **more):
        body = {"iss": "tokens.example", "sub": "carla", "aud": "registry.example", "exp": int(time.time()) + 300, "access": [{"type": "repository", "name": "team/app", "actions": ["pull"]}], **more}
        text = b64({"alg": key.algorithm, "typ": "JWT", "kid": key.name}) + "." + b64(body)
        return text + "." + key.sign(text)
    for what, more in {"good": {}, "over": {"exp": 1}, "for others": {"aud": "other.example"}, "of no user": {"sub": ""}, "of another key": {"key": Key("token server", "ES256")}}.items():
        one = canaries.add(f"the token server's, {what}", token(**more), "carla")
        answer = canaries.seen(request(server, "GET", "/v2/team/app/manifests/1", bearer(one)))
        check(answer.status == (200 if what == "good" else 401), what, answer)
        for who in (basic("carla", one), bearer(one + "x")):
            check(canaries.seen(request(server, "GET", "/v2/", who)).status == 401, f"{what}: no password, and broken")
        canaries.seen(post(server, grant_type="refresh_token", refresh_token=one))


def another_password(stele, server, canaries):
    """By the administrator, from standard input; and one that is refused."""
    def passwd(name, secret):
        return canaries.said(subprocess.run([stele, "user", "passwd", name, "--password-stdin", "--data", str(server.data)], input=secret + "\n", capture_output=True, text=True, timeout=60))
    following = canaries.add("bob's next password", "c4nary next", "bob")
    check(passwd("bob", following).returncode == 0, "changed")
    check(canaries.seen(push(server, basic("bob", following), "team/app")).status == 201, "and good")
    check(passwd("nobody", canaries.add("a password for nobody", "c4nary of nobody", "nobody")).returncode != 0, "there is nobody")
    check(passwd("bob", canaries.add("one that is too short", "c4n sh.", "bob")).returncode != 0, "too short")
    check(passwd("bob", "c4nary local").returncode == 0, "back")


def log_in_everywhere(stele, server, issuer, canaries):
    """With what is right, wrong and broken, by each road. What is given out goes among the canaries."""
    local, seen, add = server.data / "stele.sock", canaries.seen, canaries.add

    def admin(method, path, body=None):
        return request(server, method, f"/api/v1/{path}", body=None if body is None else json.dumps(body).encode(), address=local)
    file, local_user, wrong = add("a password of the file", "c4nary file", "alice"), add("a local user's", "c4nary local", "bob"), add("a wrong one", "c4nary wrong", "alice", "bob", "jane", "nobody")
    directory = add("a password of the directory", "janes", "jane")
    canaries.said(subprocess.run([stele, "user", "add", "bob", "--password-stdin", "--data", str(server.data)], input=local_user + "\n", capture_output=True, text=True, timeout=60, check=True))
    robot = add("a robot's secret", admin("POST", "robots", {"name": "ci", "scopes": ["**:pull,push"]}).json()["secret"], "ci", "other")
    id_token = add("an ID token", issuer.token(), "ci")
    bad_token = add("an ID token that is expired", issuer.token(exp=int(time.time()) - 1000), "ci")
    for name, secret in (("alice", file), ("bob", local_user), ("jane", directory), ("ci", robot), ("ci", id_token)):
        who = basic(name, secret)
        check(seen(push(server, who, "team/app")).status == 201, f"{name} pushes")
        got = ask(server, who, "repository:team/app:pull,push", more="&offline_token=true")
        token = add(f"{name}'s token", got.json()["token"])
        check(seen(request(server, "GET", "/v2/team/app/manifests/1", bearer(token))).status == 200, f"{name} pulls")
        if "refresh_token" in got.json():
            refresh = add(f"{name}'s refresh token", got.json()["refresh_token"], name)
            add(f"{name}'s other token", token_of(post(server, grant_type="refresh_token", refresh_token=refresh)))
            seen(request(server, "GET", "/v2/", basic(name, refresh)))
            seen(request(server, "GET", "/v2/", bearer(refresh)))
            seen(post(server, grant_type="refresh_token", refresh_token=refresh + "x"))
        form = {"grant_type": "password", "username": name, "password": secret}
        add(f"{name}'s token by a form", token_of(post(server, **form)))
        for headers in ([], ["Content-Type: application/json"], ["Content-Type: multipart/form-data"]):     # broken: no form, twice one
            seen(request(server, "POST", "/token", headers, body=json.dumps(form).encode()))
        seen(request(server, "POST", "/token", ["Content-Type: application/x-www-form-urlencoded"], body=f"%zz&password={quote(secret)}".encode()))
        for header in (f"Authorization: Basic {secret}", f"Authorization: {secret}", f"Authorization: Bearer {secret}", f"Authorization: Digest username={secret}"):
            seen(request(server, "GET", "/v2/", [header]))
        seen(request(server, "GET", "/v2/", basic("other", secret)))
    own_tokens(server, canaries, {"alice": file, "bob": local_user, "jane": directory})
    external_tokens(server, canaries)
    another_password(stele, server, canaries)
    exchange = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}
    add("an exchanged token", post(server, subject_token=id_token, **exchange).json()["access_token"])
    for form in ({"subject_token": bad_token, **exchange}, {"subject_token": id_token, **exchange, "subject_token_type": "other"}, {"subject_token": id_token, **exchange, "requested_token_type": "other"}):
        check(seen(post(server, **form)).status in (400, 401), "an exchange that fails")
    for name in ("alice", "bob", "jane", "nobody", "ci"):
        check(seen(request(server, "GET", "/v2/", basic(name, wrong))).status == 401 and seen(ask(server, basic(name, wrong))).status == 401, name)
        check(seen(request(server, "GET", "/v2/", basic(name, bad_token))).status == 401, name)
    for body in ({"name": "eve", "password": wrong, "groups": 7}, {"name": "Eve!", "password": wrong}, {"password": wrong}, {"name": "bob", "password": wrong}):
        seen(admin("POST", "users", body))
    for method, path, _ in routes_and_rights("admin"):
        if method == "GET":
            seen(request(server, "GET", path, address=local))
    seen(request(server, "GET", "/metrics"))


def test_no_secret_of_a_login_is_in_any_file_log_or_answer(stele):
    """Of each source and each road, with all that the log can say: every file below the directory, the catalog and the audit in it, every answer."""
    hashed = subprocess.run(["openssl", "passwd", "-6", "c4nary file"], capture_output=True, text=True, check=True).stdout.strip()
    canaries = Canaries()
    canaries.add("the bind password", SEARCHERS)
    with Directory() as directory, Issuer() as issuer:
        users = directory.directory / "users"
        users.write_text(f"alice:{hashed}\n")
        server = server_with(stele, directory, users=f"htpasswd: {{file: {users}}}\n  local_users: on\n  oidc:\n    - {{name: ci, issuer: \"{issuer.url}\", audience: {AUDIENCE}, claims: {{repository_owner_id: \"99\"}}}}\n"
                                f"  external_tokens: {{issuer: tokens.example, audience: registry.example, jwks_file: {directory.directory}/token-server.json}}")
        (directory.directory / "token-server.json").write_text(json.dumps({"keys": [TOKEN_SERVER.jwk()]}))
        with server.config.open("a") as config:
            config.write("log: {level: trace}\n")
        (server.directory / "policy.yaml").write_text('version: 1\naccess_rules:\n  - {who: [authenticated], repositories: ["**"], allow: [pull, push]}\n')
        (server.directory / "secret").rename(directory.directory / "secret")
        server.config.write_text(server.config.read_text().replace(f"{server.directory}/secret", f"{directory.directory}/secret"))
        with server:
            log_in_everywhere(stele, server, issuer, canaries)
            directory.stop()
            check(canaries.seen(request(server, "GET", "/v2/", basic("carol", "c4nary wrong"))).status == 503, "the directory is gone")
            for name in ("alice", "bob"):
                check(canaries.seen(push(server, basic(name, {"alice": "c4nary file", "bob": "c4nary local"}[name]), "team/other")).status == 201, f"{name} goes on")
            canaries.process(server.process.pid)
            check(canaries.said(subprocess.run([stele, "backup", str(server.directory / "backup.db"), "--data", str(server.data)], capture_output=True, text=True, timeout=60)).returncode == 0, "a backup")
            server.stop()
            files = [path for path in server.directory.rglob("*") if path.is_file()]
            check({"stele.db", "token-keys.json", "log", "backup.db"} <= {path.name for path in files}, f"{files}")
            check(len(canaries.secrets) > 40 and len(canaries.answers) > 100 and b"user:jane" in server.log_path.read_bytes(), "they were used")
            check(not canaries.found([]), f"{canaries.found([])}")
            check(len(canaries.found([(str(basic("alice", "c4nary file")).encode(), "here"), (quote("c4nary local").encode(), "there")])) == 2, "they would be found")
            found = canaries.found((path.read_bytes(), str(path.relative_to(server.directory))) for path in files)
            check(not found, f"{found}")


def main():
    stele, names = str(Path(sys.argv[1]).resolve()), sys.argv[2:]
    tests = [one for name, one in globals().items() if name.startswith("test_") and (not names or any(part in name for part in names))]
    failed = 0
    for test in tests:
        started = time.monotonic()
        try:
            test(stele)
            print(f"ok   {test.__name__[5:]} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception:   # the others are run all the same
            failed += 1
            print(f"FAIL {test.__name__[5:]}\n{traceback.format_exc()}", flush=True)
    print(f"ldap: {len(tests) - failed} passed, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
