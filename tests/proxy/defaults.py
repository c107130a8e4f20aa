"""Each proxy as most people begin: with its own default settings (for nginx: HTTP/1.0 to Stele, bodies of 1 MB, everything
buffered, another Host), with and without `external_url`, at the root and at a path; and real clients in front of it."""
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "tests/clients")]
from registry import Failure, Registry, die_with_parent  # noqa: E402
import server as clients_server  # noqa: E402
from crane import Crane  # noqa: E402
from ctr import Ctr  # noqa: E402
from images import Layout, from_server, host_architecture  # noqa: E402
from logins import USERS  # noqa: E402
from ports import held_port  # noqa: E402
from skopeo import Skopeo  # noqa: E402

PREFIX = "/images"


def nginx(at, stele, port, prefix, more):
    place = f"{prefix}/" if prefix else "/"
    target = f"http://{stele}/" if prefix else f"http://{stele}"
    user = "user root; " if os.geteuid() == 0 else ""
    (at / "nginx.conf").write_text(f"""{user}daemon off; worker_processes 1; pid {at}/pid; error_log stderr;
events {{}}
http {{
  access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {at}/server.crt;
    ssl_certificate_key {at}/server.key;
    {more}
    location {place} {{ proxy_pass {target}; }}
  }}
}}
""")
    return ["nginx", "-p", at, "-c", at / "nginx.conf", "-e", "stderr"]


def caddy(at, stele, port, prefix, more):
    inner = f"handle_path {prefix}/* {{\n\t\treverse_proxy {stele}\n\t}}" if prefix else f"reverse_proxy {stele}"
    (at / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
                                  f"https://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n\ttls {at}/server.crt {at}/server.key\n\t{inner}\n\t{more}\n}}\n")
    return ["caddy", "run", "--config", at / "Caddyfile", "--adapter", "caddyfile"]


def haproxy(at, stele, port, prefix, more):
    (at / "pem").write_text((at / "server.crt").read_text() + (at / "server.key").read_text())
    strip = f"http-request replace-path {prefix}(/.*) \\1" if prefix else ""
    # HAProxy warns without times; these are the ones of Debian's own file.
    (at / "haproxy.cfg").write_text("defaults\n  mode http\n  timeout connect 5000\n  timeout client 50000\n  timeout server 50000\n"
                                    f"frontend f\n  bind 127.0.0.1:{port} ssl crt {at}/pem\n  {strip}\n  {more}\n  default_backend b\n"
                                    f"backend b\n  server stele {stele}\n")
    return ["haproxy", "-db", "-f", at / "haproxy.cfg"]


PROXIES = {"nginx": nginx, "caddy": caddy, "haproxy": haproxy}


class Front(clients_server.Server):
    """The proxy, in the place of the server that tests/clients speaks to."""

    def __init__(self, name, directory, stele, port, prefix="", more=""):   # noqa: the server's own would start a Stele
        self.directory, self.prefix, self.name = directory, prefix, name
        directory.mkdir()
        self.address, self.url = f"127.0.0.1:{port}", f"https://127.0.0.1:{port}"
        self.log = directory / "proxy.log"
        clients_server.make_certificates(directory)
        self.ca, self.cert, self.key = (directory / file for file in ("ca.crt", "server.crt", "server.key"))
        command = PROXIES[name](directory, stele, port, prefix, more)
        command[0] = shutil.which(command[0]) or f"/usr/sbin/{command[0]}"
        self.command = list(map(str, command))

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, preexec_fn=die_with_parent, stdout=log, stderr=log, cwd=self.directory,
                                            env={**os.environ, "HOME": str(self.directory), "XDG_DATA_HOME": str(self.directory),
                                                 "XDG_CONFIG_HOME": str(self.directory)})
        until = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise Failure(f"{self.name} does not serve: {self.tail()}")
            time.sleep(0.02)
        return self

    def request(self, method, path, body=None, headers=None):
        return super().request(method, self.prefix + path, body, headers)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


