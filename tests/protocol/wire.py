"""The server under test, and connections that send exactly what they are told and read exactly one answer."""
import ctypes
import functools
import hashlib
import json
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))
from ports import held_port  # noqa: E402

TIMEOUT = 60                # for anything awaited: it only ends a wait for what will not come
START_TIMEOUT = 60
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
SERVES = re.compile(r"serves https?://(\S+):(\d+),")
# distribution-spec, "Error Codes", and the two that wire.md allows for 5xx.
SPEC_CODES = {"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN",
              "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED",
              "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS"}
SERVER_CODES = {"UNKNOWN", "UNAVAILABLE"}
SANITIZER = re.compile(r"ERROR: AddressSanitizer|runtime error:|WARNING: ThreadSanitizer|LeakSanitizer|terminate called|exception: ")


class Failure(Exception):
    """What was expected did not come; `where` is the line that expected it."""

    def __init__(self, message, answer=None):
        super().__init__(f"{message}; the answer was {answer}" if answer is not None else message)
        self.where = None


@functools.lru_cache(maxsize=64)
def generated(size, seed):
    """`size` bytes that depend on `seed` alone and do not repeat."""
    return hashlib.shake_128(seed.encode()).digest(size)


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Answer:
    def __init__(self, status, fields, body, method):
        self.status, self.fields, self.body, self.method = status, fields, body, method
        self.reason = None      # the phrase of the status line

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    def closes(self):
        return "close" in (self.get("Connection") or "").lower()

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json()["errors"][0]["code"]

    @property
    def message(self):
        return self.json()["errors"][0]["message"]

    def __str__(self):
        return f"{self.status} {dict(self.fields)} {self.body[:300]!r}"

    def check_always(self, request_line="", external=""):
        """What holds for every answer, whatever was asked."""
        if self.status == 100:
            return
        path = (request_line or "").split(" ")[1] if request_line else "/v2/"
        if path.startswith("/v2") and self.get("Docker-Distribution-API-Version") != "registry/2.0":
            raise Failure("Docker-Distribution-API-Version is missing", self)
        if len(self.all("X-Request-Id")) != 1 or len(self.all("Date")) != 1:
            raise Failure("an answer without X-Request-Id or Date", self)
        if len(self.all("Content-Length")) > 1 or (self.status in (204, 304) and self.all("Content-Length")):
            raise Failure("Content-Length once, and not in 204 and 304", self)
        if self.status in (429, 503) and not self.get("Retry-After") and "readyz" not in path:
            raise Failure("429 and 503 say when to try again", self)
        location = self.get("Location")
        if location and not location.startswith(f"{external}/v2/"):
            raise Failure(f"Location begins with {external}/v2/", self)
        if self.status < 400 or path == "/readyz":
            return
        if self.get("Content-Type") != "application/json":
            raise Failure("an error that is not application/json", self)
        if self.method == "HEAD":
            return
        try:
            body = json.loads(self.body)
        except ValueError:
            raise Failure("an error body that is not JSON", self) from None
        if list(body) != ["errors"] or len(body["errors"]) != 1:
            raise Failure("not exactly one error", self)
        error = body["errors"][0]
        if not {"code", "message"} <= set(error) <= {"code", "message", "detail"} or not error["message"]:
            raise Failure("an error has code, message and perhaps detail", self)
        if error["code"] not in (SPEC_CODES | SERVER_CODES if self.status >= 500 else SPEC_CODES):
            raise Failure(f"{error['code']} is not a code of the specification", self)


