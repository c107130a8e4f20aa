#!/usr/bin/env python3
"""A real proxy with its example of deploy/ in front of Stele, and curl in front of that (door of review A1, field report 17).

  run.py STELE [--clients] [nginx|caddy|haproxy]...       nginx alone if none is named

--clients: also with the proxy's own default settings, through which skopeo, crane and containerd push and pull (defaults.py).
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
from people import users_behind  # noqa: E402
from ports import held_port  # noqa: E402
from registry import IMAGE, Failure, Registry, die_with_parent, digest_of, image, own_copy  # noqa: E402

EXAMPLE = ROOT / "deploy/nginx/stele.conf"
NAME = "registry.example.com"
passed = failed = 0


def check(holds, what, detail=""):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    if not holds:
        print(f"FAIL {what} {detail}", flush=True)


class Proxy:
    """A proxy with its example of deploy/, as it is but for name, port, certificate and the address of Stele. `open_to_all`:
    without the lines that keep administration away."""
    name = example = None
    ready = 60

    def __init__(self, directory, stele, port, open_to_all=False):
        self.directory, self.port, self.process = directory, port, None
        directory.mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={NAME}",
                        "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", "key", "-out", "cert"], cwd=directory, check=True, capture_output=True)
        (directory / "pem").write_text((directory / "cert").read_text() + (directory / "key").read_text())
        self.text = (ROOT / "deploy" / self.example).read_text()
        self.configure(stele, open_to_all)

    def put(self, old, new):
        if self.text.count(old) != 1:
            raise Failure(f"deploy/{self.example} has {self.text.count(old)} times: {old}")
        self.text = self.text.replace(old, new)

    def __enter__(self):
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(list(map(str, self.command())), preexec_fn=die_with_parent, stdout=log, stderr=log, cwd=self.directory,
                                            env={**os.environ, "HOME": str(self.directory), "XDG_DATA_HOME": str(self.directory), "XDG_CONFIG_HOME": str(self.directory)})
        until = time.monotonic() + self.ready
        while self.curl("/v2/")[0] not in (200, 401):
            if self.process.poll() is not None or time.monotonic() > until:
                raise Failure(f"{self.name} does not serve: {(self.directory / 'log').read_text(errors='replace')[-1500:]}")
            time.sleep(0.02)
        return self

    def find(self, binary):
        return shutil.which(binary) or f"/usr/sbin/{binary}"

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

    def curl(self, target, *arguments, body=None):
        """Status, headers in small letters, body."""
        url = target if target.startswith("https:") else f"https://{NAME}:{self.port}{target}"
        done = subprocess.run(["curl", "-s", "-i", "--max-time", "60", "--cacert", str(self.directory / "cert"), "--resolve", f"{NAME}:{self.port}:127.0.0.1",
                               *(["--data-binary", "@-"] if body is not None else []), *arguments, url], input=body, capture_output=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 100"):
            head, _, content = content.partition(b"\r\n\r\n")
        lines = head.decode(errors="replace").split("\r\n")
        status = re.match(r"HTTP/[\d.]+ (\d+)", lines[0])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return (int(status[1]) if status else 0), headers, content


class Nginx(Proxy):
    name, example = "nginx", "nginx/stele.conf"

    def configure(self, stele, open_to_all):
        for old, new in (("server 127.0.0.1:5000;", f"server {stele};"), ("listen 443 ssl http2;", f"listen 127.0.0.1:{self.port} ssl http2;"),
                         ("listen [::]:443 ssl http2;", ""), (f"/etc/nginx/tls/{NAME}.crt", str(self.directory / "cert")),
                         (f"/etc/nginx/tls/{NAME}.key", str(self.directory / "key"))):
            self.put(old, new)
        if open_to_all:
            self.put("return 404;", "proxy_pass http://stele;")
        at = self.directory
        user = "user root;" if os.geteuid() == 0 else ""
        (at / "nginx.conf").write_text(f"""{user} daemon off; worker_processes 1; pid {at}/pid; error_log stderr;
