#!/usr/bin/env python3
"""Clients that mean harm, or that have a very bad network: they cost little, end in bounded time, and nobody else notices (I10).

  run.py [--stele BINARY] [--dir DIR]

Slow heads, slow bodies and slow readers at the same time; 10,000 idle connections; resets at every point of an upload;
thousands of pipelined requests. Ambiguous framing is in tests/protocol/framing.http, and fuzzed.
"""
import fcntl
import hashlib
import os
import random
import resource
import socket
import struct
import sys
import termios
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import Failure, Registry, Stock, digest_of, main  # noqa: E402

KB, MB = 1024, 1024 * 1024
# http/socket_stream.hpp: 30 s for a head, then 16 KiB in every 30 s of waiting, 120 s between requests; here so many times less.
FASTER = 5
PATIENCE = 600          # only ends a wait for an end that will not come
DRIP, SLOW = 2 / FASTER, 2 * KB * FASTER     # seconds between two drips; bytes a second of who is only slow
ATTACKERS = 300         # of each kind
IDLE = 10_000


def resident(registry):
    for line in open(f"/proc/{registry.process.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * KB
    raise Failure("the server is gone")


def descriptors(registry):
    """Of connections, uploads and blobs. Others come when a thread reads the catalog for the first time, and stay."""
    count = 0
    for descriptor in Path(f"/proc/{registry.process.pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue
        count += target.startswith("socket:") or "/uploads/" in target or "/blobs/" in target
    return count


def settles(measure, at_most, seconds=60):
    """The value once it is small enough, or after so many seconds."""
    deadline = time.monotonic() + seconds
    while (value := measure()) > at_most and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Bystander(threading.Thread):
    """An honest client: pushes, pulls, and remembers the longest time that it waited."""

    def __init__(self, registry):
        super().__init__(daemon=True)
        self.registry, self.longest, self.rounds, self.wrong, self.done = registry, 0, 0, [], threading.Event()
        self.pause = threading.Lock()   # who holds it keeps the honest client out

    def run(self):
        while not self.done.wait(0.05):
            with self.pause:
                self.round()

    def round(self):
        before = time.monotonic()
        try:
            content = f"bystander {self.rounds}".encode() * 50
            digest, answer = self.registry.push_blob("hostile/bystander", content)
            back = self.registry.request("GET", f"/v2/hostile/bystander/blobs/{digest}")
            if (answer.status, back.status, back.body) != (201, 200, content):
                self.wrong.append(f"{answer} {back.status}")
        except OSError as broke:
            self.wrong.append(repr(broke))
        self.longest = max(self.longest, time.monotonic() - before)
        self.rounds += 1

    def judge(self, checks, name):
        self.done.set()
        self.join()
        checks(f"{name}: an honest client pushed and pulled all the while", self.rounds > 10 and not self.wrong, self.wrong[:3])
        # Far below the 30 s that a client who is stuck behind the others would wait, far above what a busy machine adds;
        # the measured time is printed.
        checks(f"{name}: and never waited for 3 s", self.longest < 3, f"{self.longest:.2f} s in {self.rounds} rounds")
        return self.longest


# --- slow ------------------------------------------------------------------------------------------------------------------

class Slow:
    """Many connections that each do a little from time to time; which of them the server ended."""

    def __init__(self, registry, name, opening, drip, reads=0, receive_buffer=None):
        self.name, self.drip, self.reads = name, drip, reads
        self.ended = set()
        self.connections = []
        for number in range(ATTACKERS):
            connection = registry.socket(30, receive_buffer=receive_buffer)
            connection.sendall(opening(number))
            connection.setblocking(False)
            self.connections.append(connection)
        self.next = time.monotonic() + DRIP

    def step(self):
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + DRIP
        for connection in self.connections:
            if connection in self.ended:
                continue
            try:
                if self.reads:
                    # A reset is known at once, not only behind what is here already.
                    over = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or connection.recv(self.reads) == b""
                else:
                    connection.send(self.drip)
                    connection.recv(1)
                    over = True     # an answer, or the end: both mean that the server has had enough
            except BlockingIOError:
                over = False
            except OSError:
                over = True
            if over:
                self.ended.add(connection)

    def judge(self, checks):
        checks(f"slow: {ATTACKERS} {self.name} were ended", len(self.ended) == ATTACKERS, f"{len(self.ended)} of {ATTACKERS}")
        for connection in self.connections:
            connection.close()


def slow(checks, directory, options):
    with Registry(options.stele, directory / "slow", config=f"limits: {{connections: 12000}}\ntest: {{ticks_per_second: {FASTER}}}\n") as registry:
        registry.start()
        host = f"Host: {registry.address}\r\n"
        stock = Stock(registry)
        stock.image("hostile/app", "1.0.0", b"config")
        large, _ = registry.push_blob("hostile/app", os.urandom(32 * MB))
        opened = descriptors(registry)
        locations = [registry.request("POST", "/v2/hostile/app/blobs/uploads/").headers["Location"] for _ in range(ATTACKERS)]
        patient = registry.request("POST", "/v2/hostile/app/blobs/uploads/").headers["Location"]
        before = resident(registry)
        kinds = [
            Slow(registry, "heads that come byte by byte", lambda _: b"GET /v2/ HTTP/1.1\r\nX-Slow: ", b"a"),
            Slow(registry, "bodies that come by 100 bytes",
                 lambda number: f"PATCH {locations[number]} HTTP/1.1\r\n{host}Content-Length: {MB}\r\n\r\n".encode(), b"b" * 100),
            Slow(registry, "readers that take 200 bytes at a time",
                 lambda _: f"GET /v2/hostile/app/blobs/{large} HTTP/1.1\r\n{host}\r\n".encode(), b"", reads=200, receive_buffer=4 * KB),
        ]
        # Not hostile, only slow, up and down. They are served for as long as it takes.
        reader = registry.socket(30, receive_buffer=4 * KB)
        reader.sendall(f"GET /v2/hostile/app/blobs/{large} HTTP/1.1\r\n{host}\r\n".encode())
        read = 0
        content = os.urandom(180 * KB)      # of several windows
        honest = registry.socket(30)
        honest.sendall(f"PUT {patient}?digest={digest_of(content)} HTTP/1.1\r\n{host}Content-Length: {len(content)}\r\n\r\n".encode())
        bystander = Bystander(registry)
        bystander.start()
        sent, most = 0, 0
        began = time.monotonic()
        while sent < len(content) or any(len(kind.ended) < ATTACKERS for kind in kinds):
            for kind in kinds:
                kind.step()
            due = min(len(content), int((time.monotonic() - began) * SLOW))
            honest.sendall(content[sent:due])
            sent = due
            while read < int((time.monotonic() - began) * SLOW):
                got = len(reader.recv(KB))
                read += got
                if not got:
                    break
            most = max(most, resident(registry))
            if time.monotonic() - began > PATIENCE:
                break
            time.sleep(0.05)
        for kind in kinds:
            kind.judge(checks)
        answer = honest.recv(4096)
        honest.close()
        checks("slow: an upload that is only slow came to its end", answer.startswith(b"HTTP/1.1 201"), answer[:100])
        checks("slow: a download that is only slow goes on", read >= len(content) and reader.recv(1), read)
        reader.close()
        grown = most - before
        checks("slow: 900 slow clients cost less than 64 MB", grown < 64 * MB, f"{grown / MB:.1f} MB")
        longest = bystander.judge(checks, "slow")
        left = settles(lambda: descriptors(registry), opened)
        checks("slow: no descriptor is left", left <= opened, f"{left}, {opened} before")
        checks("slow: what was pushed before is there", not stock.missing(), stock.missing())
        print(f"      {grown / MB:.1f} MB for 900 slow clients; the honest client waited {longest * 1000:.0f} ms at most", flush=True)


# --- idle ------------------------------------------------------------------------------------------------------------------

def idle(checks, directory, options):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 100:
        raise Failure(f"this process may open {hard} files; {IDLE} connections need more (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # A minute until the first is ended, in which all are opened and looked at.
    with Registry(options.stele, directory / "idle", config="limits: {connections: 10050}\ntest: {ticks_per_second: 2}\n") as registry:
        registry.start()
        opened, before = descriptors(registry), resident(registry)
        bystander = Bystander(registry)
        bystander.start()
        connections = []
        for _ in range(IDLE):
            connection = registry.socket(30)
            connection.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {registry.address}\r\n\r\n".encode())
            connections.append(connection)
        answered = sum(connection.recv(4096).startswith(b"HTTP/1.1 200") for connection in connections)
        checks(f"idle: {IDLE} connections were opened and answered", answered == IDLE, answered)
        grown = resident(registry) - before
        checks("idle: each costs less than 12 KB", grown < IDLE * 12 * KB, f"{grown / IDLE / KB:.1f} KB")
        # They are idle, not dead.
        sample = connections[::len(connections) // 100][:100]
        for connection in sample:
            connection.sendall(f"HEAD /v2/ HTTP/1.1\r\nHost: {registry.address}\r\n\r\n".encode())
        again = sum(connection.recv(4096).startswith(b"HTTP/1.1 200") for connection in sample)
        checks("idle: a hundred of them are used again", again == 100, again)
        # Beyond the limit one is told so: everyone, which is why the honest client waits outside.
        with bystander.pause:
            crowd = [registry.socket(30) for _ in range(60)]
            refused = 0
            for connection in crowd:
                try:
                    connection.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {registry.address}\r\n\r\n".encode())
                    refused += b" 503 " in connection.recv(4096)[:20]
                except OSError:
                    pass
            for connection in crowd:
                connection.close()
            room = settles(lambda: descriptors(registry), opened + IDLE)
        checks("idle: who comes beyond limits.connections is told so", refused > 0, refused)
        checks("idle: and their places are free again when they leave", room <= opened + IDLE, room)
        began, gone = time.monotonic(), set()
        while len(gone) < IDLE and time.monotonic() - began < PATIENCE:
            for connection in connections:
                if connection not in gone and is_closed(connection):
                    gone.add(connection)
            time.sleep(1)
        checks("idle: all were ended", len(gone) == IDLE, len(gone))
        longest = bystander.judge(checks, "idle")
        for connection in connections:
            connection.close()
        left = settles(lambda: descriptors(registry), opened)
        checks("idle: no descriptor is left", left <= opened, f"{left}, {opened} before")
        print(f"      {grown / IDLE / KB:.1f} KB for each of {IDLE} connections; the honest client waited {longest * 1000:.0f} ms at most", flush=True)


def is_closed(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


# --- resets ----------------------------------------------------------------------------------------------------------------

def resets(checks, directory, options):
    """The connection is reset after the first n bytes of each request of an upload, for every n of a head and many of a body."""
    with Registry(options.stele, directory / "resets") as registry:
        registry.start()
        host = f"Host: {registry.address}\r\n"
        body = os.urandom(20_000)
        half = len(body) // 2
        digest = digest_of(body)
        opened = descriptors(registry)
        cut, wrong, odd, whole = 0, [], [], 0

        def offset(location):
            answer = registry.request("GET", location)
            if answer.status != 204:
                return None if answer.status == 404 else -1
            last = int(answer.headers["Range"].split("-")[1])
            return last + 1 if last > 0 else 0

        def points(head, length):
            inside = {0, 1, 2, length // 2, length - 1, length} if length else {0}
            return [*range(1, len(head), 3), *(len(head) + at for at in sorted(inside) if at <= length)]

        for kind in ("POST", "POST ?digest=", "PATCH", "second PATCH", "chunked PATCH", "PUT with a body", "PUT", "DELETE"):
            probe = request_of(kind, "/v2/hostile/r/blobs/uploads/" + "0" * 36, host, body, half, digest)
            for point in points(*probe[:2]):
                repository = f"hostile/r{cut}"
                location = ""
                acknowledged = 0
                if not kind.startswith("POST"):
                    location = registry.request("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
                    if kind in ("second PATCH", "PUT with a body"):
                        acknowledged = half
                    elif kind == "PUT":
                        acknowledged = len(body)
                    if acknowledged and registry.request("PATCH", location, body[:acknowledged]).status != 202:
                        odd.append(f"{kind}: PATCH was refused")
                head, length, content = request_of(kind, location or f"/v2/{repository}/blobs/uploads/", host, body, half, digest)
                connection = registry.socket(10)
                connection.sendall((head.encode() + content)[:point])
                if point % 2:
                    time.sleep(0.002)   # sometimes the server has begun, sometimes the reset is there first
                reset(connection)
                cut += 1
                complete = point >= len(head) + length
                blob = registry.request("GET", f"/v2/{repository}/blobs/{digest}")
                if blob.status == 200 and blob.body != body or blob.status not in (200, 404):
                    wrong.append(f"{kind} cut after {point} bytes: {blob.status}, {len(blob.body)} bytes")
                whole += blob.status == 200
                if blob.status == 200 and not complete:
                    wrong.append(f"{kind} cut after {point} of {len(head) + length} bytes is a blob")
                if not location or blob.status == 200 or (complete and kind in ("PUT", "PUT with a body", "DELETE")):
                    continue
                deadline = time.monotonic() + 60
                at = offset(location)
                while at == -1 and time.monotonic() < deadline:
                    time.sleep(0.02)
                    at = offset(location)
                if at is None or not acknowledged <= at <= len(body):
                    odd.append(f"{kind} cut after {point}: the upload has {at} bytes, acknowledged were {acknowledged}")
                    continue
                # A request that is still being given up holds the session for a moment.
                while (done := registry.request("PUT", f"{location}?digest={digest}", body[at:],
                                                {"Content-Range": f"{at}-{len(body) - 1}"} if at < len(body) else {})).status != 201:
                    at = offset(location)
                    if at == 0 and done.status == 416:
                        at = 1  # "Range: 0-0" says either
                    if at is None or time.monotonic() > deadline:
                        odd.append(f"{kind} cut after {point}: it cannot be finished: {done}")
                        break
                    time.sleep(0.02)
        checks(f"resets: {cut} uploads cut by a reset: none became a blob that is wrong or that was not sent", not wrong, wrong[:5])
        checks("resets: what was acknowledged stayed, and every session could be finished", not odd, odd[:5])
        checks("resets: requests that were complete did become blobs", whole > 0, whole)
        left = settles(lambda: descriptors(registry), opened)
        checks("resets: no descriptor is left", left <= opened, f"{left}, {opened} before")
        checks("resets: it stops in good order", registry.stop() == 0)


def request_of(kind, location, host, body, half, digest):
    """Head, length of the content on the wire, and the content."""
    if kind == "POST":
        return f"POST {location} HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n", 0, b""
    if kind == "POST ?digest=":
        return f"POST {location}?digest={digest} HTTP/1.1\r\n{host}Content-Length: {len(body)}\r\n\r\n", len(body), body
    if kind == "DELETE":
        return f"DELETE {location} HTTP/1.1\r\n{host}\r\n", 0, b""
    if kind == "chunked PATCH":
        content = f"{half:x}\r\n".encode() + body[:half] + b"\r\n0\r\n\r\n"
        return f"PATCH {location} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n", len(content), content
    content = {"PATCH": body[:half], "second PATCH": body[half:], "PUT with a body": body[half:], "PUT": b""}[kind]
    target = f"{location}?digest={digest}" if kind.startswith("PUT") else location
    return f"{kind.split()[-1] if kind == 'second PATCH' else kind.split()[0]} {target} HTTP/1.1\r\n{host}Content-Length: {len(content)}\r\n\r\n", len(content), content


# --- pipelining ------------------------------------------------------------------------------------------------------------

def pipelining(checks, directory, options):
    """Thousands of requests sent before the first answer is read."""
    with Registry(options.stele, directory / "pipeline") as registry:
        registry.start()
        blobs = []
        for number in range(5):
            content = f"{number}".encode() * (1 + number * 5000)
            blobs.append((registry.push_blob("hostile/pipe", content)[0], content))
        picker = random.Random(1)
        wanted = [picker.choice(blobs) for _ in range(5000)]
        before = resident(registry)
        connection = registry.socket(60)
        requests = b"".join(f"GET /v2/hostile/pipe/blobs/{digest} HTTP/1.1\r\nHost: {registry.address}\r\n\r\n".encode() for digest, _ in wanted)
        sender = threading.Thread(target=lambda: connection.sendall(requests))
        sender.start()
        # Nothing is read until no more comes: the server has to wait, not to gather answers.
        waiting = lambda: int.from_bytes(fcntl.ioctl(connection, termios.FIONREAD, bytes(4)), sys.byteorder)  # noqa: E731
        seen = -1
        while (now := waiting()) != seen or now == 0:
            seen = now
            time.sleep(0.2)
        grown = resident(registry) - before
        received, right = connection.makefile("rb"), 0
        for digest, content in wanted:
            length = None
            while (line := received.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            answer = received.read(length or 0)
            right += answer == content and hashlib.sha256(answer).hexdigest() == digest[7:]
        sender.join()
        connection.close()
        checks("pipelining: 5,000 answers came, each to its request", right == len(wanted), right)
        checks("pipelining: unread answers are not gathered in memory", grown < 8 * MB, f"{grown / MB:.1f} MB")
        # A head that cannot be read ends it: what follows is not looked at.
        connection = registry.socket(10)
        connection.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {registry.address}\r\n\r\nGET /v2/ HTTP/9.9\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
        checks("pipelining: nothing is answered behind a broken request", answer.count(b"HTTP/1.1 ") == 2, answer.count(b"HTTP/1.1 "))


def tests(checks, directory, options):
    # The first two wait for the server's patience to end: at the same time.
    waiting = [threading.Thread(target=checks.run, args=(test, directory, options)) for test in (slow, idle)]
    for thread in waiting:
        thread.start()
    checks.run(resets, directory, options)
    checks.run(pipelining, directory, options)
    for thread in waiting:
        thread.join()


if __name__ == "__main__":
    main("hostile clients", tests)
