"""Client certificates as logins. Each test_* function is a test."""
import ssl
import time

from logins import ALICE, basic, bearer, claims, token_of
from common import Authority, check
from wire import Connection, Failure, Server, eventually, request

SPIFFE = "spiffe://example/ns/prod/sa/"
RULES = f"""version: 1
access_rules:
  - {{who: ["cert:{SPIFFE}*", "cert:*.nodes.example", "cert:Node *"], repositories: ["team/**"], allow: [pull, push]}}
  - {{who: ["user:alice"], repositories: ["**"], allow: [pull, push]}}
"""


class Names(Authority):
    """Certificates with alternative names, and a list of those that are revoked."""

    def issue_to(self, name, subject, serial, *alternatives):
        self.issue(name, subject, serial)
        (self.directory / "san").write_text(f"subjectAltName={','.join(alternatives)}\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", str(serial), "-days", "2",
                     *(["-extfile", "san"] if alternatives else []), "-out", f"{name}.crt")

    def revoke(self, *names):
        """The authorities' file, with a list of these at its end."""
        (self.directory / "index").write_text("")
        (self.directory / "ca.cnf").write_text("[ca]\ndefault_ca=own\n[own]\ndatabase=index\ndefault_md=sha256\ndefault_crl_days=2\n")
        common = ["ca", "-config", "ca.cnf", "-cert", "ca.crt", "-keyfile", "ca.key"]
        for name in names:
            self.openssl(*common, "-revoke", f"{name}.crt")
        self.openssl(*common, "-gencrl", "-out", "list.pem")
        text = self.ca.read_text() + (self.directory / "list.pem").read_text()
        (self.directory / "clients.next").write_text(text)
        (self.directory / "clients.next").rename(self.directory / "clients.pem")


def server_with_certificates(stele, identity="cn", required=False):
    server = Server(stele)
    authority = Names(server.directory)
    authority.issue("server", "localhost", 1)
    clients, users = server.directory / "clients.pem", server.directory / "users"
    clients.write_text(authority.ca.read_text())
    users.write_text(f"alice:{ALICE}\n")
    (server.directory / "policy.yaml").write_text(RULES)
    server.config.write_text(f"""policy: {server.directory}/policy.yaml
tls: {{cert: {authority.cert}, key: {authority.key}{f', client_ca: {clients}' if required else ''}}}
auth:
  htpasswd: {{file: {users}}}
  mtls: {{ca: {clients}, identity: {identity}}}
""")
    return server, authority


def manifest_status(server, tls, who=()):
    return request(server, "GET", "/v2/team/app/manifests/1", list(who), tls=tls).status


def push_by_password(server, tls):
    """By somebody without a certificate, so that there is something to be pulled."""
    from common import IMAGE, manifest, sha256
    alice = basic("alice", "correct horse")
    check(request(server, "POST", f"/v2/team/app/blobs/uploads/?digest={sha256(b'{}')}", alice, body=b"{}", tls=tls).status == 201, "a blob")
    answer = request(server, "PUT", "/v2/team/app/manifests/1", [*alice, f"Content-Type: {IMAGE}"], body=manifest(sha256(b"{}"), "1"), tls=tls)
    check(answer.status == 201, "who shows no certificate logs in otherwise", answer)


def test_a_client_certificate_is_a_login_by_the_name_that_is_asked_for(stele):
    certificates = {"cn": ("Node 7", []), "dns": ("x", ["DNS:seven.nodes.example", "URI:https://x"]), "uri": ("x", ["URI:" + SPIFFE + "puller", "DNS:seven"])}
    strangers = {"cn": ("Node 7:x", ["DNS:seven.nodes.example"]), "dns": ("Node 7", ["DNS:seven.evil.nodes.example.evil"]), "uri": ("Node 7", ["URI:" + SPIFFE + "a/b"])}
    nameless = {"dns": [("Node 7", []), ("Node 7", ["DNS:a.nodes.example", "DNS:b.nodes.example"]), ("Node 7", ["DNS:*.nodes.example"])],
                "uri": [("Node 7", []), ("Node 7", [f"URI:{SPIFFE}a", f"URI:{SPIFFE}b"])], "cn": [("eve\x1b[2J", []), ("Node 7/CN=Node 8", [])]}
    for identity in certificates:
        server, authority = server_with_certificates(stele, identity)
        authority.issue_to("client", certificates[identity][0], 7, *certificates[identity][1])
        authority.issue_to("stranger", strangers[identity][0], 8, *strangers[identity][1])
        with server:
            without, client = authority.client(), authority.client("client")
            push_by_password(server, without)
            check(manifest_status(server, client) == 200, f"{identity}: by the certificate alone")
            check(manifest_status(server, authority.client("stranger")) == 403, f"{identity}: another name")
            check(manifest_status(server, without) == 401, f"{identity}: nothing shown")
            check(manifest_status(server, client, basic("alice", "wrong")) == 401, "a password that is shown is looked at first")
            token = token_of(request(server, "GET", "/token?scope=repository:team/app:pull", tls=client))
            check(claims(token)["sub"].startswith("cert:"), f"{claims(token)}")
            check(manifest_status(server, client, bearer(token)) == 200, "a token of it")
            check(manifest_status(server, without, bearer(token)) == 401, "which is good with it alone")
            for number, (subject, names) in enumerate(nameless[identity]):
                authority.issue_to(f"nameless{number}", subject, 20 + number, *names)
                check(manifest_status(server, authority.client(f"nameless{number}")) == 401, f"{identity}: {names} is nobody")
            check(server.stop() == 0, "stopped")


