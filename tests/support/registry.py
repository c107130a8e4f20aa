"""A Stele that a test starts, kills, breaks and starts again on the same data directory; and the count of its checks."""
import argparse
import atexit
import ctypes
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STELE = ROOT / "build/release/stele"
WORK = ROOT / "build/durability"   # a real disk: /tmp may be memory
SHIM_SOURCE = ROOT / "tests/durability/faults.c"
SERVES = re.compile(r"serves https?://(\S+:\d+),")
QUIET = "log: {access: off}\n"


LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, CLONE_NEWNS = 1, 0x20000


class Failure(Exception):
    """The test cannot go on; the message says why."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def message(self):
        """Of the first error of an OCI error body; empty when it is none."""
        try:
            return json.loads(self.body)["errors"][0]["message"]
        except (ValueError, LookupError, TypeError):
            return ""

    def __str__(self):
        return f"{self.status} {self.message or self.body[:200]}"


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def own_copy(binary, directory):
    """A copy of the binary, since somebody may build meanwhile."""
    binary = Path(binary)
    if not binary.exists():
        raise Failure(f"{binary} is not there; run 'make build' or name another with --stele")
    copy = Path(directory) / "stele"
    shutil.copy2(binary, copy)
    return copy


class Registry:
    """start() … kill() or stop(), as often as wanted. `wrapper` is a command in front of the server that keeps its
    process id (strace -D), `preload` the shim of faults.c."""

    def __init__(self, binary, directory, data=None, config="", wrapper=(), preload=None, tls=None):
        self.binary, self.directory, self.wrapper = binary, Path(directory), list(wrapper)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data = Path(data) if data else self.directory / "data"
        self.log = self.directory / "server.log"
        self.control = self.directory / "faults"
        self.preload, self.tls = preload, tls
        self.process = self.address = None
        if tls:
            config += f"tls: {{cert: {tls / 'server.crt'}, key: {tls / 'server.key'}}}\n"
        (self.directory / "stele.yaml").write_text(QUIET + config)

    def launch(self):
        """Starts the process without waiting for it to serve."""
        # Variables of the caller's shell must not configure the server under test.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STELE_")}
        if self.preload:
            environment |= {"LD_PRELOAD": str(self.preload), "FAULTS": str(self.control)}
        self.control.unlink(missing_ok=True)
        command = [*self.wrapper, self.binary, "serve", "--config", self.directory / "stele.yaml", "--listen", "127.0.0.1:0",
                   "--data", self.data]
        self.address = None
        with open(self.log, "ab") as log:
            self.log_from = log.tell()
            # It dies with the test, whatever ends the test.
            self.process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, cwd=self.directory, env=environment,
                                            preexec_fn=die_with_parent)

    def start(self, wait=120):
        self.launch()
        deadline = time.monotonic() + wait
        while not self._serves():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise Failure(f"the server did not start (status {self.process.returncode}):\n{self.said()}")
            time.sleep(0.005)
        return self

    def refusal(self, wait=60):
        """Starts a server that has to refuse; its status and what it said."""
        self.launch()
        try:
            status = self.process.wait(wait)
        except subprocess.TimeoutExpired:
            self.kill()
            return None, self.said()
        return status, self.said()

    def _serves(self):
        found = SERVES.search(self.said())
        if not found:
            return False
        self.address = found.group(1)
        return True

    def said(self):
        """What the process said since it was started."""
        with open(self.log, "rb") as log:
            log.seek(self.log_from)
            return log.read().decode(errors="replace")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def stop(self, wait=60):
        """In good order; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(wait)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"the server did not stop within {wait} s of SIGTERM:\n{self.said()}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def connection(self, timeout=120):
        address = self.address
        if address is None:
            raise ConnectionRefusedError("the server is being started")
        host, port = address.split(":")
        if self.tls:
            context = ssl.create_default_context(cafile=self.tls / "ca.crt")
            return http.client.HTTPSConnection(host, int(port), timeout=timeout, context=context)
        return http.client.HTTPConnection(host, int(port), timeout=timeout)

    def socket(self, timeout=30, receive_buffer=None):
        """A connected socket, for what http.client cannot do: half a request, slow reading."""
        host, port = self.address.split(":")
        connected = socket.socket()
        if receive_buffer:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connected.settimeout(timeout)
        connected.connect((host, int(port)))
        if self.tls:
            connected = ssl.create_default_context(cafile=self.tls / "ca.crt").wrap_socket(connected, server_hostname=host)
        return connected

    def request(self, method, path, body=None, headers=None, timeout=120):
        connection = self.connection(timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def ready(self):
        """Status and the checks of /readyz."""
        answer = self.request("GET", "/readyz")
        return answer.status, json.loads(answer.body)["checks"]

    def command(self, *arguments, timeout=120, given=None):
        """`given`: its standard input."""
        return subprocess.run([str(self.binary), *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                              cwd=self.directory, input=given)

    # --- pushes that remember themselves ---

    def push_blob(self, repository, content):
        """Monolithic; digest and the answer."""
        digest = digest_of(content)
        return digest, self.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", content,
                                    {"Content-Type": "application/octet-stream"})

    def push_manifest(self, repository, reference, manifest):
        return self.request("PUT", f"/v2/{repository}/manifests/{reference}", manifest, {"Content-Type": IMAGE})

    def uploads(self):
        return sorted(path.name for path in (self.data / "uploads").iterdir())


IMAGE = "application/vnd.oci.image.manifest.v1+json"


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def image(config, layers=(), label=""):
    """The bytes of an image manifest; config and layers are (digest, size)."""
    def descriptor(kind, blob):
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": blob[0], "size": blob[1]}
    return json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": descriptor("config.v1+json", config),
                       "layers": [descriptor("layer.v1.tar", layer) for layer in layers],
                       "annotations": {"label": label}}).encode()