events {{}}
http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
{self.text}
}}
""")

    def command(self):
        return [self.find("nginx"), "-p", self.directory, "-c", self.directory / "nginx.conf", "-e", "stderr"]


class Caddy(Proxy):
    name, example = "caddy", "caddy/Caddyfile"

    def configure(self, stele, open_to_all):
        self.put(f"\nhttps://{NAME} {{", f"\nhttps://{NAME}:{self.port} {{\n\tbind 127.0.0.1")
        self.put("reverse_proxy 127.0.0.1:5000", f"reverse_proxy {stele}")
        self.put(f"/etc/caddy/tls/{NAME}.crt", str(self.directory / "cert"))
        self.put(f"/etc/caddy/tls/{NAME}.key", str(self.directory / "key"))
        if open_to_all:
            self.put("respond 404", f"reverse_proxy {stele}")
        (self.directory / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n" + self.text)

    def command(self):
        return [self.find("caddy"), "run", "--config", self.directory / "Caddyfile", "--adapter", "caddyfile"]


class HAProxy(Proxy):
    name, example = "haproxy", "haproxy/haproxy.cfg"

    def configure(self, stele, open_to_all):
        self.put("bind :443", f"bind 127.0.0.1:{self.port}")
        self.put(f"/etc/haproxy/{NAME}.pem", str(self.directory / "pem"))
        self.put("server stele 127.0.0.1:5000", f"server stele {stele}")
        if open_to_all:
            self.put("  http-request return status 404 unless { path_beg /v2/ } or { path /token }\n", "")
        (self.directory / "haproxy.cfg").write_text(self.text)

    def command(self):
        return [self.find("haproxy"), "-db", "-f", self.directory / "haproxy.cfg"]


def push_and_pull(proxy, directory):
    layer = os.urandom(20_000_000)
    (directory / "layer").write_bytes(layer)
    digest = "sha256:" + hashlib.sha256(layer).hexdigest()
    octets = ("-H", "Content-Type: application/octet-stream")
    status, headers, _ = proxy.curl("/v2/team/app/blobs/uploads/", "-X", "POST")
    check(status == 202, "an upload begins", status)
    location = headers.get("location", "")
    check(location.startswith(("/", f"https://{NAME}:{proxy.port}/")), "the client is sent to where it came from", location)
    status, headers, _ = proxy.curl(location, "-X", "PATCH", "-H", "Transfer-Encoding: chunked", *octets, "-T", str(directory / "layer"))
    check(status == 202, "20 MB in chunks pass a proxy whose default limit is 1 MB", status)
    location = headers.get("location", "")
    status, headers, _ = proxy.curl(location + ("&" if "?" in location else "?") + f"digest={digest}", "-X", "PUT", *octets)
    check(status == 201, "the upload is closed", status)
    status, _, content = proxy.curl(f"/v2/team/app/blobs/{digest}")
    check(status == 200 and content == layer, "and pulled as it was", status)
    status, _, content = proxy.curl(f"/v2/team/app/blobs/{digest}", "-r", "5-104")
    check(status == 206 and content == layer[5:105], "a range of it", status)
    config = b"{}"
    status, *_ = proxy.curl(f"/v2/team/app/blobs/uploads/?digest={digest_of(config)}", "-X", "POST", *octets, body=config)
    check(status == 201, "a blob in one request", status)
    content = image((digest_of(config), 2), [(digest, len(layer))])
    status, *_ = proxy.curl("/v2/team/app/manifests/1.0.0", "-X", "PUT", "-H", f"Content-Type: {IMAGE}", body=content)
    check(status == 201, "a release", status)
    status, *_ = proxy.curl("/v2/team/app/manifests/1.0.0", "-X", "PUT", "-H", f"Content-Type: {IMAGE}", body=content + b" ")
    check(status == 409, "that does not move", status)
    for tag in ("a", "b"):
        proxy.curl(f"/v2/team/app/manifests/{tag}", "-X", "PUT", "-H", f"Content-Type: {IMAGE}", body=content)
    seen, target = [], "/v2/team/app/tags/list?n=1"
    while target and len(seen) < 9:
        status, headers, content = proxy.curl(target)
        seen += json.loads(content)["tags"]
        link = re.match(r"<([^>]*)>", headers.get("link", ""))
        target = link and link[1]
    check(seen == ["1.0.0", "a", "b"], "pages follow each other through the proxy", seen)


def doors(registry, proxy):
    """What comes through a proxy is nobody's own machine (A1), whatever it says of itself."""
    tries = [("GET", "/api/v1/holds", None), ("POST", "/api/v1/holds", {"name": "case-1", "case": "1", "repository": "team/app"}),
             ("POST", "/api/v1/gc/pause", {"reason": "x"}), ("GET", "/api/v1/status", None)]
    for claim in ((), ("-H", "X-Forwarded-For: 127.0.0.1"), ("-H", "Forwarded: for=127.0.0.1"), ("-H", "X-Real-IP: 127.0.0.1"), ("-H", "Host: localhost"), ("-H", "Host: 127.0.0.1")):
        for method, target, body in tries:
            status, _, content = proxy.curl(target, "-X", method, "-H", "Content-Type: application/json", *claim, body=body and json.dumps(body).encode())
            # A proxy that has no site of that name answers by itself, and has nothing to tell.
            check(status in (401, 403, 404) or not content, f"{method} {target} {claim}: administration is closed", f"{status} {content[:200]}")
    held = subprocess.run([registry.binary, "hold", "list", "--json", "--data", registry.data], capture_output=True, text=True)
    check(held.returncode == 0 and "case-1" not in held.stdout, "and nothing was done", held.stdout + held.stderr)


