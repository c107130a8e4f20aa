"""What the tests here share: what is pushed, and how a check is said."""
import hashlib
import json
import re
import sqlite3
import ssl
import subprocess
import time
from pathlib import Path

from wire import Failure, Server, request

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def check(condition, message, answer=None):
    if not condition:
        raise Failure(message, answer)


def measures_memory(test):
    """Of the release build alone (run.py --sanitized): a sanitizer keeps what was freed, and shadows of everything."""
    test.measures_memory = True
    return test


def needs_root(test):
    """Of root alone, who can be somebody else; run.py says what it leaves out."""
    test.needs_root = True
    return test


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest(config, note="", **members):
    return json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": {"mediaType": "a/b", "digest": config, "size": 2},
                       "layers": [], "annotations": {"note": note}, **members}).encode()


def put_manifest(server, repository, reference, content, kind=IMAGE):
    return request(server, "PUT", f"/v2/{repository}/manifests/{reference}", [f"Content-Type: {kind}"], content)


def head(method, target, *headers):
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *headers]).encode() + b"\r\n\r\n"


def start_upload(server, repository):
    answer = request(server, "POST", f"/v2/{repository}/blobs/uploads/")
    check(answer.status == 202, "no session", answer)
    return answer.get("Location")


def events(server, action):
    with sqlite3.connect(f"file:{server.data}/stele.db?mode=ro", uri=True) as catalog:
        return catalog.execute("SELECT repository, tag, old_digest, new_digest, rule, reason, request_id FROM events WHERE action = ? "
                               "ORDER BY sequence", (action,)).fetchall()


def most_resident(server):
    """The most memory that the server ever had, in bytes."""
    for line in open(f"/proc/{server.process.pid}/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise Failure("the server is gone")


def taken(server, patience=60):
    """Until the server has taken from the kernel whatever was sent to it over IPv4."""
    until = time.monotonic() + patience
    place, established = f":{server.port:04X}", "01"
    while True:
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        waiting = [line for line in lines if line[1].endswith(place) and line[3] == established and int(line[4].split(":")[1], 16) > 0]
        if not waiting:
            return
        if time.monotonic() > until:
            raise Failure(f"of {len(waiting)} connections the server does not take what was sent")
        time.sleep(0.01)


def identity(name):
    return [f"X-Stele-Test-Identity: {name}"]


def routes_and_rights(face):
    """From the tables of the source: [(method, path, right)], so that a new route is tried without a word here."""
    root = Path(__file__).resolve().parents[2] / "api"
    header, source = (root / face / "route.hpp").read_text(), (root / face / f"{face}_handler.cpp").read_text()
    prefix = "/api/v1" if face == "admin" else ""
    paths = {name: prefix + re.sub(r"<(\w+)>", lambda part: {"name": "app", "id": "1", "cluster": "eu", "tag": "a", "reference": "a", "robot": "ci", "user": "ann"}.get(
        part[1], "sha256:" + 64 * "0"), path) for name, path in re.findall(r"^  (\w+), +// (/[^\s,]*)", header, re.M)}
    table = re.findall(r"\{\w*Endpoint::(\w+), Method::(\w+), Right::(\w+),", source)
    check(len(table) == len(re.findall(r"\{\w*Endpoint::\w+, Method::", source)) and {row[0] for row in table} == set(paths), f"{face}: a table that can be read")
    return [({"del": "DELETE"}.get(method, method.upper()), paths[endpoint], right) for endpoint, method, right in table]


class Authority:
    """A certificate authority made for one test."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.ca, self.cert, self.key = (self.directory / name for name in ("ca.crt", "server.crt", "server.key"))
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=Test CA",
                     "-keyout", "ca.key", "-out", "ca.crt")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def issue(self, name, subject, serial):
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject}",
                     "-keyout", f"{name}.key.new", "-out", f"{name}.csr")
        (self.directory / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", str(serial), "-days", "2",
                     "-extfile", "san", "-out", f"{name}.crt.new")
        for suffix in ("key", "crt"):
            (self.directory / f"{name}.{suffix}.new").rename(self.directory / f"{name}.{suffix}")

    def client(self, certificate=None):
        context = ssl.create_default_context(cafile=self.ca)
        if certificate:
            context.load_cert_chain(self.directory / f"{certificate}.crt", self.directory / f"{certificate}.key")
        return context


def tls_server(stele, client_ca=False):
    server = Server(stele)
    authority = Authority(server.directory)
    authority.issue("server", "localhost", 1)
    lines = f"tls: {{cert: {authority.cert}, key: {authority.key}{f', client_ca: {authority.ca}' if client_ca else ''}}}\n"
    server.config.write_text(lines)
    return server, authority