class Stock:
    """Everything that was acknowledged in a test, so that all of it can be read back."""

    def __init__(self, registry):
        self.registry, self.blobs, self.tags = registry, {}, {}

    def blob(self, repository, content):
        digest, answer = self.registry.push_blob(repository, content)
        if answer.status == 201:
            self.blobs[repository, digest] = len(content)
        return digest, answer

    def image(self, repository, tag, content):
        """A config, and a manifest under a tag; the first answer that is not 201, or the last."""
        digest, answer = self.blob(repository, content)
        if answer.status != 201:
            return answer
        manifest = image((digest, len(content)), label=tag)
        answer = self.registry.push_manifest(repository, tag, manifest)
        if answer.status == 201:
            self.tags[repository, tag] = manifest
        return answer

    def missing(self, registry=None):
        """What cannot be read back bit for bit, as text; empty when all is well."""
        registry, wrong = registry or self.registry, []
        for (repository, digest), size in self.blobs.items():
            answer = registry.request("GET", f"/v2/{repository}/blobs/{digest}")
            if answer.status != 200 or len(answer.body) != size or digest_of(answer.body) != digest:
                wrong.append(f"blob {repository}@{digest[:19]}: {answer.status}, {len(answer.body)} of {size} bytes")
        for (repository, tag), manifest in self.tags.items():
            answer = registry.request("GET", f"/v2/{repository}/manifests/{tag}")
            if answer.status != 200 or answer.body != manifest:
                wrong.append(f"tag {repository}:{tag}: {answer}")
        return "; ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")


class Checks:
    """Prints each check and counts; the last line is what CI adds up. Thread-safe."""

    def __init__(self, name):
        self.name, self.passed, self.failed = name, 0, 0
        self.lock = threading.Lock()

    def __call__(self, what, holds, detail=""):
        shown = f"\n      {str(detail)[:2000]}" if detail != "" and not holds else ""
        with self.lock:
            self.passed += bool(holds)
            self.failed += not holds
            print(f"{'pass' if holds else 'FAIL'}  {what}{shown}", flush=True)
        return bool(holds)

    def run(self, test, *arguments):
        """A part of the test that must not take the others down with it."""
        try:
            test(self, *arguments)
        except (Failure, OSError, http.client.HTTPException, subprocess.SubprocessError, LookupError, ValueError) as broke:
            self(f"{test.__name__} ran to its end", False, f"{type(broke).__name__}: {broke}")

    def finish(self):
        print(f"{self.name}: {self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def workplace(name, directory=None):
    """A fresh directory on a real disk that goes away at the end. Its path is short: a Unix socket must fit below it."""
    base = Path(directory) if directory else WORK
    base.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=f"{name}-", dir=base, ignore_cleanup_errors=True)


def need(program, package):
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise Failure(f"{program} is needed and not installed: apt-get install {package}")
    return found


def own_mounts(directory):
    """From here on what this process mounts below the directory is seen by it and its children alone, and goes when they go."""
    if LIBC.unshare(CLONE_NEWNS) != 0:
        raise Failure(f"no mounts of our own: {os.strerror(ctypes.get_errno())}; this test needs root")
    if os.path.ismount("/") and subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True).returncode == 0:
        return
    # In a chroot / is no mount, though it looks like one: the directory becomes one.
    subprocess.run(["mount", "--bind", directory, directory], check=True)
    atexit.register(subprocess.run, ["umount", "-l", str(directory)], capture_output=True)
    subprocess.run(["mount", "--make-rprivate", directory], check=True)


def build_shim(directory):
    """faults.c as a library for LD_PRELOAD."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang-19") or need("cc", "gcc")
    library = Path(directory) / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SHIM_SOURCE, "-ldl"], check=True)
    return library


def make_certificates(directory):
    """A CA of our own and a server certificate for 127.0.0.1 signed by it: ca.crt, server.crt, server.key."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt",
            "-subj", "/CN=stele test CA", "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    (directory / "server.ext").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "server.ext", "-out", "server.crt")
    return directory


def main(name, tests, add_options=None):
    """The command line that these tests share: runs `tests(checks, directory, options)`."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stele", type=Path, default=STELE, metavar="BINARY")
    parser.add_argument("--dir", type=Path, default=None, metavar="DIR", help=f"where the data goes; a real disk (default {WORK})")
    if add_options:
        add_options(parser)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))   # a time-out must not leave gigabytes behind
    checks = Checks(name)
    with workplace(name.split()[-1], options.dir) as directory:
        try:
            options.stele = own_copy(options.stele, directory)
            tests(checks, Path(directory), options)
        except Failure as failure:
            checks("the test could run", False, failure)
    sys.exit(checks.finish())
