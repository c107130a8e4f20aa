"""A server whose wall clock the script sets, and the little HTTP that the team's tools need.

Clients come with certificates, so that the server knows who pulls; administration goes over the local socket."""
import ctypes
import http.client
import json
import mmap
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import Failure, Registry  # noqa: E402

SECOND = 1_000_000
IDLE = 60   # seconds; the server hangs up after 120


class Clock:
    """What clock.c makes a process see, in microseconds since 1970."""

    def __init__(self, directory, now):
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang-19")
        if not compiler:
            raise Failure("a C compiler is needed and not installed: apt-get install gcc")
        self.library, self.file = directory / "clock.so", directory / "clock"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", self.library, Path(__file__).with_name("clock.c")], check=True)
        self.file.write_bytes(bytes(8))
        with open(self.file, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 8)
        self.value = ctypes.c_int64.from_buffer(self.page)   # written in one store: the server reads at any time
        self.value.value = now

    def environment(self):
        return {"LD_PRELOAD": str(self.library), "REPLAY_CLOCK": str(self.file), "TZ": "UTC"}


def certificates(directory, clock, names):
    """A CA, the server's certificate and one for each name, valid for ten years from what the clock shows."""
    directory.mkdir(parents=True)
    environment = os.environ | clock.environment()

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, env=environment)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-keyout", "ca.key",
            "-out", "ca.crt", "-subj", "/CN=replay CA", "-addext", "basicConstraints=critical,CA:TRUE")
    for name in ("server", *names):
        extension = "subjectAltName=IP:127.0.0.1\n" if name == "server" else "extendedKeyUsage=clientAuth\n"
        (directory / f"{name}.ext").write_text(extension)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3600",
                "-out", f"{name}.crt", "-extfile", f"{name}.ext")
    return directory


class Local(http.client.HTTPConnection):
    """HTTP over the server's socket file."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __str__(self):
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


class Server:
    """`now` is what its clocks show, in microseconds; they stand still between two calls of at()."""

    def __init__(self, binary, directory, policy, lease, now, principals):
        self.directory, self.policy = Path(directory), Path(directory) / "policy.yaml"
        self.clock = Clock(self.directory, now)
        self.tls = certificates(self.directory / "tls", self.clock, principals)
        self.policy.write_text(policy)
        wrapper = ["env", *(f"{name}={value}" for name, value in self.clock.environment().items())]
        self.registry = Registry(binary, self.directory, wrapper=wrapper, config=(
            f"policy: {self.policy}\ngc: {{lease: {lease}}}\nbackup: {{every: 0}}\n"
            f"tls: {{cert: {self.tls / 'server.crt'}, key: {self.tls / 'server.key'}, client_ca: {self.tls / 'ca.crt'}}}\n"))
        self.connections, self.contexts, self.requests = {}, {}, 0

    @property
    def now(self):
        return self.clock.value.value

    def at(self, now):
        self.clock.value.value = now

    def start(self):
        """A jump that the server cannot believe by itself is confirmed."""
        self.registry.start()
        if self.admin("GET", "/clock").json()["unconfirmed"]:
            self.admin("POST", "/clock/confirm")

    def stop(self):
        self.hang_up()
        return self.registry.stop()

    def kill(self):
        self.hang_up()
        self.registry.kill()

    def hang_up(self):
        for connection, _ in self.connections.values():
            connection.close()
        self.connections = {}

    def connect(self, principal):
        if principal is None:
            return Local(str(self.registry.data / "stele.sock"), timeout=300)
        if principal not in self.contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)   # its certificate is from another time than this process
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.load_cert_chain(self.tls / f"{principal}.crt", self.tls / f"{principal}.key")
            self.contexts[principal] = context
        host, port = self.registry.address.split(":")
        connection = http.client.HTTPSConnection(host, int(port), timeout=60, context=self.contexts[principal])
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def request(self, principal, method, path, body=None, headers=None):
        """By the holder of a certificate, or (None) by an administrator on the socket."""
        self.requests += 1
        connection, used = self.connections.get(principal, (None, 0))
        if connection is None or time.monotonic() - used > IDLE:
            if connection is not None:
                connection.close()
            connection = self.connect(principal)
        self.connections[principal] = (connection, time.monotonic())
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def admin(self, method, path, document=None):
        body = None if document is None else json.dumps(document)
        return self.request(None, method, "/api/v1" + path, body, {"Content-Type": "application/json"})
