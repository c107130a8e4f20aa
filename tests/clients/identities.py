"""Clients that are known by something else than a password of the registry's: a client certificate, the tokens of another token
server, what a CI job is; and docker with a clock that is wrong."""
import base64
import contextlib
import email.utils
import glob
import http.server
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

from client import Client
from crane import Crane
from ctr import Ctr
from docker import Docker
from images import push
from logins import USERS, Releaser
from oras import Oras
from podman import Podman
from regctl import Regctl
from server import ROOT, Failure, Server, scratch
from skopeo import Skopeo

sys.path.append(str(ROOT / "tests/oidc"))
from issuer import AUDIENCE, Issuer, Key, b64  # noqa: E402

RULES = """version: 1
access_rules:
  - {name: team, who: [WHO], repositories: ["team/**"], allow: [pull, push]}
  - {name: shared, who: [WHO], repositories: ["shared/**"], allow: [pull]}
  - {name: releases, who: ["user:releaser"], repositories: ["**"], allow: [pull, push]}
"""
NAMED = "stele.test"   # dockerd takes what is called 127.0.0.1 for insecure, and shows no certificate there


class Identities(Client):
    programs = Docker.programs + Podman.programs + Ctr.programs + ("crane", "oras", "regctl")
    needs_root = True
    transports = ("tls",)

    def registry(self, name, auth, who):
        directory = self.directory / name
        directory.mkdir()
        (directory / "users").write_text(USERS)
        (directory / "policy.yaml").write_text(RULES.replace("WHO", who))
        return Server(directory, tls=True, config=f"auth: {{htpasswd: {{file: {directory}/users}}, {auth}}}\npolicy: {directory}/policy.yaml\n")

    @contextlib.contextmanager
    def one(self, kind, server):
        with scratch("stele-clients-") as place:   # podman wants a short path
            client = kind(server, Path(place) / kind.__name__.lower())
            try:
                client.prepare()
                yield client
            finally:
                client.stop()

    def what_it_may(self, client, server, who):
        """Pushes and pulls what the rules allow, and reads the rule where they do not."""
        name = client.name(f"team/{type(client).__name__.lower()}")
        client.push_as(client.single, name)
        client.pull_again(name)
        client.refused("pushing without the right", lambda: client.push_as(client.single, client.name("shared/app")),
                       client.push_denied.replace("user:alice", who))

    def authority(self):
        """Of the clients; with a certificate for node-7."""
        place = self.directory / "clients-ca"
        place.mkdir()

        def openssl(*words):
            subprocess.run(["openssl", *words], cwd=place, check=True, capture_output=True)

        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=clients")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "client.key", "-out", "client.csr", "-subj", "/CN=node-7")
        (place / "ext").write_text("extendedKeyUsage=clientAuth\n")
        openssl("x509", "-req", "-in", "client.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", "7", "-days", "2", "-extfile", "ext", "-out", "client.crt")
        return place

    def check_a_client_certificate(self):
        place = self.authority()
        with self.registry("certificates", f"mtls: {{ca: {place}/ca.crt, identity: cn}}", '"cert:node-*"') as server:
            push(Releaser(server), "shared/base", self.single.graph)
            for kind in (Podman, Skopeo, Ctr, Oras, Regctl):
                with self.one(kind, server) as client:
                    client.refused(f"{kind.__name__} without a certificate", lambda: client.push_as(client.single, client.name("team/none")))
                    client.show_certificate(place / "client.crt", place / "client.key")
                    self.what_it_may(client, server, "cert:node-7")
            self.docker_with_a_certificate(server, place)
        pushed = re.findall(r'"cert:node-7" PUT "/v2/team/(\w+)/manifests/1.0" 201', server.log.read_text())
        self.expect("who pushed", sorted(pushed), ["ctr", "docker", "oras", "podman", "regctl", "skopeo"])

    def docker_with_a_certificate(self, server, place):
        """In /etc/docker/certs.d, which is this daemon's own."""
        etc = self.directory / "etc-docker"
        with Proxy(server) as proxy, self.one(Docker, Named(server)) as client:
            client.stop()
            for certificate in (False, True):
                certs = etc / "certs.d" / client.server.address
                certs.mkdir(parents=True, exist_ok=True)
                (certs / "ca.crt").write_bytes(server.ca.read_bytes())
                if certificate:
                    (certs / "client.cert").write_bytes((place / "client.crt").read_bytes())
                    (certs / "client.key").write_bytes((place / "client.key").read_bytes())
                client.variables = {"HTTPS_PROXY": proxy.url}
                client.wrapper = ("unshare", "--mount", "sh", "-c", 'mkdir -p /etc/docker && mount --bind "$0" /etc/docker && exec "$@"', etc)
                client.start()
                if certificate:
                    self.what_it_may(client, server, "cert:node-7")
                else:
                    client.refused("Docker without a certificate", lambda: client.push_as(client.single, client.name("team/none")))
                client.stop()

    def check_the_tokens_of_another_token_server(self):
        """It says who it is and what the token is for; the rules decide within that."""
        with TokenServer() as tokens:
            keys = self.directory / "token-server-keys.json"
            keys.write_text(json.dumps({"keys": [tokens.key.jwk()]}))
            with self.registry("tokens", f"external_tokens: {{issuer: tokens.example, audience: registry.example, jwks_file: {keys}, realm: \"{tokens.url}\"}}",
                               '"user:alice"') as server:
                tokens.start(server.cert, server.key)
                push(Releaser(server), "shared/base", self.single.graph)
                for kind in (Docker, Podman, Skopeo, Crane, Oras, Ctr, Regctl):
                    with self.one(kind, server) as client:
                        asked = len(tokens.asked)
                        client.log_in("of the token server")
                        self.what_it_may(client, server, "user:alice")
                        self.expect(f"{kind.__name__} asked the token server", len(tokens.asked) > asked, True)

    def check_docker_with_the_session_of_a_job(self):
        """docker login with an ID token keeps a refresh token, by which it pushes and pulls."""
        with Issuer() as issuer:
            auth = f'oidc: [{{name: ci, issuer: "{issuer.url}", audience: {AUDIENCE}, claims: {{repository_owner_id: "99"}}}}]'
            who = f'{{oidc: "{issuer.url}", repository_id: 4711, ref: refs/heads/main}}'
            with self.registry("job", auth, who) as server, self.one(Docker, server) as client:
                push(Releaser(server), "shared/base", self.single.graph)
                token = issuer.token()
                client.log_in(token, "ci")
                kept = (client.home / "config.json").read_text()
                self.expect("a refresh token is kept, and no ID token", (bool(json.loads(kept)["auths"][server.address].get("identitytoken")), token in kept), (True, False))
                self.what_it_may(client, server, "oidc:ci:repo:octo/app:ref:refs/heads/main")

    def check_docker_with_a_clock_ten_minutes_behind(self):
        """The server's is put forward: a Go program does not let its own be put back."""
        libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not libraries:
            raise Failure("libfaketime is needed and not installed: apt-get install libfaketime")
        server = self.registry("clock", "tokens: {ttl: 5m}", '"user:alice"')
        server.command = ["env", f"LD_PRELOAD={libraries[0]}", "FAKETIME=+600s", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1", *server.command]
        with server, self.one(Docker, server) as client:
            _, headers, _ = server.request("GET", "/v2/")
            self.expect("ahead", 540 < email.utils.parsedate_to_datetime(headers["Date"]).timestamp() - time.time() < 660, True)
            push(Releaser(server), "shared/base", self.single.graph)
            client.log_in("correct horse")
            self.what_it_may(client, server, "user:alice")
        log = server.log.read_text()
        self.expect("requests that were asked for another token", len(re.findall(r'invalid_token|"/v2/\S*" 401 .*expired', log)), 0)


class Named:
    """The server, as it is called by a name that only its proxy knows."""

    def __init__(self, server):
        self.address = f"{NAMED}:{server.address.rpartition(':')[2]}"
        self.url, self.ca, self.request = f"https://{self.address}", server.ca, server.request


class Listener:
    """Takes connections of 127.0.0.1, each in a thread of its own."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()


class Proxy(Listener):
    """CONNECT to the server, under the name that only this knows."""

    def __init__(self, server):
        self.behind = server.address.split(":")

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(4096)
            if not data:
                return
            head += data
        if not head.startswith(f"CONNECT {NAMED}:{self.behind[1]} ".encode()):
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        server = socket.create_connection((self.behind[0], int(self.behind[1])))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self.pass_on, args=(server, client), daemon=True).start()
        self.pass_on(client, server)

    @staticmethod
    def pass_on(giver, taker):
        try:
            while data := giver.recv(65536):
                taker.sendall(data)
            taker.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class TokenServer:
    """As Distribution's token specification has it: GET with a name and a password, service and scopes; gives what is asked for. Over
    TLS, where the registry has it, and by a name: else crane does not go there."""

    def __init__(self):
        self.key, self.asked = Key("first", "ES256"), []

    def __enter__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.say(*outer.answer(self.path, self.headers.get("Authorization", "")))

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.say(405, b"{}")   # then containerd asks by GET

            def say(self, status, body):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"https://localhost:{self.server.server_address[1]}/auth"
        self.started = False
        return self

    def start(self, certificate, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.started = True

    def __exit__(self, *_):
        if self.started:
            self.server.shutdown()
        self.server.server_close()

    def answer(self, path, authorization):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        self.asked.append(path)
        if authorization != "Basic " + base64.b64encode(b"alice:of the token server").decode() or query.get("service") != ["registry.example"]:
            return 401, b'{"errors":[{"code":"UNAUTHORIZED","message":"not known here"}]}'
        access = []
        for scope in " ".join(query.get("scope", [])).split():
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {"iss": "tokens.example", "sub": "alice", "aud": "registry.example", "iat": now, "nbf": now - 5, "exp": now + 300, "access": access}
        text = b64({"alg": "ES256", "typ": "JWT", "kid": self.key.name}) + "." + b64(claims)
        token = text + "." + self.key.sign(text)
        return 200, json.dumps({"token": token, "access_token": token, "expires_in": 300}).encode()
