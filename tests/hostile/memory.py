#!/usr/bin/env python3
"""Many connections that take or give a little and then stand still cost a bounded amount of memory (I10), whatever they ask for:
large manifests, pages of tags, pages of referrers, bodies of manifests, blobs, pushes of blobs with and without an announced length,
large heads; and upload sessions without bytes or with few. Plain and over TLS.

  memory.py STELE [--connections N]

Every wait ends on an event: a connection counts when it has its first byte, or its refusal (503). What the server ever held
(VmHWM) is compared with what it held before.
"""
import argparse
import json
import resource
import selectors
import socket
import ssl
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "protocol"))
from common import IMAGE, Authority, head, manifest, most_resident, sha256, taken   # noqa: E402
from wire import Connection, Failure, Server, push_blob, request   # noqa: E402

MB = 1024 * 1024
MOST_GROWN = 64 * MB
# Beside what all share, each connection has its own state: the coroutines of its request, an upload's session, and OpenSSL's.
PER_CONNECTION, PER_TLS = 12 * 1024, 36 * 1024
PATIENCE = 300          # for the whole crowd to be served or refused, on a machine that does other things too
SESSIONS = 20_000
BEGUN, FEW = 2_000, 60_000      # sessions with some bytes, and how many
LARGE = 3_000_000
BLOB = 64 * MB
PUSHED = 200_000        # of a blob, before nothing comes any more
WRITERS = ("bodies", "pushes", "small pushes", "chunks", "heads")


def stock(server, context):
    """What there is to ask for; the requests that ask for it."""
    config = push_blob(server, "app", b"{}", context)
    large = manifest(config, "n" * LARGE)

    def put(reference, content):
        answer = request(server, "PUT", f"/v2/app/manifests/{reference}", [f"Content-Type: {IMAGE}"], content, tls=context)
        if answer.status != 201:
            raise Failure(f"{reference} was not pushed", answer)
    put("big", large)
    put("small", manifest(config))
    for first in range(0, 2000, 100):
        tags = [f"{first + i:04}-{'t' * 120}" for i in range(100)]
        answer = request(server, "POST", "/api/v1/repositories/app/promote", body=json.dumps({"reference": "small", "to": "app", "tags": tags}).encode(),
                         address=server.data / "stele.sock")
        if answer.status != 201:
            raise Failure("no tags", answer)
    subject = {"mediaType": IMAGE, "digest": sha256(large), "size": len(large)}
    for number in range(60):
        content = manifest(config, "", subject=subject, annotations={"number": str(number), "filler": "r" * 50_000})
        put(sha256(content), content)
    blob = push_blob(server, "app", b"b" * BLOB, context)
    push = f"/v2/app/blobs/uploads/?digest={blob}"
    return {
        "manifests": head("GET", "/v2/app/manifests/big"),
        "tags": head("GET", "/v2/app/tags/list"),
        "referrers": head("GET", f"/v2/app/referrers/{sha256(large)}"),
        "bodies": head("PUT", "/v2/app/manifests/x", f"Content-Type: {IMAGE}", f"Content-Length: {LARGE}") + b"{" * 200_000,
        "blobs": head("GET", f"/v2/app/blobs/{blob}"),
        "pushes": head("POST", push, f"Content-Length: {BLOB}") + b"p" * PUSHED,
        "small pushes": head("POST", push, f"Content-Length: {FEW}") + b"s" * (FEW - 1),
        "chunks": head("POST", push, "Transfer-Encoding: chunked") + b"%x\r\n" % BLOB + b"c" * PUSHED,
        "heads": head("GET", "/v2/", "X-Filler: " + "h" * 30_000)[:-2],
    }


