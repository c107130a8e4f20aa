#!/usr/bin/env python3
"""Figures of the mirror: many clients pull one image that is not here yet, from an upstream that is held to a rate and a delay.

  bench/mirror.py [--size MB] [--clients N] [--rate MB/s] [--delay MS] [--flights N] [--rounds N] [--minutes N] [--directory DIR] [--markdown FILE]

Beside Distribution's proxy mode and, where scripts/go_tools.sh has built zot-sync, zot's sync on demand, which take the same upstream.
Everything is a multiple of what one direct pull from that upstream takes in the same round. Ends with 1 when a bar is missed, with 2 when
something failed or the minutes were over.
"""
import argparse
import contextlib
import hashlib
import http.client
import json
import os
import queue
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import deadline
import network
import report
from systems import TOOLS, Distribution, Failure, Stele, Zot

MB = 1_000_000
IMAGE = "application/vnd.oci.image.manifest.v1+json"
REPOSITORY = "library/demo"
AT_ONCE = 3     # layers of one client, as docker fetches them
PIECE = 256 * 1024
PAIRS = 7       # of warm and local pulls, in a round


class Upstream:
    """In front of a registry: each answer after `delay` seconds, all bodies together at `rate` bytes per second."""

    def __init__(self, behind, rate, delay):
        self.behind, self.rate, self.delay = behind, rate, delay
        self.lock, self.next, self.asked = threading.Lock(), 0.0, []
        self.endless = {}       # digest: length of a blob whose bytes nobody has
        self.gate = threading.Event()
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                time.sleep(front.delay)
                with front.lock:
                    front.asked.append(f"{self.command} {self.path}")
                with contextlib.suppress(OSError):
                    front.answer(self)
            do_HEAD = do_GET
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.server.request_queue_size = 512
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None
        self.server.server_bind()
        self.server.server_activate()
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()

    def answer(self, handler):
        digest = handler.path.rpartition("/")[2]
        blob = self.behind.directory / "data/blobs/sha256" / digest[7:9] / digest[7:]
        if "/blobs/" in handler.path and digest in self.endless:
            self.head(handler, {"Content-Length": str(self.endless[digest])})
            if handler.command == "GET":
                self.send(handler, self.endless[digest], lambda count: b"\x5a" * count)
        elif "/blobs/" in handler.path and blob.exists():
            begin, _ = self.head_of(handler, blob.stat().st_size)
            if handler.command == "GET":
                with open(blob, "rb") as file:
                    file.seek(begin)
                    self.send(handler, blob.stat().st_size - begin, file.read)
        else:
            link = http.client.HTTPConnection(self.behind.address, timeout=60)
            link.request(handler.command, handler.path, headers={"Accept": IMAGE})
            answer = link.getresponse()
            body = answer.read()
            passed = {name: answer.headers[name] for name in ("Content-Type", "Docker-Content-Digest", "Docker-Distribution-Api-Version")
                      if answer.headers[name]}
            handler.send_response(answer.status)
            for name, value in {**passed, "Content-Length": answer.headers["Content-Length"] or str(len(body))}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

    def head_of(self, handler, length):
        found = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "")
        begin = int(found[1]) if found else 0
        fields = {"Content-Length": str(length - begin)}
        if found:
            fields["Content-Range"] = f"bytes {begin}-{length - 1}/{length}"
        self.head(handler, fields, 206 if found else 200)
        return begin, length

    @staticmethod
    def head(handler, fields, status=200):
        handler.send_response(status)
        handler.send_header("Content-Type", "application/octet-stream")
        handler.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for name, value in fields.items():
            handler.send_header(name, value)
        handler.end_headers()

    def send(self, handler, length, read):
        while length and not self.gate.is_set():
            piece = read(min(PIECE, length))
            with self.lock:
                begin = max(time.monotonic(), self.next)
                self.next = begin + len(piece) / self.rate
            time.sleep(max(0.0, begin - time.monotonic()))
            handler.wfile.write(piece)
            length -= len(piece)

    def count(self, text):
        with self.lock:
            return sum(text in one for one in self.asked)

    def stop(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


class Mirror(Stele):
    def __init__(self, directory, upstream):
        super().__init__(directory)
        self.upstream = upstream

    def command(self):
        command = super().command()
        with open(self.directory / "stele.yaml", "a") as file:
            file.write(f'mirrors:\n  - {{name: docker.io, upstreams: ["http://{self.upstream.address}"], tag_ttl: 1h}}\n')
        return command

    repository = f"docker.io/{REPOSITORY}"


class Proxy(Distribution):
    name = "Distribution, proxy mode"
    repository = REPOSITORY

    def __init__(self, directory, upstream):
        super().__init__(directory)
        self.upstream = upstream

    def command(self):
        command = super().command()
        with open(self.directory / "config.yml", "a") as file:
            file.write(f"proxy: {{remoteurl: 'http://{self.upstream.address}'}}\n")
        return command


class ZotSync(Zot):
    """It fetches a whole image when somebody asks for its manifest, and answers then."""

    name = "zot, sync on demand"
    program = TOOLS / "zot-sync"
    repository = REPOSITORY

    def __init__(self, directory, upstream):
        super().__init__(directory)
        self.upstream = upstream

    def more(self):
        return {"extensions": {"sync": {"enable": True, "registries": [
            {"urls": [f"http://{self.upstream.address}"], "onDemand": True, "tlsVerify": False, "content": [{"prefix": "**"}]}]}}}


def others():
    """Those that are at hand, by a word for their tags."""
    found = {"distribution": Proxy} if shutil.which(Distribution.program) else {}
    return found | ({"zot": ZotSync} if ZotSync.program.exists() else {})


def push_image(system, repository, size, seed, layers=8):
    """Layers of random bytes; their digests and the manifest's."""
    def put(content, kind):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        link = http.client.HTTPConnection(system.address, timeout=300)
        link.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", content, {"Content-Type": "application/octet-stream"})
        answer = link.getresponse()
        if answer.status != 201:
            raise Failure(f"the image could not be pushed: {answer.status} {answer.read()[:300]}")
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": len(content)}
    config = put(json.dumps({"seed": seed}).encode(), "config.v1+json")
    described = [put(os.urandom(size // layers), "layer.v1.tar") for _ in range(layers)]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": described}).encode()
    link = http.client.HTTPConnection(system.address, timeout=60)
    link.request("PUT", f"/v2/{repository}/manifests/{seed}", manifest, {"Content-Type": IMAGE})
    answer = link.getresponse()
    if answer.status != 201:
        raise Failure(f"the manifest could not be pushed: {answer.status} {answer.read()[:300]}")
    return described


class Pull:
    """One client, as containerd does it: HEAD by tag, the manifest by digest, its layers a few at once. `leave_after`: bytes
    after which it hangs up."""

    def __init__(self, address, repository, tag, check=False, leave_after=None):
        self.address, self.repository, self.tag = address, repository, tag
        self.check, self.leave_after = check, leave_after
        self.first = self.seconds = None
        self.bytes, self.wrong, self.lock = 0, "", threading.Lock()

    def run(self):
        self.begun = time.monotonic()
        try:
            link = http.client.HTTPConnection(self.address, timeout=600)
            link.request("HEAD", f"/v2/{self.repository}/manifests/{self.tag}", headers={"Accept": IMAGE})
            answer = link.getresponse()
            answer.read()
            link.request("GET", f"/v2/{self.repository}/manifests/{answer.headers['Docker-Content-Digest']}", headers={"Accept": IMAGE})
            answer = link.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise Failure(f"manifest: {answer.status} {body[:200]}")
            layers = queue.Queue()
            for layer in json.loads(body)["layers"]:
                layers.put(layer)
            workers = [threading.Thread(target=self.work, args=(layers,)) for _ in range(AT_ONCE)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        except (OSError, http.client.HTTPException, Failure) as broke:
            self.wrong = self.wrong or str(broke)
        self.seconds = time.monotonic() - self.begun
        return self

    def work(self, layers):
        while not self.wrong:
            try:
                layer = layers.get_nowait()
            except queue.Empty:
                return
            try:
                if not self.fetch(layer):
                    return
            except (OSError, http.client.HTTPException, Failure) as broke:
                self.wrong = f"{layer['digest'][:19]}: {broke}"

    def fetch(self, layer):
        link = http.client.HTTPConnection(self.address, timeout=600)
        link.request("GET", f"/v2/{self.repository}/blobs/{layer['digest']}")
        answer = link.getresponse()
        if answer.status != 200:
            raise Failure(f"{answer.status} {answer.read()[:200]}")
        room, hashed, left = memoryview(bytearray(1024 * 1024)), hashlib.sha256(), layer["size"]
        while left:
            got = answer.readinto(room)
            if not got:
                raise Failure(f"{left} bytes are missing")
            with self.lock:
                if self.first is None:
                    self.first = time.monotonic() - self.begun
                self.bytes += got
            if self.check:
                hashed.update(room[:got])
            left -= got
            if self.leave_after is not None and self.bytes >= self.leave_after:
                link.close()
                return False
        if self.check and "sha256:" + hashed.hexdigest() != layer["digest"]:
            raise Failure("other bytes than asked for")
        return True


def together(pulls):
    threads = [threading.Thread(target=pull.run) for pull in pulls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pull in pulls:
        if pull.wrong:
            raise Failure(pull.wrong)
    return pulls


class Table:
    def __init__(self):
        self.rows, self.missed = [], 0

    def row(self, what, value, bar="", holds=True):
        self.missed += not holds
        self.rows.append((what, value, bar + ((" ok" if holds else " SHORT") if bar else "")))
        print(f"{what:<78} {value:<24} {self.rows[-1][2]}", flush=True)

    def markdown(self, about):
        lines = [f"| {' | '.join(row)} |" for row in (("what", "result", "bar"), ("---",) * 3, *self.rows)]
        return f"{about}\n\n" + "\n".join(lines) + "\n"


def cold_and_warm(table, system, upstream, tag, layers, direct, clients, bars):
    """Everybody at once, nothing here; then once more. Direct: one client's pull of an image of that size from upstream itself."""
    before = len(upstream.asked)
    pulls = [Pull(system.address, system.repository, tag, check=number == 0,
                  leave_after=sum(layer["size"] for layer in layers) // 10 if number == clients - 1 else None) for number in range(clients)]
    together(pulls)
    asked = upstream.asked[before:]
    times = [sum(f"GET /v2/{REPOSITORY}/blobs/{layer['digest']}" == one for one in asked) for layer in layers]
    first, last = max(pull.first for pull in pulls) / direct.first, max(pull.seconds for pull in pulls[:-1]) / direct.seconds
    name = system.name
    table.row(f"{name}: {clients} clients, cold: requests upstream for each layer", f"{min(times)} to {max(times)}",
              "1" if bars else "", not bars or set(times) == {1})
    table.row(f"{name}: slowest first byte, of a direct pull's", f"{first:.2f} ×", "≤ 1.2 ×" if bars else "", not bars or first <= 1.2)
    table.row(f"{name}: last client done, of one direct pull", f"{last:.2f} ×", "≤ 1.15 ×" if bars else "", not bars or last <= 1.15)
    begun = time.monotonic()
    warm = together([Pull(system.address, system.repository, tag) for _ in range(clients)])
    rate = sum(pull.bytes for pull in warm) / (time.monotonic() - begun)
    table.row(f"{name}: {clients} clients, warm", f"{rate / MB:,.0f} MB/s")
    return rate


def memory_in_flight(table, mirror, upstream, flights, size):
    """So many blobs of which each arrives for one client that reads it."""
    length = min(size, shutil.disk_usage(mirror.directory).free * 92 // 100 // flights)
    digests = ["sha256:" + hashlib.sha256(f"flight {number}".encode()).hexdigest() for number in range(flights)]
    upstream.endless = {digest: length for digest in digests}
    idle = mirror.memory()
    mirror.forget_peak()
    got = [0] * flights

    def read(number):
        with contextlib.suppress(OSError, http.client.HTTPException):
            link = http.client.HTTPConnection(mirror.address, timeout=60)
            link.request("GET", f"/v2/{mirror.repository}/blobs/{digests[number]}")
            answer = link.getresponse()
            room = memoryview(bytearray(64 * 1024))
            while answer.status == 200 and (count := answer.readinto(room)):
                got[number] += count
    threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(flights)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 300
    while min(got) < min(64 * MB, length // 4):
        if time.monotonic() > deadline:
            raise Failure(f"{sum(count == 0 for count in got)} of {flights} pulls got nothing")
        time.sleep(0.2)
    grown = mirror.memory("VmHWM") - idle
    upstream.gate.set()
    for thread in threads:
        thread.join(60)
    table.row(f"Stele: memory for {flights} cold pulls of {length / MB:,.0f} MB in flight", f"{grown / 1024 / 1024:.0f} MiB", "≤ 256 MiB",
              grown <= 256 * 1024 * 1024)


def one_tag(table, mirror, upstream, count=1000):
    upstream.asked.clear()
    for _ in range(count):
        link = http.client.HTTPConnection(mirror.address, timeout=60)
        link.request("GET", f"/v2/{mirror.repository}/manifests/one-tag")
        if link.getresponse().status != 200:
            raise Failure("the tag cannot be pulled")
    asked = upstream.count(" /v2/library/demo/manifests/one-tag")
    table.row(f"Stele: {count:,} pulls of one tag in its TTL: requests upstream for it", str(asked), "1", asked == 1)


def warm_of_local(mirror, tag, clients, number):
    """One after the other, so that what else the machine does falls on both; who is first changes."""
    rates = {}
    images = ((mirror.repository, tag), ("local/demo", "local"))
    for repository, its_tag in images if number % 2 else reversed(images):
        begun = time.monotonic()
        pulls = together([Pull(mirror.address, repository, its_tag) for _ in range(clients)])
        rates[its_tag] = sum(pull.bytes for pull in pulls) / (time.monotonic() - begun)
    return rates[tag] / rates["local"]


def one_round(table, chosen, directory, source, number, images):
    size = chosen.size * MB
    upstream = Upstream(source, chosen.rate * MB, chosen.delay / 1000)
    try:
        direct = together([Pull(upstream.address, REPOSITORY, f"round-{number}-direct", check=True)])[0]
        table.row(f"round {number + 1}: one direct pull of {chosen.size} MB", f"{direct.seconds:.1f} s, {direct.first * 1000:.0f} ms")
        with Mirror(directory / f"mirror-{number}", upstream) as mirror:
            tag = f"round-{number}-stele"
            warm = cold_and_warm(table, mirror, upstream, tag, images[tag], direct, chosen.clients, True)
            push_image(mirror, "local/demo", size, "local")
            ratios = [warm_of_local(mirror, tag, chosen.clients, number) for number in range(PAIRS)]
            table.row("Stele: warm, of a local image", f"{statistics.median(ratios):.2f} ×")
            one_tag(table, mirror, upstream)
        shutil.rmtree(directory / f"mirror-{number}")
        for word, kind in others().items():
            place = directory / f"{word}-{number}"
            with kind(place, upstream) as other:
                tag = f"round-{number}-{word}"
                theirs = cold_and_warm(table, other, upstream, tag, images[tag], direct, chosen.clients, False)
            table.row(f"Stele: warm, of {kind.name}", f"{warm / theirs:.2f} ×")
            shutil.rmtree(place)
    finally:
        upstream.stop()
    return ratios


def run(chosen, directory, stack):
    size, table = chosen.size * MB, Table()
    with Stele(directory / "source") as source:
        push_image(source, REPOSITORY, 8 * MB, "one-tag")
        ratios = []
        for number in range(chosen.rounds):
            tags = [f"round-{number}-{which}" for which in ("stele", "direct", *others())]
            ratios += one_round(table, chosen, directory, source, number, {tag: push_image(source, REPOSITORY, size, tag) for tag in tags})
    # A pull takes two seconds here, and one pair may be ten per cent apart: it is all of them that are judged.
    ratio = statistics.median(ratios)
    table.row(f"Stele: warm, of a local image, median of {len(ratios)} pairs", f"{ratio:.2f} × ({min(ratios):.2f} to {max(ratios):.2f})", "≥ 0.95 ×", ratio >= 0.95)
    shutil.rmtree(directory / "source")     # the flights have room then
    source = stack.enter_context(Stele(directory / "nothing"))
    upstream = Upstream(source, chosen.rate * 4 * MB, chosen.delay / 1000)
    with Mirror(directory / "flights", upstream) as mirror:
        memory_in_flight(table, mirror, upstream, chosen.flights, size)
    upstream.stop()
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, about in (("size", 1000, "of the image, in MB"), ("clients", 16, ""), ("rate", 50, "upstream's, in MB/s"),
                                 ("delay", 50, "upstream's, in ms"), ("flights", 64, "blobs at once, for the memory"), ("rounds", 3, "")):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{about} (default {default})".strip())
    parser.add_argument("--minutes", type=float, default=90, help="the longest that it may take (default %(default)s)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="on a disk, with room for 16 images and for the flights (default %(default)s)")
    parser.add_argument("--markdown", type=Path)
    chosen = parser.parse_args()
    network.enter()
    facts, before = {**report.machine(chosen.directory), **report.versions()}, report.processor_times()
    try:
        print(network.prepare())
        with deadline.within(chosen.minutes), tempfile.TemporaryDirectory(prefix="stele-mirror-", dir=chosen.directory) as directory, \
                contextlib.ExitStack() as stack:
            table = run(chosen, Path(directory), stack)
    except Failure as failure:
        print(f"failed: {failure}", file=sys.stderr)
        return 2
    if chosen.markdown:
        facts["processor time taken by other machines"] = report.stolen(before)
        about = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())])
        chosen.markdown.write_text("# The mirror\n\n" + table.markdown(f"Written by `bench/mirror.py` on {time.strftime('%Y-%m-%d', time.gmtime())}. Upstream: {chosen.rate} MB/s and {chosen.delay} ms; an image of {chosen.size} MB; "
                                                  f"{chosen.clients} clients.\n\n{about}"))
    return 1 if table.missed else 0


sys.exit(main())