class Connection:
    """One socket. Nothing is added to what is sent."""

    def __init__(self, server, tls=None, address=None):
        """`address`: (host, port), or the path of a Unix socket; without, the server's own."""
        if isinstance(address, (str, Path)):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(TIMEOUT)
            self.socket.connect(str(address))
        else:
            self.socket = socket.create_connection(address or (server.host, server.port), timeout=TIMEOUT)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = b""
        self.failed = None

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as problem:
            self.failed = problem       # the answer may be there all the same

    def fill(self):
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
            self.failed = self.failed or ConnectionResetError("reset while reading")
        except TimeoutError:
            raise Failure(f"nothing came for {TIMEOUT} s; so far {self.buffer[:200]!r}") from None
        self.buffer += data
        return len(data) > 0

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            if not self.fill():
                raise Failure(f"the connection ended before an answer ({self.failed or 'closed'}); so far {self.buffer[:200]!r}")
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = re.fullmatch(r"HTTP/1\.1 (\d{3}) ([\x20-\x7e]+)", lines[0])
        if not status:
            raise Failure(f"not a status line: {lines[0]!r}")
        fields = []
        for line in lines[1:]:
            name, separator, value = line.partition(": ")
            if not separator or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                raise Failure(f"not a header line: {line!r}")
            fields.append((name, value))
        self.reason = status[2]
        return int(status[1]), fields

    def read_answer(self, method, pipelined=None):
        method = pipelined or method
        status, fields = self.read_head()
        answer = Answer(status, fields, b"", method)
        answer.reason = self.reason
        if method == "HEAD" or status < 200 or status in (204, 304):
            return answer
        length = int(answer.get("Content-Length") or 0)
        parts, have = [self.buffer], len(self.buffer)
        while have < length:
            self.buffer = b""
            if not self.fill():
                raise Failure(f"the body ended after {have} of {length} bytes", answer)
            parts.append(self.buffer)
            have += len(self.buffer)
        everything = b"".join(parts)
        answer.body, self.buffer = everything[:length], everything[length:]
        return answer

    def at_end(self):
        """Has the server nothing more to say, and has it said so?"""
        return not self.buffer and not self.fill()

    def close(self):
        self.socket.close()


class Server:
    """`stele serve` on a port of its own of 127.0.0.1, in a directory of its own. start() … stop() or kill(), as often as wanted."""

    def __init__(self, stele, config="", data=None, arguments=(), log="text"):
        self.stele = Path(stele)
        self.directory = Path(tempfile.mkdtemp(prefix="stele-protocol-"))
        self.data = Path(data) if data else self.directory / "data"
        self.config = self.directory / "stele.yaml"
        self.config.write_text(config)
        self.arguments = list(arguments)
        self.log_path = self.directory / "log"
        self.process = None
        self.host, self.port = "127.0.0.1", None
        self.listen = "127.0.0.1"
        self.exit_code = None
        self.complained = 0

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def external_url(self):
        """As configured; empty: where clients are sent on to is relative."""
        found = re.search(r"^external_url: *(\S+)", self.config.read_text(), re.MULTILINE)
        return found[1].rstrip("/") if found else ""

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def logged(self):
        """log_text() with the lines of all requests that were answered before: they leave by a thread of the server's. For what must not be
        in it; what must be is waited for (eventually)."""
        mark = f"mark-{secrets.token_hex(8)}"
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(TIMEOUT)
            asking.connect(str(self.data / "stele.sock"))
            asking.sendall(f"GET /v2/?{mark} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            while asking.recv(4096):
                pass
        return eventually(lambda: mark in (text := self.log_text()) and text, "the line of a request in the log")

    def log_tail(self):
        return self.log_text()[-1500:]

    def launch(self):
        self.port = self.port or held_port(self.listen)     # the same after a restart
        with open(self.log_path, "ab") as log:
            self.log_from = log.tell()
            self.process = subprocess.Popen(
                [self.stele, "serve", "--config", self.config, "--listen", f"{self.listen}:{self.port}", "--data", self.data, *self.arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, preexec_fn=die_with_parent)

    def said(self):
        """What it wrote since it was last started."""
        with open(self.log_path, "rb") as log:
            log.seek(self.log_from)
            return log.read().decode(errors="replace")

    def start(self):
        self.launch()
        serves = self.wait_log(SERVES.pattern, START_TIMEOUT)
        if int(serves[2]) != self.port:
            raise Failure(f"it serves {serves[1]}:{serves[2]} and not port {self.port}")
        return self

    def refuses(self):
        """Starts, expecting that it ends by itself; what it said."""
        self.launch()
        try:
            status = self.process.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"it runs although it should refuse: {self.said()}") from None
        if status <= 0:
            raise Failure(f"it ended with {status}: {self.said()}")
        return self.said()

    def wait_log(self, pattern, timeout=TIMEOUT):
        until = time.monotonic() + timeout
        while True:
            alive = self.alive()
            match = re.search(pattern, self.said())
            if match:
                return match
            if not alive or time.monotonic() > until:
                raise Failure(f"{pattern!r} did not come: {self.log_tail()}")
            time.sleep(0.01)

    def wait_log_json(self, wanted, is_subset):
        """All that it says but the lines for the person who started it is one JSON object per line."""
        until = time.monotonic() + TIMEOUT
        while True:
            lines = self.said().split("\n")[:-1]
            objects = []
            for line in lines:
                if line.startswith(("stele ", "rights: ", "try: ")):
                    continue
                try:
                    objects.append(json.loads(line))
                except ValueError:
                    raise Failure(f"not a line of JSON: {line}") from None
            if any(is_subset(wanted, entry) for entry in objects):
                return
            if time.monotonic() > until:
                raise Failure(f"no line of the log contains {json.dumps(wanted)}: {self.log_tail()}")
            time.sleep(0.01)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=TIMEOUT + 10):
        try:
            self.exit_code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"it does not end: {self.log_tail()}") from None
        return self.exit_code

    def stop(self):
        if self.alive():
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.kill()
        complaint = self.complaint()
        self.remove()
        if complaint and kind is None:
            raise Failure(complaint)

    def complaint(self):
        """What a sanitizer, or an exception that nobody caught, has said since the last look."""
        text = self.log_text()
        found = SANITIZER.search(text, self.complained)
        self.complained = len(text)
        return f"the server complained: {text[max(0, found.start() - 200):found.start() + 3000]}" if found else None

    def sql(self, statement):
        catalog = sqlite3.connect(self.data / "stele.db")
        with catalog:
            changed = catalog.execute(statement).rowcount
        catalog.close()
        if changed == 0:
            raise Failure(f"no row was changed by {statement}")

    def blob_path(self, digest):
        algorithm, name = digest.split(":")
        return self.data / "blobs" / algorithm / name[:2] / name

    def damage(self, how, digest):
        path = self.blob_path(digest)
        content = path.read_bytes()
        path.chmod(0o600)
        if how == "remove":
            path.unlink()
        elif how == "cut":
            path.write_bytes(content[:-1])
        elif how == "grow":
            path.write_bytes(content + b"x")
        else:
            raise Failure(f"no such damage: {how}")

    def count_files(self, directory, wanted):
        found = [str(path) for path in (self.data / directory).rglob("*") if path.is_file()]
        if len(found) != wanted:
            raise Failure(f"{len(found)} files below {directory}, not {wanted}: {found[:10]}")


