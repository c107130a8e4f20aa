#!/usr/bin/env python3
"""Runs every ```sh block of the documents below, in order, in one shell per document, as an operator would type them.

  run.py STELE DOCUMENT...

The port and nothing else is replaced. A block that fails ends the run.
"""
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = {"docs/administration.md": 6, "docs/policy.md": 16}   # with the number of blocks to be found at least
WAIT = """
wait_for() { for i in $(seq 100); do curl -sf "http://$1/livez" >/dev/null && return 0; sleep 0.1; done; echo "no server on $1" >&2; return 1; }
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def run(stele, document, least):
    """Passed and failed blocks."""
    print(f"== {document}", flush=True)
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / document).read_text(), re.S | re.M)
    if len(blocks) < least:
        print(f"only {len(blocks)} shell blocks were found in {document}; expected at least {least}")
        return 0, 1
    ports = {"5000": free_port(), "5055": free_port()}
    script = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n" + WAIT
    for number, block in enumerate(blocks, 1):
        # The listening address is given to the first server by its variable: the documented command stays as it is.
        for documented, port in ports.items():
            block = block.replace(f"127.0.0.1:{documented}", f"127.0.0.1:{port}")
        # A shell that ends at the first failure does not end at a `!` that finds success.
        block = re.sub(r"^! (.*)$", r"if \1; then echo 'this was to be refused'; exit 1; fi", block, flags=re.M)
        script += f"echo '--- block {number}'\n{block}"
        if "stele serve &" in block:
            script += f"wait_for 127.0.0.1:{ports['5000']}\n"
        elif "stele serve" in block:
            script += f"wait_for 127.0.0.1:{ports['5055']}\n"
    env = dict(os.environ, PATH=f"{stele.parent}:{os.environ['PATH']}", STELE_LISTEN=f"127.0.0.1:{ports['5000']}")
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(["bash", "-c", script], cwd=directory, env=env, timeout=120)
        made = "catalog.db" not in script or (Path(directory) / "catalog.db").exists()
    passed = len(blocks) if done.returncode == 0 and made else 0
    return passed, len(blocks) - passed


def main():
    stele = Path(sys.argv[1]).resolve()
    counts = [run(stele, document, DOCUMENTS[document]) for document in sys.argv[2:]]
    passed, failed = (sum(column) for column in zip(*counts))
    print(f"docs: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