class Crowd:
    """Connections in turn of each kind. A reader stands still after its first byte, a writer when nothing more is taken."""

    def __init__(self, server, context, requests, count):
        self.selector = selectors.DefaultSelector()
        self.all = []
        kinds = list(requests)
        self.outcome = {kind: {"served": 0, "refused": 0} for kind in kinds}
        self.waiting = set()
        self.with_words = 0       # refusals that were read
        for number in range(count):
            kind = kinds[number % len(kinds)]
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.settimeout(PATIENCE)
            plain.connect((server.host, server.port))
            connection = context.wrap_socket(plain, server_hostname="localhost") if context else plain
            connection.setblocking(False)
            self.all.append(connection)
            self.waiting.add(connection)
            self.selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, [kind, memoryview(requests[kind])])
            self.step(0)
            if number + 1 == len(kinds):
                self.settle()     # one of each is served while there is room, or the rest would prove nothing of its kind

    def step(self, timeout):
        for key, events in self.selector.select(timeout):
            connection, (kind, rest) = key.fileobj, key.data
            try:
                if rest:
                    key.data[1] = rest[connection.send(rest):]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                pass
            except OSError:
                key.data[1] = memoryview(b"")     # refused in the middle: the answer is there to be read
            try:
                begin = connection.recv(12)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if not key.data[1] and kind in WRITERS:
                    self.done(connection, kind, "served")     # all of it is taken, and the rest never comes
                elif not key.data[1]:
                    self.selector.modify(connection, selectors.EVENT_READ, key.data)
                continue
            except OSError:
                begin = b""
            served = begin.startswith(b"HTTP/1.1 2")
            self.done(connection, kind, "served" if served else "refused")
            if not served:
                self.refused(connection, begin)

    def refused(self, connection, begin):
        """A refusal says when to come again (a reset takes its words along)."""
        connection.settimeout(PATIENCE)
        try:
            while b"\r\n\r\n" not in begin:
                piece = connection.recv(4096)
                if not piece:
                    return
                begin += piece
        except OSError:
            return
        if not begin.startswith(b"HTTP/1.1 503 ") or b"\r\nRetry-After: " not in begin:
            raise Failure(f"a refusal that does not say when to come again: {begin[:400]!r}", None)
        self.with_words += 1

    def done(self, connection, kind, how):
        self.selector.unregister(connection)
        self.waiting.discard(connection)
        self.outcome[kind][how] += 1

    def settle(self):
        until = time.monotonic() + PATIENCE
        while self.waiting:
            if time.monotonic() > until:
                raise Failure(f"{len(self.waiting)} connections were neither served nor refused")
            self.step(1)

    def leave(self):
        for connection in self.all:
            connection.close()


def attack(stele, count, encrypted, kinds):
    server = Server(stele)
    context = None
    lines = f"limits: {{connections: {count + 100}}}\nlog: {{access: off}}\n"
    if encrypted:
        authority = Authority(server.directory)
        authority.issue("server", "localhost", 1)
        lines += f"tls: {{cert: {authority.cert}, key: {authority.key}}}\n"
        context = authority.client()
    server.config.write_text(lines)
    with server:
        requests = stock(server, context)
        for kind, text in requests.items():     # each once, to its end: what one costs is not what the crowd costs
            if kind not in WRITERS:
                connection = Connection(server, context)
                connection.send(text)
                if connection.read_answer("GET").status != 200:
                    raise Failure(f"{kind} are not answered")
                connection.close()
        requests = {kind: text for kind, text in requests.items() if not kinds or kind in kinds}
        before = most_resident(server)
        crowd = Crowd(server, context, requests, count)
        crowd.settle()
        taken(server, PATIENCE)
        standing = most_resident(server) - before
        connection = Connection(server, context)
        for _ in range(SESSIONS):     # without bytes: they cost nothing
            connection.send(head("POST", "/v2/app/blobs/uploads/", "Content-Length: 0"))
            answer = connection.read_answer("POST")
            if answer.status != 202:
                raise Failure("an upload cannot be begun", answer)
        for _ in range(min(BEGUN, count)):
            connection.send(head("POST", "/v2/app/blobs/uploads/", "Content-Length: 0"))
            place = connection.read_answer("POST").get("Location")
            connection.send(head("PATCH", place, f"Content-Length: {FEW}") + b"f" * FEW)
            answer = connection.read_answer("PATCH")
            if answer.status != 202:
                raise Failure("an upload does not go on", answer)
        connection.close()
        grown = most_resident(server) - before
        allowed = MOST_GROWN + count * (PER_TLS if encrypted else PER_CONNECTION)
        what = f"{count} connections{' over TLS' if encrypted else ''}: {grown / MB:.1f} MB, {standing / MB:.1f} before the sessions; {crowd.outcome}"
        print(what, flush=True)
        if grown > allowed:
            raise Failure(f"more than {allowed / MB:.0f} MB: {what}")
        for kind, outcome in crowd.outcome.items():
            if not outcome["served"]:
                raise Failure(f"nobody got {kind}: that proves nothing", None)
        refused = sum(outcome["refused"] for outcome in crowd.outcome.values())
        if refused and not crowd.with_words:
            raise Failure(f"{refused} refusals, and none could be read", None)
        crowd.leave()
        # Room again when they have left: nothing of them stays.
        until = time.monotonic() + PATIENCE
        while (answer := request(server, "GET", "/v2/app/manifests/big", tls=context)).status != 200:
            if time.monotonic() > until:
                raise Failure("no room although all have left", answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stele")
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--kinds", nargs="*", help="only these, to find out which one costs")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < options.connections + 200:
        raise Failure(f"this process may open {hard} files; {options.connections} connections need more (ulimit -n)")
    failed = 0
    for encrypted in (False, True):
        try:
            attack(Path(options.stele).resolve(), options.connections, encrypted, options.kinds)
        except Failure as failure:
            failed += 1
            print(f"FAIL  {failure}", flush=True)
    print(f"hostile memory: {2 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