def exchange(connection, server, method, target, headers, body):
    lines = [f"{method} {target} HTTP/1.1", *headers]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.insert(1, "Host: localhost")
    if target.startswith("/api/v1/") and not any(line.lower().startswith("content-type:") for line in headers):
        lines.append("Content-Type: application/json")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    connection.send(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))
    answer = connection.read_answer(method)
    answer.check_always(f"{method} {target}", server.external_url())
    return answer


def request(server, method, target, headers=(), body=None, tls=None, address=None):
    """One exchange on a connection of its own."""
    connection = Connection(server, tls, address)
    try:
        return exchange(connection, server, method, target, ["Connection: close", *headers], body)
    finally:
        connection.close()


class Caller:
    """Exchanges one after the other on one connection; another is opened when the server has closed it."""

    def __init__(self, server, tls=None):
        self.server, self.tls, self.connection = server, tls, None

    def request(self, method, target, headers=(), body=None):
        self.connection = self.connection or Connection(self.server, self.tls)
        answer = exchange(self.connection, self.server, method, target, headers, body)
        if answer.closes():
            self.close()
        return answer

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


def push_blob(server, repository, content, tls=None):
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    answer = request(server, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", body=content, tls=tls)
    if answer.status != 201:
        raise Failure("a blob could not be pushed", answer)
    return digest


def eventually(condition, what, timeout=TIMEOUT):
    until = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise Failure(f"{what} did not happen")
        time.sleep(0.01)


def in_threads(count, work):
    """Runs work(number) in `count` threads that begin together; their results."""
    barrier = threading.Barrier(count)
    results, problems = [None] * count, []

    def body(number):
        try:
            barrier.wait()
            results[number] = work(number)
        except BaseException as problem:    # told below, in the test's own thread
            problems.append(problem)
    threads = [threading.Thread(target=body, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return results
