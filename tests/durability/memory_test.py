#!/usr/bin/env python3
"""64 transfers of 1 GB in flight at the same time: the server's resident memory stays below 64 MB (I10).

  memory_test.py [--stele BINARY] [--dir DIR] [--each MB]

--each: how much of each transfer is moved; 50 MB, in the gate (TEST_EVERY) 12. Plain and over TLS. What is measured is the peak (VmHWM, reset when all are in flight).
"""
import hashlib
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import Failure, Registry, main, make_certificates  # noqa: E402

MB, GB = 1024 * 1024, 1024 * 1024 * 1024
TRANSFERS = 64
LIMIT = 64 * MB
PIECE = 256 * 1024


def status_field(process, field):
    for line in open(f"/proc/{process.pid}/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise Failure(f"/proc has no {field}")


def measured(process, work):
    """Peak of the resident memory while `work` runs."""
    with open(f"/proc/{process.pid}/clear_refs", "w") as reset:
        reset.write("5")
    sampled, done = [0], threading.Event()

    def sample():
        while not done.wait(0.02):
            sampled[0] = max(sampled[0], status_field(process, "VmRSS:"))
    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        work()
    finally:
        done.set()
        sampler.join()
    return max(sampled[0], status_field(process, "VmHWM:"))


def head(connection):
    """The head of an answer, and what of the body came with it."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            raise Failure(f"the connection ended in the head: {received!r}")
        received += piece
    first, _, rest = received.partition(b"\r\n\r\n")
    return first.decode(), rest


def send_request(connection, text):
    connection.sendall(text.replace("\n", "\r\n").encode())


def uploads(registry, each):
    """64 PATCH and POST ?digest= requests that announce 1 GB and are fed in turn; the peak, and how many were in flight."""
    piece, connections = b"\x5a" * PIECE, []
    for number in range(TRANSFERS):
        connection = registry.socket(60)
        if number % 2:
            target, method = f"/v2/memory/u{number}/blobs/uploads/?digest=sha256:{number:064x}", "POST"
        else:
            target, method = registry.request("POST", f"/v2/memory/u{number}/blobs/uploads/").headers["Location"], "PATCH"
        send_request(connection, f"{method} {target} HTTP/1.1\nHost: {registry.address}\nContent-Length: {GB}\n\n")
        connections.append(connection)
    for connection in connections:
        connection.sendall(piece)

    def feed():
        for _ in range(each // PIECE - 1):
            for connection in connections:
                connection.sendall(piece)

    peak = measured(registry.process, feed)
    deadline = time.monotonic() + 120
    while True:
        sizes = [path.stat().st_size for path in (registry.data / "uploads").iterdir()]
        if len(sizes) == TRANSFERS and min(sizes) > each // 2 or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    for connection in connections:
        connection.close()
    return peak, sum(size > each // 2 for size in sizes)


def push_large(registry):
    """One blob of 1 GB; its digest."""
    piece, digest = bytes(4 * MB), hashlib.sha256()
    for _ in range(GB // len(piece)):
        digest.update(piece)
    name = f"sha256:{digest.hexdigest()}"
    connection = registry.socket(120)
    send_request(connection, f"POST /v2/memory/large/blobs/uploads/?digest={name} HTTP/1.1\nHost: {registry.address}\nContent-Length: {GB}\n\n")
    for _ in range(GB // len(piece)):
        connection.sendall(piece)
    answer, _ = head(connection)
    connection.close()
    if " 201 " not in answer:
        raise Failure(f"the blob of 1 GB was not stored: {answer}")
    return name


def downloads(registry, name, each):
    connections, received = [], []
    for _ in range(TRANSFERS):
        connection = registry.socket(60, receive_buffer=PIECE)
        send_request(connection, f"GET /v2/memory/large/blobs/{name} HTTP/1.1\nHost: {registry.address}\n\n")
        answer, rest = head(connection)
        if " 200 " not in answer or f"content-length: {GB}" not in answer.lower():
            raise Failure(f"the blob was not served: {answer}")
        connections.append(connection)
        received.append(len(rest))

    def read():
        # In turn, so that none runs ahead: each waits for its reader most of the time.
        while min(received) < each:
            for number, connection in enumerate(connections):
                wanted = received[number] + PIECE
                while received[number] < wanted:
                    piece = connection.recv(PIECE)
                    if not piece:
                        raise Failure(f"download {number} ended after {received[number]} bytes")
                    received[number] += len(piece)

    peak = measured(registry.process, read)
    for connection in connections:
        connection.close()
    return peak, sum(count >= each for count in received)


def tests(checks, directory, options):
    each = options.each * MB

    def one(checks, name, tls):
        def judge(what, peak, in_flight):
            print(f"      {name}: {what} of 1 GB, {in_flight} in flight, {options.each} MB of each moved: peak resident memory {peak / MB:.1f} MB", flush=True)
            checks(f"{name}: {TRANSFERS} {what} were in flight at the same time", in_flight == TRANSFERS, in_flight)
            checks(f"{name}: {what}: peak resident memory is below {LIMIT // MB} MB", peak < LIMIT, f"{peak / MB:.1f} MB")

        with Registry(options.stele, directory / name, tls=make_certificates(directory / "certificates") if tls else None) as registry:
            registry.start()
            judge("uploads", *uploads(registry, each))
            registry.kill()
            registry.start()    # each measurement from a fresh process
            judge("downloads", *downloads(registry, push_large(registry), each))
            # The limit must be one that this measurement can exceed.
            checks(f"{name}: the measurement sees memory at all", status_field(registry.process, "VmHWM:") > 2 * MB)
            checks(f"{name}: it stops in good order", registry.stop() == 0)

    checks.run(one, "plain", False)
    checks.run(one, "TLS", True)


if __name__ == "__main__":
    main("durability memory", tests, lambda parser: parser.add_argument("--each", type=int, default=12 if int(os.environ.get("TEST_EVERY", "1")) > 1 else 50, metavar="MB"))