def short_lived(authority, name, serial, seconds):
    """A certificate that is over soon."""
    authority.issue(name, f"Node {name}", serial)
    (authority.directory / "short.index").write_text("")
    (authority.directory / "short.serial").write_text(f"{serial + seconds:04x}\n")
    (authority.directory / "short.cnf").write_text("[ca]\ndefault_ca=own\n[own]\ndatabase=short.index\nserial=short.serial\nnew_certs_dir=.\n"
                                                   "default_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n")
    ends = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))
    authority.openssl("ca", "-batch", "-config", "short.cnf", "-cert", "ca.crt", "-keyfile", "ca.key", "-in", f"{name}.csr", "-enddate", ends, "-out", f"{name}.crt")


def ask_on(connection):
    connection.send(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection.read_answer("GET")


def refuses_the_connection(server, context):
    try:
        answer = request(server, "GET", "/v2/", tls=context)
    except (ssl.SSLError, ConnectionError, Failure):   # TLS 1.3: the alert comes after the handshake
        return True
    return answer.status not in (200, 401, 403)


def test_a_certificate_that_is_revoked_is_refused(stele):
    for required in (False, True):
        server, authority = server_with_certificates(stele, required=required)
        for serial, name in ((7, "one"), (8, "two")):
            authority.issue_to(name, f"Node {name}", serial)
        with server:
            one, two = authority.client("one"), authority.client("two")
            check(request(server, "GET", "/v2/", tls=one).status == 200 and request(server, "GET", "/v2/", tls=two).status == 200, "both")
            authority.revoke("one")
            eventually(lambda: refuses_the_connection(server, one), "the revoked one is refused")
            check(request(server, "GET", "/v2/", tls=two).status == 200, "the other is not")
            # Made anew without the list: the one that was there stays in force.
            (authority.directory / "clients.next").write_text(authority.ca.read_text())
            (authority.directory / "clients.next").rename(authority.directory / "clients.pem")
            server.wait_log("has no revocation list any more")
            check(refuses_the_connection(server, one), "still refused")
            # A session that began before is not taken up again.
            context = authority.client("two")
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            connection = Connection(server, context)
            check(not connection.socket.session or not connection.socket.session.has_ticket, "no ticket")
            connection.close()


def test_a_connection_ends_with_the_certificate_with_which_it_began(stele):
    """The next request is a 401 that says so, and the last; another connection is refused by TLS itself."""
    for required in (False, True):
        server, authority = server_with_certificates(stele, required=required)
        authority.issue_to("lasting", "Node lasting", 7)
        with server:
            lasting = Connection(server, authority.client("lasting"))
            for seconds in (3, 10, 30):     # a machine that is too busy gets another try
                # One on which nothing is asked for ten seconds is closed for that alone.
                check(ask_on(lasting).status == 200, "one that lasts")
                short_lived(authority, "short", 8, seconds)
                try:
                    connection = Connection(server, authority.client("short"))
                    first = ask_on(connection)
                except (OSError, Failure):
                    continue
                if first.status == 200:
                    break
            check(first.status == 200, "while it holds", first)
            def told():
                """What is said on it when it is not 200 any more."""
                check(ask_on(lasting).status == 200, "others go on meanwhile")
                said = ask_on(connection)
                return said.status != 200 and said
            answer = eventually(told, "its end", timeout=120)
            check(answer.status == 401 and "the client certificate with which this connection began ended at" in answer.message, "said", answer)
            check(answer.get("Connection") == "close" and connection.at_end(), "the connection is over", answer)
            check(refuses_the_connection(server, authority.client("short")), "and no other begins")
            check(ask_on(lasting).status == 200, "others go on")


def test_a_revoked_authority_between_names_nobody(stele):
    """Who has its key could issue any name."""
    server, authority = server_with_certificates(stele)
    run = authority.openssl
    (authority.directory / "between.ext").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\n")
    run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "between.key", "-subj", "/CN=Between", "-out", "between.csr")
    run("x509", "-req", "-in", "between.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", "50", "-days", "2", "-extfile", "between.ext", "-out", "between.crt")
    authority.issue("leaf", "Node leaf", 60)
    run("x509", "-req", "-in", "leaf.csr", "-CA", "between.crt", "-CAkey", "between.key", "-set_serial", "60", "-days", "2", "-out", "leaf.crt")

    def lists(*revoked):
        """Both authorities with a list each, the root's with these."""
        text = authority.ca.read_text() + (authority.directory / "between.crt").read_text()
        for name, withdrawn in (("ca", revoked), ("between", ())):
            (authority.directory / f"{name}.index").write_text("")
            (authority.directory / "lists.cnf").write_text(f"[ca]\ndefault_ca=own\n[own]\ndatabase={name}.index\ndefault_md=sha256\ndefault_crl_days=2\n")
            common = ["ca", "-config", "lists.cnf", "-cert", f"{name}.crt", "-keyfile", f"{name}.key"]
            for one in withdrawn:
                run(*common, "-revoke", f"{one}.crt")
            run(*common, "-gencrl", "-out", f"{name}.list")
            text += (authority.directory / f"{name}.list").read_text()
        (authority.directory / "clients.next").write_text(text)
        (authority.directory / "clients.next").rename(authority.directory / "clients.pem")

    lists()
    with server:
        leaf = authority.client("leaf")
        check(request(server, "GET", "/v2/", tls=leaf).status == 200, "while nothing is revoked")
        lists("between")
        eventually(lambda: refuses_the_connection(server, leaf), "its certificates are refused")
