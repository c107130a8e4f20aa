"""Starts a registry for a test on a loopback port of its own with a data directory of its own, plain or over TLS."""
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/support"))
from ports import held_port  # noqa: E402

STELE = ROOT / "build/release/stele"
TOOLS = ROOT / ".cache/tools"


class Failure(Exception):
    """A test that did not get what it should; the message is what is shown."""


class NotTried(Exception):
    """A check for which something of others could not be had: said aloud, and counted neither as passed nor as failed."""


def make_certificates(directory):
    """A CA of our own and a server certificate for 127.0.0.1 signed by it: ca.crt, server.crt, server.key."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt",
            "-subj", "/CN=stele test CA", "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr",
            "-subj", "/CN=127.0.0.1")
    extensions = directory / "server.ext"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:stele.test\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "server.ext", "-out", "server.crt")


class Server:
    """with Server(...) as server: server.address, .url, .ca (None when plain). Stopped gracefully at the end.

    config is the text of a Stele configuration file. kind "docker-registry" starts Debian's Distribution in Stele's
    place, to tell a fault of a test from a fault of the server, or as a mirror's upstream; so does "zot".
    """

    def __init__(self, directory, tls=False, config="", kind="stele"):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.address = f"127.0.0.1:{held_port()}"
        self.url = f"{'https' if tls else 'http'}://{self.address}"
        self.log = self.directory / "server.log"
        self.ca = None
        self.cert = self.key = None
        if tls:
            make_certificates(self.directory)
            self.ca, self.cert, self.key = (self.directory / name for name in ("ca.crt", "server.crt", "server.key"))
        self.command = self._stele(config) if kind == "stele" else self._zot() if kind == "zot" else self._distribution()

    def _stele(self, config):
        if not STELE.exists():
            raise Failure(f"{STELE} is not there; run 'make build'")
        file = self.directory / "stele.yaml"
        if self.ca:
            config += f"\ntls:\n  cert: {self.cert}\n  key: {self.key}\n"
        file.write_text(config or "# everything by default\n")
        return [STELE, "serve", "--config", file, "--listen", self.address, "--data", self.directory / "data"]

    def _distribution(self):
        file = self.directory / "distribution.yml"
        tls = f", tls: {{certificate: {self.cert}, key: {self.key}}}" if self.ca else ""
        file.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {self.directory}/data}}, "
                        f"delete: {{enabled: true}}}}\nhttp: {{addr: '{self.address}'{tls}}}\n")
        return ["docker-registry", "serve", file]

    def _zot(self):
        file = self.directory / "zot.json"
        host, port = self.address.split(":")
        tls = {"tls": {"cert": str(self.cert), "key": str(self.key)}} if self.ca else {}
        file.write_text(json.dumps({"distSpecVersion": "1.1.1", "storage": {"rootDirectory": f"{self.directory}/data"},
                                    "http": {"address": host, "port": port, **tls}}))
        return [TOOLS / "zot", "serve", file]

    def __enter__(self):
        # Variables of the caller's shell must not configure the server under test.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("STELE_", "REGISTRY_"))}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.directory, env=environment)
        deadline = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                raise Failure(f"the server did not start: {' '.join(map(str, self.command))}\n{self.tail()}")
            time.sleep(0.05)
        return self

    def connection(self):
        host, port = self.address.split(":")
        if self.ca:
            context = ssl.create_default_context(cafile=self.ca)
            return http.client.HTTPSConnection(host, int(port), timeout=120, context=context)
        return http.client.HTTPConnection(host, int(port), timeout=120)

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own; returns status, headers and body."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def _answers(self):
        try:
            return self.request("GET", "/v2/")[0] in (200, 401)
        except OSError:
            return False

    def new_policy(self, text):
        """Writes another policy; returns when it is in force."""
        before = self.log.read_text().count(" is in force: ")
        (self.directory / "policy.yaml").write_text(text)
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while self.log.read_text().count(" is in force: ") == before:
            if time.monotonic() > deadline:
                raise Failure(f"the policy did not come into force\n{self.tail()}")
            time.sleep(0.05)

    def tail(self, lines=20):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __exit__(self, kind, *_):
        died = self.process.poll()
        if died is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                if kind is None:
                    raise Failure(f"the server did not stop within 60 s of SIGTERM\n{self.tail()}") from None
        elif kind is None:
            raise Failure(f"the server died during the test with status {died}\n{self.tail()}")


def scratch(prefix):
    """A temporary directory that is removed at the end; sockets need its path to be short."""
    return tempfile.TemporaryDirectory(prefix=prefix, dir="/tmp", ignore_cleanup_errors=True)