def behind(proxy_class, stele, directory):
    port = held_port()
    config = f"external_url: https://{NAME}:{port}\ntrusted_proxies: [127.0.0.1]\nlog: {{access: on, level: info}}\n"
    with Registry(stele, directory / "told") as registry:
        (registry.directory / "stele.yaml").write_text(config)
        registry.start()
        with proxy_class(directory / "closed", registry.address, port) as proxy:
            push_and_pull(proxy, directory)
            status, *_ = proxy.curl("/api/v1/status")
            check(status == 404, "the example shows nothing of the administration", status)
            proxy.curl("/v2/", "-H", "X-Forwarded-For: 203.0.113.7")
        check("203.0.113.7" not in registry.said(), "a client does not choose the address in the log")
        with proxy_class(directory / "open", registry.address, port, open_to_all=True) as proxy:
            doors(registry, proxy)
    # As most people begin: the proxy is there, Stele was not told of it.
    with Registry(stele, directory / "untold") as registry:
        registry.start()
        with proxy_class(directory / "untold-proxy", registry.address, port, open_to_all=True) as proxy:
            doors(registry, proxy)
    users_behind(proxy_class, stele, directory, port, NAME, check)


def main():
    proxies = {proxy.name: proxy for proxy in (Nginx, Caddy, HAProxy)}
    with tempfile.TemporaryDirectory(prefix="stele-proxy-") as name:
        directory = Path(name)
        stele = own_copy(sys.argv[1], directory)
        named = [argument for argument in sys.argv[2:] if argument != "--clients"]
        for proxy in named or ["nginx"]:
            before = passed, failed
            (directory / f"{proxy}.d").mkdir()
            behind(proxies[proxy], stele, directory / f"{proxy}.d")
            if "--clients" in sys.argv:
                from defaults import behind_defaults
                behind_defaults(proxy, stele, directory / f"{proxy}.defaults", check)
            print(f"{proxy}: {passed - before[0]} passed, {failed - before[1]} failed", flush=True)
    print(f"proxy: {passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
