#!/usr/bin/env python3
"""SSRF: names that lead elsewhere than they did, and hosts that `redirect_allow` names. In a network and with a hosts file of their own:
the checks start this program again there.

  moving_names.py STELE DIRECTORY        apart; prints what Checks prints
"""
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hub import status
from world import World

PUBLIC, PRIVATE, METADATA = "93.184.216.34", "10.9.9.9", "169.254.169.254"


def names_that_move_and_hosts_that_are_named(checks, binary, directory):
    command = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), sys.executable, __file__, binary, directory / "apart"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    said = re.findall(r"^(pass|FAIL)  (.*)((?:\n      .*)*)", done.stdout, re.M)
    for verdict, what, detail in said:
        checks(what, verdict == "pass", detail)
    checks("the checks apart came to their end", done.returncode in (0, 1) and len(said) >= 10, done.stdout[-1000:] + done.stderr[-2000:])


class Elsewhere(ThreadingHTTPServer):
    """What redirects lead to, on one address; it keeps no connection."""

    def __init__(self, address, port, content):
        elsewhere, self.seen = self, []

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                elsewhere.seen.append(self.path)
                body = content[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
        super().__init__((address, port), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


def make_network():
    """Loopback is up, and other addresses are this machine's, too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        def configure(request, name, rest):
            fcntl.ioctl(any_socket, request, struct.pack("16s24s", name.encode(), rest))
        configure(0x8914, "lo", struct.pack("H", 0x41))     # SIOCSIFFLAGS: up and running
        for number, address in enumerate((PUBLIC, PRIVATE, METADATA)):
            configure(0x8916, f"lo:{number}", struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(address)))    # SIOCSIFADDR


class Hosts:
    def __init__(self, directory):
        self.file = directory / "hosts"
        self.file.write_text("")
        subprocess.run(["mount", "--bind", self.file, "/etc/hosts"], check=True)

    def lead(self, name, address):
        """In place: what is mounted is this file."""
        self.file.write_text(f"127.0.0.1 localhost\n{address} {name}\n")


def apart(checks, binary, directory):
    make_network()
    hosts = Hosts(directory)
    world = World(binary, directory, "moving", names=("open.example", "named.example"))
    with world:
        demo = world.image(layers=(200_000, 210_000, 220_000, 230_000, 240_000, 250_000))
        layers = [digest for digest, bytes_ in demo.blobs.items() if len(bytes_) > 1000]
        content = {f"/{digest}": bytes_ for digest, bytes_ in demo.blobs.items()}
        public = Elsewhere(PUBLIC, 0, content)
        private, metadata = (Elsewhere(address, public.server_port, content) for address in (PRIVATE, METADATA))

        def led(digest, name="cdn.example"):
            """What the mirror answers when upstream sends it there for a blob."""
            world.hub.fault("registry", f"GET.*{digest}", status(307, {"Location": f"http://{name}:{public.server_port}/{digest}"}))
            answer = world.blob(digest, "open.example/library/demo")
            world.hub.mend()
            return answer

        hosts.lead("cdn.example", PUBLIC)
        answer = led(layers[0])
        checks("a name that leads to a public address is followed", answer.body == demo.blobs[layers[0]] and public.seen == [f"/{layers[0]}"], answer.status)
        hosts.lead("cdn.example", PRIVATE)
        answer = led(layers[1])
        checks("when it leads into the network it is refused, or still where it led", answer.status == 503 or answer.body == demo.blobs[layers[1]], answer)
        world.mirror.kill()
        world.mirror.start()
        for digest, address in ((layers[2], PRIVATE), (layers[3], METADATA)):
            hosts.lead("cdn.example", address)
            answer = led(digest)
            checks(f"asked anew it is refused by the rule: {address}", answer.status == 503 and "refused" in answer.message, answer)
            world.mirror.kill()     # a refusal leaves the upstream alone for a while
            world.mirror.start()
        checks("nothing was asked there", not private.seen and not metadata.seen, private.seen + metadata.seen)
    named = World(binary, directory, "named", more='redirect_allow: ["cdn.example"]')
    with named:
        demo = named.image(layers=(200_000, 210_000, 220_000), label="named")
        layers = [digest for digest, bytes_ in demo.blobs.items() if len(bytes_) > 1000]
        content |= {f"/{digest}": bytes_ for digest, bytes_ in demo.blobs.items()}

        def led_by_name(digest, name="cdn.example"):
            named.hub.fault("registry", f"GET.*{digest}", status(307, {"Location": f"http://{name}:{public.server_port}/{digest}"}))
            answer = named.blob(digest)
            named.hub.mend()
            return answer

        hosts.lead("cdn.example", PRIVATE)
        answer = led_by_name(layers[0])
        checks("redirect_allow: a host that is named may be in the network", answer.body == demo.blobs[layers[0]] and private.seen == [f"/{layers[0]}"], answer)
        named.wait_stored(layers[0])
        answer = led_by_name(layers[1], PRIVATE)
        checks("its address alone is not named", answer.status == 503 and "refused" in answer.message, answer)
        named.mirror.kill()
        named.mirror.start()
        hosts.lead("cdn.example", METADATA)
        answer = led_by_name(layers[2])
        checks("cloud metadata is refused under whatever name", answer.status == 503 and "refused" in answer.message and not metadata.seen, answer)
        checks("what was asked in the network is what was named", private.seen == [f"/{layers[0]}"], private.seen)
        checks("of what was refused nothing is kept", not any(named.stored(digest) for digest in layers[1:]))


TESTS = [names_that_move_and_hosts_that_are_named]


if __name__ == "__main__":
    from registry import Checks
    place = Path(sys.argv[2])
    place.mkdir(parents=True)
    outcome = Checks("moving names")
    outcome.run(apart, sys.argv[1], place)
    sys.exit(outcome.finish())