class CtrAtAPath(Ctr):
    """containerd, which alone of the clients can be told of a path (override_path)."""

    def know_the_server(self):
        url = f"{self.server.url}{self.server.prefix}/v2"
        hosts = self.hosts / self.server.address
        hosts.mkdir(parents=True, exist_ok=True)
        (hosts / "hosts.toml").write_text(f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve", "push"]\n'
                                          f'  override_path = true\n  ca = "{self.server.ca}"\n')


def rows_of_the_manual():
    """docs/configuration.md, "Behind a proxy": what the client says → (proxy, what to change)."""
    lines = (ROOT / "docs/configuration.md").read_text().splitlines()
    begin = lines.index("| proxy | what the client says | what to change |") + 2
    rows = {}
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        proxy, said, change = (cell.strip() for cell in line.strip("|").split("|")[:3])
        rows[proxy, said.split("`")[1]] = change.split("`")[1]
    return rows


class Defaults:
    def __init__(self, name, stele, directory, check):
        self.name, self.stele, self.directory, self.check = name, stele, directory, check
        self.small = Layout(directory / "small", [host_architecture()])
        self.other = Layout(directory / "other", [host_architecture()], "another")
        self.large = Layout(directory / "large", [host_architecture()], "large", random=3_000_000)
        self.number = 0

    def where(self):
        self.number += 1
        return self.directory / f"d{self.number}"

    def attempt(self, action, what):
        """What it said when it failed; the check fails when that is anything but a client's failure."""
        try:
            action()
            return None
        except clients_server.Failure as failure:
            return str(failure)

    def ready(self, kind, front):
        client = kind(front, self.where())
        client.prepare()
        return client

    def push_and_pull(self, front, external):
        for kind in (Skopeo, Crane):
            client = self.ready(kind, front)
            said = f"{self.name} as it is, {external or 'without external_url'}, {kind.__name__.lower()}"
            repository = f"{kind.__name__.lower()}/app"
            failed = self.attempt(lambda: client.push_as(self.small, client.name(repository, "1.0.0")), said)
            self.check(failed is None, f"{said}: a push", failed)
            if failed:
                continue
            served = from_server(front, repository, "1.0.0")
            kept = self.attempt(lambda: self.small.graph.same_content(served, "pulled"), said)
            self.check(kept is None, f"{said}: what was pushed comes back", kept)
            moved = self.attempt(lambda: client.push_as(self.other, client.name(repository, "1.0.0")), said)
            self.check(moved and "cannot be overwritten because the tag is immutable" in moved, f"{said}: a refusal is shown", moved)
            status, headers, _ = front.request("POST", f"/v2/{repository}/blobs/uploads/", b"", {"Content-Length": "0"})
            self.check(status == 202 and headers["Location"].startswith(f"{external}/v2/"), f"{said}: where it is sent on to", headers["Location"])

    def large_layers(self, stele, port):
        """The one default that ends pushes: the manual says by which words it is known, and the change that it names helps."""
        known = rows_of_the_manual()
        with Front(self.name, self.where(), stele, port) as front:
            failed = {kind: self.attempt(lambda kind=kind: self.ready(kind, front).push_as(self.large, f"{front.address}/large/{kind.__name__.lower()}:1"), "large")
                      for kind in (Skopeo, Crane)}
        words = [(said, change) for (proxy, said), change in known.items() if proxy == self.name and said.startswith("413")]
        if not words:
            self.check(not any(failed.values()), f"{self.name} as it is: a layer of 3 MB", failed)
            return
        said, change = words[0]
        for kind, text in failed.items():
            self.check(text and said in text, f"{self.name} as it is: {kind.__name__} says {said!r}, as the manual has it", text)
        with Front(self.name, self.where(), stele, port, more=change) as front:
            for kind in (Skopeo, Crane):
                text = self.attempt(lambda kind=kind: self.ready(kind, front).push_as(self.large, f"{front.address}/large/{kind.__name__.lower()}:1"), "large")
                self.check(text is None, f"{self.name} with {change}: a layer of 3 MB", text)

    def log_in(self, port):
        """nginx passes another Host on, so that the token realm names a server that nobody knows, unless external_url is set."""
        for external in ("", f"https://127.0.0.1:{port}"):
            at = self.where()
            at.mkdir()
            (at / "users").write_text(USERS)
            config = f"auth: {{htpasswd: {{file: {at}/users}}}}\ntrusted_proxies: [127.0.0.1]\n" + (f"external_url: {external}\n" if external else "")
            with Registry(self.stele, at / "stele", config=config) as registry:
                registry.start()
                with Front(self.name, self.where(), registry.address, port) as front:
                    challenge = front.request("GET", "/v2/")[1]["WWW-Authenticate"]
                    client = self.ready(Skopeo, front)
                    failed = self.attempt(lambda: client.log_in("correct horse"), "login")
            if external or self.name == "caddy":   # which passes Host on and says that it is https
                self.check(failed is None, f"{self.name}, {external or 'without external_url'}: skopeo logs in", failed)
            if external:
                self.check(f'realm="{external}/token"' in challenge, "the realm", challenge)
            elif self.name == "nginx":   # here the upstream can be reached past the proxy, elsewhere it cannot
                self.check(f'realm="http://{registry.address}/token"' in challenge, "nginx, without external_url: the realm that the manual warns of", challenge)
            elif self.name == "haproxy":
                self.check(failed and f'realm="http://127.0.0.1:{port}/token"' in challenge, "haproxy, without external_url: the login fails, as the manual says",
                           f"{challenge} {failed}")

    def at_a_path(self, port):
        external = f"https://127.0.0.1:{port}{PREFIX}"
        config = f"external_url: {external}\ntrusted_proxies: [127.0.0.1]\n"
        with Registry(self.stele, self.where(), config=config) as registry:
            registry.start()
            with Front(self.name, self.where(), registry.address, port, prefix=PREFIX, more=self.no_limit()) as front:
                client = CtrAtAPath(front, self.where())
                try:
                    failed = self.attempt(lambda: (client.prepare(), client.push_as(self.large, client.name("ctr/app")), client.push_as(self.small, client.name("ctr/app", "a"))), "push")
                    self.check(failed is None, f"{self.name} at {PREFIX}: containerd pushes", failed)
                    if failed:
                        return
                    self.large.graph.same_content(from_server(front, "ctr/app"), "pushed")
                    for name in client.ctr("images", "ls", "--quiet").split():
                        client.ctr("images", "rm", "--sync", name)
                    failed = self.attempt(lambda: client.images("pull", "--snapshotter", "native", client.name("ctr/app")), "pull")
                    self.check(failed is None, f"{self.name} at {PREFIX}: containerd pulls", failed)
                finally:
                    client.stop()
                status, headers, _ = front.request("GET", "/v2/ctr/app/tags/list?n=1")
                self.check(status == 200 and headers["Link"].startswith(f"<{external}/v2/ctr/app/tags/list?"), f"{self.name} at {PREFIX}: the next page", headers["Link"])

    def no_limit(self):
        return next((change for (proxy, said), change in rows_of_the_manual().items() if proxy == self.name and said.startswith("413")), "")


def behind_defaults(name, stele, directory, check):
    directory.mkdir()
    tried = Defaults(name, stele, directory, check)
    port = held_port()
    for external in ("", f"https://127.0.0.1:{port}"):
        config = "trusted_proxies: [127.0.0.1]\n" + (f"external_url: {external}\n" if external else "")
        with Registry(stele, tried.where(), config=config) as registry:
            registry.start()
            with Front(name, tried.where(), registry.address, port) as front:
                tried.push_and_pull(front, external)
            if external:
                tried.large_layers(registry.address, port)
    tried.log_in(port)
    tried.at_a_path(port)
